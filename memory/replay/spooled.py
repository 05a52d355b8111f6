"""The replay store of a life whose tables lie on object storage.

Rows go to the spool on the local disk, and a thread takes them from there to the store: whoever
appends never waits for the network. Durability: when `append` returns, its rows survive a killed
process and a power cut, on this disk or, once `rows_waiting` no longer counts them, in the store.

What waits cannot be sampled yet: `version` counts what the store has taken.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from memory.config import MemoryConfig
from memory.records import Transition
from memory.replay.row_index import INDEX_COLUMNS, IndexRows, column_values
from memory.replay.rows import RowShape
from memory.replay.spool import SPOOL_FOLDER, Spool
from memory.replay.store import LanceReplay
from memory.tables import require_reach

CLOSE_S = 5.0
"""Time that the end of a life gives to what waits; the next start writes the rest."""

_LEAST_RETRY_S = 0.1


class SpooledReplay(LanceReplay):
    """A life's own replay store elsewhere; others open it as a `LanceReplay`.

    What an earlier process left waiting is written first. Close it: a thread belongs to it.

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
        self._retry_s = max(config.storage.retry_s, _LEAST_RETRY_S)
        self._tell = tell
        self._trouble: str | None = None
        self._putting = threading.Lock()
        self._turn = threading.Condition()
        self._asked = self._done = 0
        self._is_closing = False
        super().__init__(folder, config.replay)
        if self._spool.num_rows():
            self._writer.take()
            self._spool.drain(_Committed(self))
        self._newest_stamp()
        self._last_put = self._index.last_step()
        self._version = self._last_put + 1
        self._shipper = threading.Thread(target=self._ship, name="shipper", daemon=True)
        self._shipper.start()

    @property
    def rows_waiting(self) -> int:
        """Rows on this disk that the store has not taken yet."""
        return self._spool.num_rows()

    def append(self, transitions: Sequence[Transition]) -> int:
        """Keep rows; see `ReplayStore.append`. On return they are on this disk.

        Returns:
            The version up to which the store holds the life.

        Raises:
            RefusedRowError: If a row cannot be stored; names the step. None was kept.
            SpoolFullError: If the store is away and no more rows may wait; none was kept.
            SecondWriterError: If another store writes this folder.
            OSError: If this disk is full or cannot be written; none was kept.
        """
        with self._putting:
            self._writer.take()
            if not transitions:
                return self._version
            rows = self._encoded(transitions, self._last_put, self._newest)
            self._spool.put(rows)
            last = transitions[-1]
            self._last_put = last.step
            self._newest = (last.episode_id, last.observation.stamp_ns)
            self._schema, self._shape = rows.schema, RowShape.of_schema(rows.schema)
        self._ask()
        return self._version

    def settle(self, timeout_s: float) -> bool:
        """Have what waits written now; return whether nothing waits any more.

        Args:
            timeout_s: Longest wait for an attempt to end.
        """
        mine = self._ask()
        with self._turn:
            self._turn.wait_for(lambda: self._done >= mine, timeout_s)
        return self.rows_waiting == 0

    def close(self) -> None:
        """Write what waits if that is quick, and let go of the store; quiet when called twice."""
        if not self._is_closing:
            self.settle(CLOSE_S)
            with self._turn:
                self._is_closing = True
                self._turn.notify_all()
            self._shipper.join(_LEAST_RETRY_S)
        if not self._shipper.is_alive():
            super().close()

    def _ask(self) -> int:
        with self._turn:
            self._asked += 1
            self._turn.notify_all()
            return self._asked

    def _ship(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(
                    lambda: self._asked > self._done or self._is_closing,
                    self._retry_s if self.rows_waiting else None,
                )
                if self._is_closing:
                    return
                asked = self._asked
            self._write_waiting()
            with self._turn:
                self._done = asked
                self._turn.notify_all()

    def _write_waiting(self) -> None:
        """Write what waits; the rows are safe if that fails, so that is told and not raised."""
        try:
            if self.rows_waiting:
                require_reach(self._folder)
                self._spool.drain(_Committed(self))
        except Exception as error:  # without this thread no row would ever arrive
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._tell(f"rows wait on this disk: {error}")
            return
        if self._trouble is not None:
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
        store = self._store
        with store._lock:
            store._commit(rows, IndexRows.of_columns(columns))
            if store._index.last_step() < rows["step"][-1].as_py():
                # A merge came in between, or the table is new.
                store._catch_up()
            store._version = store._index.last_step() + 1
