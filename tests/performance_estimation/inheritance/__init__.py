"""Tests of weight inheritance."""
