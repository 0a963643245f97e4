"""What a result is worth to the policy, whatever the scale and direction of the objective."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray

REWARDS = ("ranks", "scores", "cubed")

_LOGISTIC_DEVIATION = math.pi / math.sqrt(3.0)


def rewards_of(scores: Array, kind: str) -> Array:
    """The rewards of all results so far, with a standard deviation of about 1.

    - `"ranks"`: the logit of the share of results that a result beats. Nothing but the
      order of the scores matters: a loss of 1e34 is the last of them and no more.
    - `"scores"`: the scores, less their mean, over their standard deviation.
    - `"cubed"`: the same of the scores' cubes, which tell the best apart most, as in
      Zoph and Le (arXiv:1611.01578), for accuracies.

    A failed trial has the lowest reward seen.

    Args:
        scores: The score of each trial, larger being better; NaN if it failed.
        kind: One of `REWARDS`.
    """
    failed = ~np.isfinite(scores)
    if failed.all():
        return np.zeros(len(scores))
    values = np.where(failed, scores[~failed].min(), scores)
    if kind == "ranks":
        return _logits_of_ranks(values)
    largest = np.abs(values).max() or 1.0  # the cube of a large loss would overflow
    values = values / largest if kind == "scores" else (values / largest) ** 3
    deviation = values.std()
    return np.zeros(len(values)) if deviation == 0.0 else (values - values.mean()) / deviation


def _logits_of_ranks(values: Array) -> Array:
    """Of n results the k-th worst beats a share of k / (n + 1); equals share their places."""
    ordered, count = np.sort(values), len(values)
    below, upto = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    share = ((below + upto) / 2 + 0.5) / (count + 1)
    return np.asarray(np.log(share / (1 - share)) / _LOGISTIC_DEVIATION)


def moving_average(rewards: Array, decay: float) -> float:
    """The exponential moving average after the last reward, corrected for its beginning.

    Started at 0 it would be too close to 0 at first; divided by the sum of its weights it
    is not (Kingma and Ba, arXiv:1412.6980, section 3).

    Args:
        rewards: The rewards in the order in which they came.
        decay: What remains of a weight when one more reward has come, in [0, 1).
    """
    # NumPy 1.26 rounds the power of a reversed view differently where its result lies just before
    # it in memory. A resumed policy must equal the uninterrupted one to the last bit.
    weights = decay ** np.arange(len(rewards) - 1, -1, -1, dtype=float)
    return float(np.average(rewards, weights=weights))
