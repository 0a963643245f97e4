"""What a person is told of a fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kt_plus.auto_model.auto_model import AutoModel


def measures(values: Mapping[str, float]) -> str:
    """Measures in one line."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def networks(members: Sequence[Mapping[str, Any]]) -> str:
    """What the model is made of."""
    trials = ", ".join(member["trial"] for member in members)
    if len(members) == 1:
        return f"The model is one network, of trial {trials}."
    return f"The model is the mean of {len(members)} networks, of the trials {trials}."


def verdicts(auto: AutoModel) -> Iterator[str]:
    """How good the model is, and beside what."""
    yield networks(auto.members)
    yield f"On examples held out: {measures(auto.held_out)}."
    yield from map(str, auto.comparisons)


def describe(auto: AutoModel) -> str:
    """A fitted model in a few words."""
    name = auto.task.name.replace("_", "-")
    parts = [f"{name} of {auto.inputs.kind}s", _several(len(auto.members), "network")]
    if auto.search is not None:
        parts.insert(1, _several(len(auto.tuner.oracle.end_order), "trial"))
    return ", ".join([*parts, f"held out: {measures(auto.held_out)}"])


def table(auto: AutoModel, num_trials: int) -> str:
    """What the data were taken for, the best trials, and how good the model is."""
    lines = [_sentence(str(auto.task)), _sentence(str(auto.inputs))]
    if auto.search is not None:
        lines += ["", *_trials(auto, num_trials), ""]
    return "\n".join([*lines, *verdicts(auto)])


def _trials(auto: AutoModel, number: int) -> Iterator[str]:
    oracle = auto.tuner.oracle
    notes = [oracle.notes[trial_id] for trial_id in oracle.end_order]
    causes = Counter(note.stop.cause for note in notes if note.stop)
    cut = f", {causes['budget']} cut by the budget" if causes["budget"] else ""
    spent = auto.allowance.budget
    yield (
        f"{_several(len(notes), 'trial')}, {causes['rule']} of them stopped early{cut}; "
        f"{spent.epochs:,} epochs and {spent.seconds / 60:.2g} minutes in all, of {auto.allowance}"
    )
    name = oracle.objective.name
    yield f"{'trial':<6} {name:<12} {'epochs':<7} parent"
    for trial in auto.search.best()[:number]:
        note = oracle.notes[trial.trial_id]
        yield f"{trial.trial_id:<6} {trial.score:<12.4g} {note.epochs:<7} {note.parent or ''}"


def _several(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
