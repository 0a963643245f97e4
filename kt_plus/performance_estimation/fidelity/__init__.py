"""Fidelities: ways to train more cheaply, and the ladders that they make for a search."""

from kt_plus.performance_estimation.fidelity.agreement import (
    Agreement,
    Coefficient,
    RankAgreement,
    rank_agreement,
)
from kt_plus.performance_estimation.fidelity.base import Fidelity, Ladder
from kt_plus.performance_estimation.fidelity.epochs import Epochs
from kt_plus.performance_estimation.fidelity.examples import DataFraction
from kt_plus.performance_estimation.fidelity.images import Resolution
from kt_plus.performance_estimation.fidelity.size import Cells, Width, cells, resolution, width
from kt_plus.performance_estimation.training_data import TrainingData

__all__ = [
    "Agreement",
    "Cells",
    "Coefficient",
    "DataFraction",
    "Epochs",
    "Fidelity",
    "Ladder",
    "RankAgreement",
    "Resolution",
    "TrainingData",
    "Width",
    "cells",
    "rank_agreement",
    "resolution",
    "width",
]
