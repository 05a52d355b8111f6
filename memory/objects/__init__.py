"""Every object of a place: which it is, where it is, and whether it is still there."""
