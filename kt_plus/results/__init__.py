"""What a search has found: as a data frame, and as pictures.

Every function takes a tuner or the directory of a project, be it of a search that is running or
has crashed, and changes nothing there; a policy is told by the tuner only. They need the extra
`plots`: pandas and matplotlib. `rank_agreement` and `to_tensorboard` need neither; `to_optuna` and
the importance of hyperparameters need `optuna`.
"""

from kt_plus.results.agreement import plot_rank_agreement, rank_agreement
from kt_plus.results.architectures import plot_architecture, plot_trade_off
from kt_plus.results.coordinates import plot_parallel_coordinates
from kt_plus.results.exports import to_optuna
from kt_plus.results.frame import runs_to_dataframe, to_dataframe
from kt_plus.results.importance import importance_to_dataframe, plot_importance
from kt_plus.results.inheritance import inheritance_to_dataframe
from kt_plus.results.lineage import plot_family_tree, plot_searches
from kt_plus.results.overview import plot_best_so_far, plot_learning_curves
from kt_plus.results.plots import plot_trial
from kt_plus.results.policy import plot_policy, policy_to_dataframe
from kt_plus.results.tensorboard import to_tensorboard

__all__ = [
    "importance_to_dataframe",
    "inheritance_to_dataframe",
    "plot_architecture",
    "plot_best_so_far",
    "plot_family_tree",
    "plot_importance",
    "plot_learning_curves",
    "plot_parallel_coordinates",
    "plot_policy",
    "plot_rank_agreement",
    "plot_searches",
    "plot_trade_off",
    "plot_trial",
    "policy_to_dataframe",
    "rank_agreement",
    "runs_to_dataframe",
    "to_dataframe",
    "to_optuna",
    "to_tensorboard",
]
