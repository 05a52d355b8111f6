"""Environments of Gymnasium as bodies."""
