"""Ways to choose where to go next, behind one Protocol."""
