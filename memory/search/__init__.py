"""Asking the memory: one query of name, place, time, state and looks."""
