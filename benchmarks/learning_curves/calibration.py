"""Whether a stop at threshold t is wrong at most t of the time: `python -m ... --help`.

Of the trials that a rule has stopped, the share that would have beaten the best value that
the search had found by then, had they gone on; and the share that would have beaten all.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.learning_curves.outcomes import Key, Outcomes, curves_of, keys
from benchmarks.learning_curves.rules import Unavailable, checked
from benchmarks.learning_curves.searches import Search, incumbents
from benchmarks.learning_curves.tasks import SETS, TITLES, best
from benchmarks.recorded import DataMissing
from benchmarks.reporting import positive, print_table, versions

THRESHOLDS = (0.01, 0.05, 0.1, 0.2)
RULES = ("LearningCurveExtrapolation(threshold={t})",)
_Z = 1.96  # 95 %


def count(key: Key, search: Search) -> tuple[int, int, int]:
    """Stopped trials, and how many of them would have beaten the incumbent, and all others."""
    curves = curves_of(key).curves
    final = max(best(c[:n]) for c, n in zip(curves, search.lengths, strict=True))
    stopped = beat_then = beat_all = 0
    rivals = incumbents(curves, search.lengths)
    for curve, length, rival in zip(curves, search.lengths, rivals, strict=True):
        if length < len(curve):
            stopped += 1
            beat_then += best(curve) > rival
            beat_all += best(curve) > final
    return stopped, beat_then, beat_all


def interval(hits: int, tries: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    share, z2 = hits / tries, _Z**2
    centre = (share + z2 / (2 * tries)) / (1 + z2 / tries)
    half = _Z / (1 + z2 / tries) * math.sqrt(share * (1 - share) / tries + z2 / (4 * tries**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def cells(counts: Iterable[tuple[int, int, int]]) -> list[str]:
    """The number of stops, and both shares with their intervals."""
    stopped, beat_then, beat_all = (sum(column) for column in zip(*counts, strict=True))
    if not stopped:
        return ["0", "", ""]
    shown = []
    for hits in (beat_then, beat_all):
        low, high = interval(hits, stopped)
        shown.append(f"{hits / stopped:.4f} ({low:.4f} to {high:.4f})")
    return [f"{stopped:,}", *shown]


def rows(options: argparse.Namespace) -> Iterable[list[str]]:
    known = Outcomes(options.results)
    for pattern in options.rules:
        for threshold in options.thresholds:
            rule = pattern.replace("{t}", str(threshold))
            for name in options.sets:
                wanted = list(keys(rule, [name], options.tasks, options.orders, options.trials))
                found = known.of(rule, wanted, options.jobs)
                counts = [count(key, search) for key, search in zip(wanted, found, strict=True)]
                yield [pattern, str(threshold), TITLES[name], *cells(counts)]


def _pattern(text: str) -> str:
    if "{t}" not in text:
        raise argparse.ArgumentTypeError(f"{text} has no {{t}} where the threshold should stand")
    checked(text.replace("{t}", str(THRESHOLDS[0])))
    return text


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learning_curves.calibration", description=__doc__
    )
    parser.add_argument("--sets", nargs="+", choices=sorted(SETS), default=["taskset", "lcbench"])
    parser.add_argument("--tasks", type=positive, help="of each set; all by default")
    parser.add_argument("--orders", type=positive, default=10, help="searches of each task")
    parser.add_argument("--trials", type=positive, default=100, help="of each search")
    parser.add_argument(
        "--rules", nargs="+", type=_pattern, default=list(RULES), help="with {t} as the threshold"
    )
    parser.add_argument("--thresholds", nargs="+", type=float, default=list(THRESHOLDS))
    parser.add_argument("--results", type=Path, help="file that keeps outcomes; resumes from it")
    parser.add_argument("--jobs", type=positive, default=1, help="processes")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Replays the searches and prints one table."""
    options = _options(arguments)
    try:
        lines = list(rows(options))
    except (DataMissing, Unavailable) as error:
        raise SystemExit(str(error)) from error
    print(f"{options.trials} trials in {options.orders} random orders of each task; {versions()}")
    print("The share of the stopped trials that would have beaten ..., with 95 % intervals\n")
    print_table([["rule", "t", "tasks", "stopped", "the best by then", "all others"], *lines])


if __name__ == "__main__":
    main()
