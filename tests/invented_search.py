"""Whole searches in an instant: the engine is real, the curves are told by the values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np

import kt_plus
from kt_plus.engine.history import History, Record, Verdict
from kt_plus.performance_estimation.learning_curves.forecast import AtLeast, Forecast, Mixture

EPOCHS = 12


def space() -> kt.HyperParameters:
    """Three hyperparameters, one of them conditional."""
    hp = kt.HyperParameters()
    hp.Float("limit", 0.2, 1.0)
    hp.Int("pace", 1, 6)
    if hp.Choice("kind", ["plain", "noisy"]):
        with hp.conditional_scope("kind", ["noisy"]):
            hp.Int("noise", 1, 9)
    return hp


def curve(values: dict[str, Any], epochs: int = EPOCHS) -> list[float]:
    """A curve that rises towards the limit."""
    rise = values["limit"] * (1 - np.exp(-np.arange(1, epochs + 1) / values["pace"]))
    wave = 0.02 * values.get("noise", 0) * np.sin(np.arange(epochs))
    return [float(value) for value in np.round(rise + wave, 6)]


def tuner(
    directory: Path | str,
    search: type = kt_plus.RandomSearch,
    *,
    direction: str = "max",
    fails: Any = (),
    **settings: Any,
) -> Any:
    """A tuner of a kt_plus class whose trials report invented curves.

    Args:
        directory: Where the project is written.
        search: The class of the tuner.
        direction: "max" for scores, "min" for their negatives.
        fails: The ids of trials that raise after their first epoch.
        **settings: Arguments of the class.
    """
    sign = 1 if direction == "max" else -1

    class Invented(search):  # type: ignore[misc]
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            values = trial.hyperparameters.values
            horizon = int(values.get("tuner/epochs", EPOCHS))
            first = int(values.get("tuner/initial_epoch", 0))
            seen = []
            for epoch in range(first, horizon):
                seen.append(sign * curve(values)[epoch])
                report = {"curve:score": seen[-1], "horizon": horizon}
                answer = self.oracle.update_trial(trial.trial_id, report, step=epoch)
                if trial.trial_id in fails:
                    raise ArithmeticError("it has diverged")
                if answer.status == "STOPPED":
                    break
            return sign * max(sign * value for value in seen)

    if not issubclass(search, (kt_plus.Hyperband, kt_plus.SuccessiveHalving)):
        settings = {"max_trials": 30, **settings}
    return Invented(
        objective=kt.Objective("score", direction),
        hyperparameters=space(),
        directory=directory,
        project_name="invented",
        **{"seed": 0, **settings},
    )


def plain_search(directory: Any, flag: str, max_trials: int) -> Any:
    """A search of Keras Tuner's own in the project `p`: x is the score; the flag does nothing."""

    class Plain(kt.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            return float(trial.hyperparameters.values["x"])

    hp = kt.HyperParameters()
    hp.Float("x", 0.0, 1.0)
    hp.Boolean(flag)
    place = {"directory": directory, "project_name": "p"}
    plain = Plain(hyperparameters=hp, max_trials=max_trials, seed=1, **place)
    plain.search(verbose=0)
    return plain


class Foretelling(kt_plus.stopping.Stopper):
    """Expects a tenth more than was seen, give or take a twentieth, and stops without hope."""

    def judge(self, trial: Record, history: History) -> Verdict:
        seen, best = max(trial.curve), history.best
        future = Mixture(np.ones(1), np.array([seen + 0.1]), np.array([0.05]))
        left = (trial.horizon or 0) - len(trial.curve)
        forecast = Forecast(AtLeast(seen, future), (future,) * left, len(trial.curve))
        if best is None or len(trial.curve) < 4:
            return Verdict(False, "early", forecast)
        chance = forecast.probability_above(best.fitness)
        reason = f"P(beating {history.show(best.fitness)}) = {chance:.2f}"
        return Verdict(chance < 0.05, reason, forecast)
