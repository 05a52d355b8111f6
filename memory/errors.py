"""Errors that a caller of the memory can act on."""


class StoreError(Exception):
    """Base of the errors below."""


class NotEnoughDataError(StoreError):
    """The store holds no window of the asked length yet."""


class DamagedTableError(StoreError):
    """A table exists but cannot be read; names the table and its folder."""


class DiskFullError(StoreError):
    """There is no space for a write; nothing that was committed is touched."""


class PlaceError(StoreError):
    """What was asked for does not fit where the tables lie; names the place and the setting."""


class StoreAwayError(StoreError, OSError):
    """The tables lie elsewhere and cannot be reached now: the network, the bucket, credentials."""


class NewerFormatError(StoreError):
    """The data were written by a newer format than this program knows."""


class EncoderVersionMismatchError(StoreError):
    """Vectors of two encoders were about to be compared."""


class RefusedRowError(StoreError, ValueError):
    """A transition that cannot be stored; nothing of its append was.

    Attributes:
        step: Its step, by which the recorder finds and drops it.
    """

    def __init__(self, step: int, why: str) -> None:
        super().__init__(f"step {step} is refused: {why}")
        self.step = step


class SecondWriterError(StoreError):
    """Another process writes the same table; names its process id."""


class WorseRetrievalError(StoreError):
    """A new encoder finds objects less well than the active one, and settings refuse that."""
