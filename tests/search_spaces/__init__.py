"""Tests of `kt_plus.search_spaces`."""
