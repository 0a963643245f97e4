"""Real pipelines."""
