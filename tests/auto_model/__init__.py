"""Tests of the search for the best network for given data."""
