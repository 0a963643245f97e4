"""Search strategies: pure functions from what a search knows to what it tries next."""
