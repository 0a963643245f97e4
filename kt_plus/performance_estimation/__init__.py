"""Cheaper estimates of how good a configuration is."""
