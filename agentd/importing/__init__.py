"""Bringing recorded logs into a life."""
