"""Habitat's scanned houses as a body: in this process, or served by another Python."""
