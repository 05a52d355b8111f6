"""How well a place is explored: coverage, things seen, and time lost to noise."""
