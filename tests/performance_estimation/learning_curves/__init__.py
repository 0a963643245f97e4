"""Tests of the models of learning curves."""
