"""Tests of kt_plus.results."""
