"""Settings of this process that libraries read when they load. Import it before NumPy."""

from __future__ import annotations

import importlib.util
import os

# A benchmark compares methods by the time of one core. Child processes inherit the settings.
for _name in ("OMP", "OPENBLAS", "MKL", "TF_NUM_INTRAOP", "TF_NUM_INTEROP"):
    os.environ[_name + ("_THREADS" if _name.startswith("TF") else "_NUM_THREADS")] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# The environment of the slow peers has PyTorch only.
if "KERAS_BACKEND" not in os.environ and not importlib.util.find_spec("tensorflow"):
    os.environ["KERAS_BACKEND"] = "torch"
