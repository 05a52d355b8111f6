"""Keeping a memory small, sound and open to others."""
