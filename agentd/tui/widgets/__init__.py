"""Widgets of the text interface; each shows one answer of the life and asks nothing itself."""
