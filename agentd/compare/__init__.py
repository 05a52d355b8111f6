"""Recipes of world models on one life or recording, side by side."""
