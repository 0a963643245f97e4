"""The best network for given data, in one call."""

from kt_plus.auto_model.auto_model import AutoModel

__all__ = ["AutoModel"]
