"""Pictures of a search. Colours are Okabe and Ito's, which the colour-blind tell apart."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kt_plus.engine.history import History, Record
from kt_plus.engine.ledger import Note
from kt_plus.errors import ResultsError
from kt_plus.performance_estimation.stopping.extrapolation import curves_beside, forecast_of
from kt_plus.results.reading import Search, Trial, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kt_plus.performance_estimation.learning_curves import Forecast

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#555555"


class Forecaster(Protocol):
    """A model of learning curves, such as `LearningCurveModel`; larger values are better."""

    def fit(self, curves: Iterable[Sequence[float]]) -> Forecaster:
        """Learns from the finished curves of the search."""

    def forecast(self, prefix: Sequence[float]) -> Forecast:
        """What is expected of the curve that begins so."""


class _Moment(NamedTuple):
    """What was known of a trial at one of its epochs."""

    epoch: int
    horizon: int | None
    seen: tuple[float, ...]
    incumbent: float | None
    others: History


def plot_trial(
    search: Any,
    trial_id: str,
    ax: Axes | None = None,
    *,
    epoch: int | None = None,
    forecaster: Forecaster | None = None,
) -> Axes:
    """Draws a trial: its curve, where it was stopped, and what was then to be expected.

    When to use it: to see whether a stop was right. In a dry run the curve goes on after the
    moment at which the trial would have been stopped.

    The forecast is made again, from the trials that had ended before this one.

    Args:
        search: A tuner, or the directory of its project.
        trial_id: The id of the trial.
        ax: Where to draw; a new figure by default.
        epoch: The epoch, counted from 1, to forecast from. The moment of stopping by
            default; a trial that was not stopped has no forecast then.
        forecaster: The model that forecasts; a `LearningCurveModel` by default.

    Raises:
        ResultsError: If there is no such project, trial, curve or epoch.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    kt_plus.results.plot_trial(tuner, "07").figure.savefig("trial_07.png")
    ```
    """
    found = read(search)
    trial = _trial(found, trial_id)
    record = trial.record(found.sign)
    note = trial.note or Note(0)
    stop = note.stop or note.dry_stop
    if epoch is None and stop is not None:
        epoch = stop.epoch
    ax = ax if ax is not None else new_axes()
    moment = _moment(found, record, note, epoch)
    _draw_curve(ax, record, found.sign, moment)
    if moment.incumbent is not None:
        label = f"best trial until then: {moment.incumbent:.4g}"
        ax.axhline(moment.incumbent, color=GREEN, linestyle="-.", label=label)
    if epoch is not None:
        told = "stopped" if note.stop else "would have been stopped"
        told = told if stop is not None and epoch == stop.epoch else "forecast"
        ax.axvline(epoch, color=GREY, linestyle=":", label=f"{told} at epoch {epoch}")
        if moment.horizon is not None and moment.horizon > epoch:
            seen = replace(record, curve=moment.seen)
            forecast = _forecast(forecaster, seen, moment.others)
            _draw_forecast(ax, forecast, found.sign, record.first_epoch)
    _finish(ax, found, record, note, moment)
    return ax


def new_axes() -> Axes:
    """Where to draw a picture of its own."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            'A picture needs matplotlib, which is not installed. Run: pip install "kt_plus[plots]"'
        ) from error
    return pyplot.subplots(figsize=(8, 5.5), layout="constrained")[1]


def _trial(found: Search, trial_id: str) -> Trial:
    named = {trial.trial_id: trial for trial in found.trials}
    trial = named.get(str(trial_id))
    if trial is None:
        some = ", ".join([*named][:5]) + (", ..." if len(named) > 5 else "")
        raise ResultsError(
            f"trial_id={trial_id!r} was given. Expected one of the trials of {found.directory}: "
            f"{some or 'it has none yet'}. Choose one of `kt_plus.results.to_dataframe(...).index`."
        )
    if trial.note is None or not trial.note.epochs:
        raise ResultsError(
            f"Trial {trial_id} of {found.directory} has no learning curve. Expected one that a "
            "tuner of kt_plus has trained for an epoch at least. Choose another trial."
        )
    return trial


def _moment(found: Search, record: Record, note: Note, epoch: int | None) -> _Moment:
    last = record.first_epoch + len(record.curve)
    if epoch is not None and not record.first_epoch < epoch <= last:
        raise ResultsError(
            f"epoch={epoch} was given. Expected one that trial {record.trial_id} has trained, "
            f"{record.first_epoch + 1} to {last}. Leave it out for the moment of stopping."
        )
    ended = math.inf if note.ended is None else note.ended
    before = [
        trial.record(found.sign)
        for trial in found.trials
        if trial.note and trial.note.ended is not None and trial.note.ended < ended
    ]
    scores = [r.score for r in before if r.score is not None]
    stop = note.stop or note.dry_stop
    incumbent = found.sign * max(scores) if scores else None
    if stop is not None and stop.epoch == epoch:
        incumbent = stop.incumbent
    seen = record.curve[: (epoch or last) - record.first_epoch]
    return _Moment(epoch or last, note.horizon, seen, incumbent, History(before))


def _forecast(forecaster: Forecaster | None, trial: Record, others: History) -> Forecast:
    """The forecast that the stopping rule makes, or that of another model from the same curves."""
    if forecaster is None:
        return forecast_of(trial, others)
    return forecaster.fit(curves_beside(trial, others)).forecast(trial.curve)


def _draw_curve(ax: Axes, record: Record, sign: int, moment: _Moment) -> None:
    epochs = range(record.first_epoch + 1, record.first_epoch + len(record.curve) + 1)
    values = [sign * value if math.isfinite(value) else math.nan for value in record.curve]
    seen, style = len(moment.seen), dict[str, Any](color=BLUE, markersize=4)
    ax.plot(epochs[:seen], values[:seen], "-o", label="observed", **style)
    if seen < len(values):
        rest = slice(max(seen - 1, 0), None)
        ax.plot(epochs[rest], values[rest], "--", label="observed afterwards", alpha=0.6, **style)


def _draw_forecast(ax: Axes, forecast: Forecast, sign: int, first_epoch: int) -> None:
    last = first_epoch + forecast.horizon
    epochs = range(first_epoch + forecast.observed + 1, last + 1)
    ax.plot(
        epochs,
        [sign * value.quantile(0.5) for value in forecast.values],
        color=ORANGE,
        label="forecast: median, 50 % and 90 % intervals",
    )
    for tail in (0.25, 0.05):
        low, high = ([sign * v.quantile(q) for v in forecast.values] for q in (tail, 1 - tail))
        ax.fill_between(epochs, low, high, color=ORANGE, alpha=0.2, linewidth=0)
    least, median, most = sorted(sign * forecast.quantile(q) for q in (0.05, 0.5, 0.95))
    ax.errorbar(
        [last + 0.03 * forecast.horizon],
        [median],
        [[median - least], [most - median]],
        fmt="D",
        color=ORANGE,
        capsize=4,
        markersize=5,
        label=f"best value expected: {median:.4g} (median), 90 % from {least:.4g} to {most:.4g}",
    )


def _finish(ax: Axes, found: Search, record: Record, note: Note, moment: _Moment) -> None:
    """Title, axes, and a legend below them, where it hides nothing."""
    from matplotlib.ticker import MaxNLocator

    reason = note.stop_reason or note.dry_stop_reason
    title = f"Trial {record.trial_id}" + (f": {reason}" if reason else "")
    ax.set_title("\n".join(textwrap.wrap(title, 88)), loc="left", fontsize="medium")
    ax.set_xlabel("epoch")
    better = "larger" if found.sign > 0 else "smaller"
    ax.set_ylabel(f"{found.objective} ({better} is better)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.3)
    _limit(ax, [v for v in record.curve if math.isfinite(v)], found.sign, moment.incumbent)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False)


def _limit(ax: Axes, curve: list[float], sign: int, incumbent: float | None) -> None:
    """Cuts the axis off where a curve explodes, so that the rest can be seen."""
    usual = sorted(curve, reverse=True)[: max(1, int(0.9 * len(curve)))]  # all but the worst
    shown = [sign * value for value in usual] + ([] if incumbent is None else [incumbent])
    if shown:
        spread = (max(shown) - min(shown)) or abs(shown[0]) or 1.0
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, min(shown) - 5 * spread), min(high, max(shown) + 5 * spread))
