"""What stopping rules save and lose: `python -m benchmarks.learning_curves.decisions --help`.

Searches of 100 recorded trials in random order, from no finished trial on, are replayed
under each rule. Optuna's pruners run in a study of Optuna's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.learning_curves.outcomes import Outcomes, keys
from benchmarks.learning_curves.picture import Point, draw
from benchmarks.learning_curves.rules import AUTO, FAMILIES, USUAL, Unavailable, checked, family_of
from benchmarks.learning_curves.searches import Search
from benchmarks.learning_curves.tasks import SETS, TITLES
from benchmarks.recorded import DataMissing
from benchmarks.reporting import positive, print_table, versions


def cells(searches: Sequence[Search]) -> list[str]:
    """Share of the epochs, share of the searches that kept the best, mean regret."""
    share = np.mean([search.share for search in searches])
    kept = sum(search.kept for search in searches)
    regret = np.mean([search.regret for search in searches])
    return [f"{share:.3f}", f"{kept / len(searches):.3f}", f"{regret:.5f}"]


def head(sets: Sequence[str], searches: Mapping[str, int]) -> list[str]:
    titles = ["rule"]
    for name in sets:
        title = f"{TITLES[name]} ({searches[name]})"
        titles += [f"{title}: epochs", "best kept", "regret"]
    return titles


def run_all(
    rules: Sequence[str], options: argparse.Namespace
) -> Iterator[tuple[str, dict[str, list[Search]] | str]]:
    """For each rule the searches of each set, or why it is left out."""
    known = Outcomes(options.results)
    for rule in rules:
        try:
            wanted = {
                name: list(keys(rule, [name], options.tasks, options.orders, options.trials))
                for name in options.sets
            }
            yield rule, {n: known.of(rule, found, options.jobs) for n, found in wanted.items()}
        except Unavailable as error:
            yield rule, str(error)


def points(rule: str, searches: Mapping[str, Sequence[Search]]) -> Iterator[Point]:
    for name, found in searches.items():
        share = float(np.mean([search.share for search in found]))
        lost = float(np.mean([not search.kept for search in found]))
        yield Point(TITLES[name], family_of(rule), rule, share, lost)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learning_curves.decisions", description=__doc__
    )
    parser.add_argument("--sets", nargs="+", choices=sorted(SETS), default=["taskset", "lcbench"])
    parser.add_argument("--tasks", type=positive, help="of each set; all by default")
    parser.add_argument("--orders", type=positive, default=10, help="searches of each task")
    parser.add_argument("--trials", type=positive, default=100, help="of each search")
    parser.add_argument("--rules", nargs="+", type=checked, help='such as "MedianRule()"')
    parser.add_argument("--curves", action="store_true", help="also each family's other settings")
    parser.add_argument("--picture", type=Path, help="file for the trade-off; implies --curves")
    parser.add_argument("--results", type=Path, help="file that keeps outcomes; resumes from it")
    parser.add_argument("--jobs", type=positive, default=1, help="processes")
    options = parser.parse_args(arguments)
    if options.rules is None:
        options.rules = [AUTO, *USUAL]
        if options.curves or options.picture:
            options.rules += [rule for family in FAMILIES.values() for rule in family]
    options.rules = list(dict.fromkeys(options.rules))
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Replays the searches, prints one table and draws the picture if it is asked for."""
    options = _options(arguments)
    lines: list[list[str]] = []
    left_out: list[str] = []
    drawn: list[Point] = []
    counts: dict[str, int] = {}
    try:
        for rule, found in run_all(options.rules, options):
            if isinstance(found, str):
                left_out.append(f"Left out: {rule} ({found})")
                continue
            counts = {name: len(searches) for name, searches in found.items()}
            lines.append([rule, *(cell for name in options.sets for cell in cells(found[name]))])
            drawn.extend(points(rule, found))
    except DataMissing as error:
        raise SystemExit(str(error)) from error
    if not lines:
        raise SystemExit("\n".join(left_out))
    print(f"{options.trials} trials in {options.orders} random orders of each task; {versions()}\n")
    print_table([head(options.sets, counts), *lines])
    print("\n".join(left_out))
    if options.picture:
        draw(drawn, options.picture)
        print(f"The trade-off is drawn in {options.picture}", file=sys.stderr)


if __name__ == "__main__":
    main()
