"""One writer per table: a lock that the kernel drops when its process ends, however it ends."""

import fcntl
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory.errors import SecondWriterError


class WriterLock:
    """Held from the first write on; readers never ask for it.

    Args:
        path: Lock file; stays behind, as removing it could split the lock in two.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._release: weakref.finalize[[int], "WriterLock"] | None = None

    def take(self) -> None:
        """Take the lock, or keep it.

        Raises:
            SecondWriterError: If another store holds it; names the process.
        """
        if self._release is not None:
            return
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(handle)
            raise SecondWriterError(
                f"{self._path.parent} is being written by process {holder}: "
                "a life has one writer; stop that process or use another folder"
            ) from None
        os.truncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        self._release = weakref.finalize(self, os.close, handle)

    def release(self) -> None:
        """Let go; quiet when it is not held."""
        if self._release is not None:
            self._release()
            self._release = None


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Hold a lock file, after waiting for whoever holds it, in this process or another."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
