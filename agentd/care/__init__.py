"""Looks after the body: obeys what the guardian advises and cannot do itself."""
