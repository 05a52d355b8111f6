"""The losses of the world model, one file each."""
