"""Tests of reinforcement learning."""
