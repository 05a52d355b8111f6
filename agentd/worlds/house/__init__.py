"""The embedded house: MuJoCo physics and a camera that needs no graphics library."""
