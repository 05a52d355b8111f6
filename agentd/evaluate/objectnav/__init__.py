"""Episodes of Habitat's ObjectNav task, played by our policy and scored as habitat-lab does."""
