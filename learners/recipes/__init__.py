"""Recipes: which parts and losses make one method, how it is trained, and what it is worth."""
