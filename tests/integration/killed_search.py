"""The program that runs searches under a rule: one undisturbed, one killed, one that goes on.

Each runs in a process of its own, forked before anything is computed. What their projects hold
is printed as one line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import kt_plus
from tests.invented_search import Foretelling, tuner

RULES = {
    "stop": Foretelling() | kt_plus.stopping.MedianRule(3, 2),
    "dry_stop": Foretelling().dry_run(),
}


def search(directory: Path, rule: Any, moment: tuple[str, int] | None = None) -> int:
    """Runs a search in another process, killed as it is answered at that moment; how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        if moment is not None:
            kill_at(moment)
        tuner(
            directory,
            kt_plus.EvolutionarySearch,
            stopping=rule,
            stopped_trials="predicted",
            max_trials=16,
            random_trials=5,
        ).search(verbose=0)
        status = 0
    finally:
        os._exit(status)


def outcome(directory: Path) -> dict[str, Any]:
    """What the project holds of each trial."""
    told = {}
    for path in sorted(directory.glob("invented/trial_*/trial.json")):
        trial = json.loads(path.read_text())
        note = {k: trial["kt_plus"][k] for k in ("stop", "dry_stop", "curves", "parent")}
        told[trial["trial_id"]] = {"score": trial["score"], "status": trial["status"], **note}
    return told


def kill_at(moment: tuple[str, int]) -> None:
    """Kills this process as soon as the oracle has answered a trial at that step."""
    answer = kt_plus.Oracle.update_trial

    def update_trial(self: Any, trial_id: str, metrics: Any, step: int = 0) -> Any:
        answered = answer(self, trial_id, metrics, step)
        if (trial_id, step) == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return answered

    kt_plus.Oracle.update_trial = update_trial


def main(place: Path) -> dict[str, Any]:
    """Kills each search as it stops the last trial that it stops, or would have."""
    told = {}
    for kind, rule in RULES.items():
        assert search(place / kind / "whole", rule) == 0
        whole = outcome(place / kind / "whole")
        last = max(trial_id for trial_id, trial in whole.items() if trial[kind])
        moment = last, whole[last][kind]["epoch"] - 1
        assert search(place / kind / "killed", rule, moment) == -signal.SIGKILL
        killed = outcome(place / kind / "killed")
        assert search(place / kind / "killed", rule) == 0
        resumed = outcome(place / kind / "killed")
        told[kind] = {"whole": whole, "killed": killed, "resumed": resumed}
    return told


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
