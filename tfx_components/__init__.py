"""Components for TFX pipelines."""
