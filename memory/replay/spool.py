"""Rows that wait on the local disk until the store elsewhere has them.

A store on object storage is gone whenever the network is. What is lived goes into a spool first:
one Arrow file per append, complete or absent, forced to disk before `put` returns. The files are
written to the store in order, and removed once it has answered. A process that is killed between
writing and removing writes a file twice; steps tell which rows the store has already.
"""

import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from memory.errors import DamagedTableError, StoreError
from memory.files import write_atomic

SPOOL_FOLDER = "spool"

ADD_ROWS = 1024
"""Rows of several files that are written at once: each write costs the store a file."""

_NAME = re.compile(r"(\d{15})-(\d{15})-(\d+)\.arrow")


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


@dataclass(frozen=True, slots=True)
class _Waiting:
    path: Path
    last_step: int
    num_rows: int
    num_bytes: int


class Spool:
    """Waiting rows in a folder; one process writes: one thread puts, and one may drain meanwhile.

    Args:
        folder: Folder of the files; made when the first is written.
        max_bytes: What the files may take.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        for half_written in folder.glob(".*.arrow.*"):
            half_written.unlink()
        self._waiting = deque(_waiting(folder))

    def files(self) -> list[Path]:
        """Return the waiting files in the order of their steps."""
        return [entry.path for entry in tuple(self._waiting)]

    def num_rows(self) -> int:
        """Return how many rows wait."""
        return sum(entry.num_rows for entry in tuple(self._waiting))

    def num_bytes(self) -> int:
        """Return what the waiting files take."""
        return sum(entry.num_bytes for entry in tuple(self._waiting))

    def last_step(self) -> int:
        """Return the newest waiting step, -1 if nothing waits."""
        waiting = tuple(self._waiting)
        return waiting[-1].last_step if waiting else -1

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
                f"the spool in {self._folder} holds {taken} bytes and may hold {self._max_bytes} "
                "(memory.storage.spool_bytes): bring the store back, or allow more"
            )
        path = self._folder / f"{first:015d}-{last:015d}-{rows.num_rows}.arrow"
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
        self._waiting.append(_Waiting(path, last, rows.num_rows, len(content)))

    def drain(self, target: Target) -> int:
        """Write what waits to the store, in order; return the rows that it had not yet.

        Raises:
            OSError: If the store cannot be reached; what is not written waits on.
            DamagedTableError: If a file cannot be read; it and those after it wait on.
        """
        written = 0
        while self._waiting:
            some, rows = self._next()
            fresh = rows.filter(pc.greater(rows["step"], target.last_step()))
            if fresh.num_rows:
                target.add(fresh)
            written += fresh.num_rows
            for entry in some:
                entry.path.unlink()
                self._waiting.popleft()
        return written

    def _next(self) -> tuple[list[_Waiting], pa.RecordBatch]:
        """Return the files that are written next, the first that can be read at least."""
        some: list[_Waiting] = []
        batches: list[pa.RecordBatch] = []
        for entry in tuple(self._waiting):
            if some and sum(e.num_rows for e in some) + entry.num_rows > ADD_ROWS:
                break
            try:
                rows = _read(entry.path)
            except DamagedTableError:
                if not some:
                    raise
                break
            if batches and not rows.schema.equals(batches[0].schema, check_metadata=True):
                break
            some.append(entry)
            batches.append(rows)
        return some, batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def rows_waiting(memory_folder: Path) -> int:
    """Return how many rows of a memory wait for their store, whether its life runs or not."""
    return sum(entry.num_rows for entry in _waiting(memory_folder / SPOOL_FOLDER))


def _waiting(folder: Path) -> list[_Waiting]:
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = _NAME.fullmatch(path.name)
        try:
            if name is not None:
                found.append(_Waiting(path, int(name[2]), int(name[3]), path.stat().st_size))
        except FileNotFoundError:
            # The life, which runs beside this reader, has just written it to the store.
            continue
    return found


def _read(path: Path) -> pa.RecordBatch:
    try:
        with pa.OSFile(str(path)) as source:
            return pa.ipc.open_file(source).get_batch(0)
    except (OSError, pa.ArrowInvalid) as error:
        raise DamagedTableError(f"{path} cannot be read: {error}") from error
