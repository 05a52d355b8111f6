"""Paired, seeded evaluation with intervals."""
