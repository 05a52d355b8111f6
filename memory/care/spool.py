"""Rows that wait on the local disk while the store elsewhere cannot be reached.

A store on object storage is gone whenever the network is. What is lived meanwhile goes into a
spool: one Arrow file per append, complete or absent, forced to disk before `put` returns. When the
store answers again the files are written to it in order and removed. A process that is killed
between writing and removing writes a file twice; steps tell which rows the store has already.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from memory.errors import DamagedTableError, StoreError
from memory.files import write_atomic

_NAME = re.compile(r"(\d{15})-(\d{15})\.arrow")


class SpoolFullError(StoreError):
    """The spool holds as much as it may; says what to do."""


class Target(Protocol):
    """A store elsewhere."""

    def last_step(self) -> int:
        """Return the newest committed step, -1 without rows.

        Raises:
            OSError: If it cannot be reached.
        """
        ...

    def add(self, rows: pa.RecordBatch) -> None:
        """Commit rows.

        Raises:
            OSError: If it cannot be reached; the rows may have arrived or not.
        """
        ...


class Spool:
    """Waiting rows in a folder; one process writes.

    Args:
        folder: Folder of the files; made if it does not exist.
        max_bytes: What the files may take.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._max_bytes = folder, max_bytes

    def files(self) -> list[Path]:
        """Return the waiting files in the order of their steps."""
        return sorted(path for path in self._folder.iterdir() if _NAME.fullmatch(path.name))

    def num_bytes(self) -> int:
        """Return what the waiting files take."""
        return sum(path.stat().st_size for path in self.files())

    def last_step(self) -> int:
        """Return the newest waiting step, -1 if nothing waits."""
        files = self.files()
        return int(files[-1].stem.split("-")[1]) if files else -1

    def put(self, rows: pa.RecordBatch) -> None:
        """Keep rows with increasing steps; on return they are on the disk.

        Raises:
            ValueError: If their steps do not follow what waits already.
            SpoolFullError: If there is no room for them; none was kept.
            OSError: If the disk is full or cannot be written; none was kept.
        """
        if rows.num_rows == 0:
            return
        first, last = rows["step"][0].as_py(), rows["step"][-1].as_py()
        if first <= self.last_step():
            raise ValueError(f"step {first} follows step {self.last_step()} that waits already")
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, rows.schema) as file:
            file.write_batch(rows)
        content = sink.getvalue().to_pybytes()
        taken = self.num_bytes()
        if taken + len(content) > self._max_bytes:
            raise SpoolFullError(
                f"the spool in {self._folder} holds {taken} bytes and may hold {self._max_bytes}: "
                "bring the store back, or allow more"
            )
        write_atomic(self._folder / f"{first:015d}-{last:015d}.arrow", content)

    def drain(self, target: Target) -> int:
        """Write what waits to the store, in order; return the rows that it had not yet.

        Raises:
            OSError: If the store cannot be reached; what is not written waits on.
            DamagedTableError: If a file cannot be read; it and those after it wait on.
        """
        written = 0
        for path in self.files():
            rows = _read(path)
            fresh = rows.filter(pc.greater(rows["step"], target.last_step()))
            if fresh.num_rows:
                target.add(fresh)
            written += fresh.num_rows
            path.unlink()
        return written


class SpooledAppender:
    """Appends that never wait for the network.

    Args:
        target: The store elsewhere.
        spool: What waits for it.
        on_change: Called with a sentence when the store is lost and when it is back.
    """

    def __init__(
        self, target: Target, spool: Spool, on_change: Callable[[str], None] = lambda text: None
    ) -> None:
        self._target, self._spool, self._on_change = target, spool, on_change
        self._is_away = False

    def append(self, rows: pa.RecordBatch) -> bool:
        """Keep rows here, then write all that waits to the store; return whether that worked.

        Either way the rows are safe: on this disk, or in the store.

        Raises:
            ValueError: If their steps do not follow what waits already.
            SpoolFullError: If the store is away and there is no room for them.
            OSError: If this disk is full or cannot be written.
        """
        self._spool.put(rows)
        return self.settle()

    def settle(self) -> bool:
        """Write what waits to the store; return whether nothing waits any more."""
        try:
            self._spool.drain(self._target)
        except OSError as error:
            if not self._is_away:
                self._is_away = True
                self._on_change(f"the store cannot be reached, rows wait on this disk: {error}")
            return False
        if self._is_away:
            self._is_away = False
            self._on_change("the store is back, nothing waits any more")
        return True


def _read(path: Path) -> pa.RecordBatch:
    try:
        with pa.OSFile(str(path)) as source:
            return pa.ipc.open_file(source).get_batch(0)
    except (OSError, pa.ArrowInvalid) as error:
        raise DamagedTableError(f"{path} cannot be read: {error}") from error
