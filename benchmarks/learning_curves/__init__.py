"""How well learning curves are extrapolated, and what rules that stop trials cost and lose."""
