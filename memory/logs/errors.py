"""What can be wrong with a log, in words for the person who has it."""

from memory.errors import StoreError


class LogError(StoreError):
    """A log cannot be read as steps of a life; says why and what would help."""


class ImageError(LogError):
    """An image cannot be decoded."""
