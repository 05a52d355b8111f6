"""Errors of the configuration that a caller can act on."""


class ConfigError(Exception):
    """A setting is unknown or impossible; the message names file, key and what is accepted."""
