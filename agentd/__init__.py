"""The life around the agent: command line, loop, daemon, worlds, evaluation."""

__version__ = "0.1.0"
