"""The guardian: the last word over what moves, apart from everything that learns.

It knows no network, no disk and no clock of its own: `core.Guardian` is a function of what it is
given and when. Around it are its process for robots and its wrapper for simulated bodies.
"""
