"""Errors that a caller of the memory can act on."""


class StoreError(Exception):
    """Base of the errors below."""


class NotEnoughDataError(StoreError):
    """The store holds no window of the asked length yet."""


class DamagedTableError(StoreError):
    """A table exists but cannot be read; names the table and its folder."""


class NewerFormatError(StoreError):
    """The data were written by a newer format than this program knows."""


class EncoderVersionMismatchError(StoreError):
    """Vectors of two encoders were about to be compared."""


class WorseRetrievalError(StoreError):
    """A new encoder finds objects less well than the active one, and settings refuse that."""
