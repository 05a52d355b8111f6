"""Spans of a life in the formats of others: MCAP, LeRobot datasets, TUM trajectories."""
