"""Tests of the search strategies."""
