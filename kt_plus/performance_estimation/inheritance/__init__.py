"""Networks that inherit their parents' weights: Net2Wider, Net2Deeper, network morphism.

`WeightInheritance` is what users see. Of the rest, `arrays` has the arithmetic, `network` what is
known of a network, `matching` who inherits from whom, and `traces` what tensors stand for then.
What layers with weights take over is told by `rules`, which has one for each kind in `kernels`,
`recurrent` and `normalizations`, and for what the parent lacks in `new_layers`; `pairs` is what
these share. `plan` puts it together, and `keras_models` is the way from Keras's models and back.
"""

from kt_plus.performance_estimation.inheritance.keras_models import UnreadableModel
from kt_plus.performance_estimation.inheritance.options import WeightInheritance
from kt_plus.performance_estimation.inheritance.plan import LayerReport, Report

__all__ = ["LayerReport", "Report", "UnreadableModel", "WeightInheritance"]
