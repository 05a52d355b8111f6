"""Settings of the bodies that a life may drive, a file each."""
