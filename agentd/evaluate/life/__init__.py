"""A life in several homes that change: what it is worth to remember and to learn."""
