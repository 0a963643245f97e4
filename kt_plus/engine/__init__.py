"""The engine: what a search knows, and the seams through which Keras Tuner runs it."""
