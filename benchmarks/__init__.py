"""Benchmarks of kt_plus: each script prints its table; README.md holds the commands."""
