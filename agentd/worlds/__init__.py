"""Bodies behind the World protocol."""
