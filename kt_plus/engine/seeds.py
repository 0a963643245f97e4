"""Seeds for everything that is random in a search, all told by one seed and a position."""

from __future__ import annotations

import random

import numpy as np


def search_seed(seed: int | None) -> int:
    """The user's seed, 0 included; else one from Python's `random`, which may be seeded itself."""
    return random.randrange(2**31) if seed is None else int(seed)


def proposal_rng(seed: int, trials_started: int) -> np.random.Generator:
    """The randomness of one proposal: unrelated streams for other seeds and other positions."""
    return np.random.default_rng([seed % 2**63, trials_started])


def training_seed(seed: int, trial_id: str, execution: int, epoch: int | None = None) -> int:
    """The 31-bit seed of a trial's weights, dropout and data order, or of one epoch's."""
    words = [seed % 2**63, execution, *trial_id.encode(), *([] if epoch is None else [2**8, epoch])]
    return int(np.random.SeedSequence(words).generate_state(1)[0] >> 1)
