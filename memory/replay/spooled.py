"""The replay store of a life whose tables lie on object storage.

Rows go to the spool on the local disk and from there to the store, so the loop never waits for the
network. Durability: when `append` returns, its rows survive a killed process and a power cut, on
this disk or, once `rows_waiting` no longer counts them, in the store.

What waits cannot be sampled yet: `version` counts what the store has taken.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from memory.config import MemoryConfig
from memory.errors import StoreError
from memory.records import Transition
from memory.replay.row_index import INDEX_COLUMNS, IndexRows, column_values
from memory.replay.rows import RowShape
from memory.replay.spool import SPOOL_FOLDER, Spool
from memory.replay.store import LanceReplay
from memory.tables import require_reach

DRAIN_S = 2.0
"""Time that one append gives to what waits; its caller has rows coming in meanwhile."""


class SpooledReplay(LanceReplay):
    """A life's own replay store elsewhere; others open it as a `LanceReplay`.

    What an earlier process left waiting is written first.

    Args:
        folder: Folder of the memory, whose tables lie elsewhere.
        config: Settings.
        tell: Called with a sentence when the store is lost and when it is back.

    Raises:
        StoreAwayError: If the store cannot be reached. Nothing is lost; rows wait on.
        SecondWriterError: If rows wait and another process writes this life.
        DamagedTableError: If the table or a waiting file cannot be read.
    """

    def __init__(
        self, folder: Path, config: MemoryConfig, tell: Callable[[str], None] = lambda text: None
    ) -> None:
        self._spool = Spool(folder / SPOOL_FOLDER, config.storage.spool_bytes)
        self._tell = tell
        self._trouble: str | None = None
        super().__init__(folder, config.replay)
        if self._spool.num_rows():
            with self._lock:
                self._writer.take()
                self._spool.drain(_Committed(self))
        # The first append asks for it, and the store may be away by then.
        self._newest_stamp()

    @property
    def rows_waiting(self) -> int:
        """Rows on this disk that the store has not taken yet."""
        return self._spool.num_rows()

    def append(self, transitions: Sequence[Transition]) -> int:
        """Keep rows; see `ReplayStore.append`. On return they are on this disk, or in the store.

        Returns:
            The version up to which the store holds the life.

        Raises:
            RefusedRowError: If a row cannot be stored; names the step. None was kept.
            SpoolFullError: If the store is away and no more rows may wait; none was kept.
            SecondWriterError: If another store writes this folder.
            OSError: If this disk is full or cannot be written; none was kept.
        """
        with self._lock:
            self._writer.take()
            if transitions:
                last_step = max(self._index.last_step(), self._spool.last_step())
                rows = self._encoded(transitions, last_step, self._newest)
                self._spool.put(rows)
                self._shape = RowShape.of_schema(rows.schema)
                last = transitions[-1]
                self._newest = (last.episode_id, last.observation.stamp_ns)
            self._settle_spool()
            return self._index.last_step() + 1

    def _settle_spool(self) -> None:
        """Write what waits; the rows are safe if that fails, so that is told and not raised."""
        try:
            require_reach(self._folder)
            self._spool.drain(_Committed(self), DRAIN_S)
        except (StoreError, OSError) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._tell(f"rows wait on this disk: {error}")
            return
        if self._trouble is not None and not self._spool.num_rows():
            self._trouble = None
            self._tell("the store is back, no rows wait any more")


class _Committed:
    """What the store holds, as the spool asks for it."""

    def __init__(self, store: SpooledReplay) -> None:
        self._store = store

    def last_step(self) -> int:
        return self._store.last_step()

    def add(self, rows: pa.RecordBatch) -> None:
        columns = {name: column_values(rows[name]) for name in INDEX_COLUMNS}
        self._store._commit(rows, IndexRows.of_columns(columns))
        if self._store._index.last_step() < rows["step"][-1].as_py():
            # A merge came in between, or the table is new.
            self._store._catch_up()
