"""Giving memory back to the system."""

import contextlib
import ctypes

import pyarrow as pa


def release_unused() -> None:
    """Return what reading a large table left behind.

    Lance reads with many threads, and the C library keeps what each of them freed: 150 MB after
    10^5 slots were opened. Where that library is another one, nothing is returned.
    """
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
