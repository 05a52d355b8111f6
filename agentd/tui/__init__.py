"""The textual user interface, a client of the control socket."""
