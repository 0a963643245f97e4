"""Tests of fidelities and their ladders."""
