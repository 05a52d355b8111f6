"""A life as others read it: what was sensed and done, and what the agent made of it."""
