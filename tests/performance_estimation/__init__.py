"""Tests of the stopping rules and other estimates."""
