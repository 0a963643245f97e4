"""Tests of parallel search."""
