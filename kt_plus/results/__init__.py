"""What a search has found: as a data frame, and as pictures.

Every function takes a tuner or the directory of a project, be it of a search that is running or
has crashed, and changes nothing there. They need the extra `plots`: pandas and matplotlib.
"""

from kt_plus.results.frame import to_dataframe
from kt_plus.results.plots import plot_trial

__all__ = ["plot_trial", "to_dataframe"]
