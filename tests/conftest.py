"""Settings for all tests."""

from __future__ import annotations

from hypothesis import settings

# The same examples at every run: a failure in `make test` is one that anybody can repeat.
# `pytest --hypothesis-profile=explore` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("repeatable")
