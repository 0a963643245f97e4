"""The Tuner component."""
