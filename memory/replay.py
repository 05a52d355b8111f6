"""Every step of a life in a LanceDB table.

One process writes; any number of others read. RAM holds an index of the rows, the rows stay on disk
and are read by their offset, which compaction keeps.
"""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from lancedb.table import Table

from memory.config import ReplayConfig
from memory.errors import DamagedTableError, NotEnoughDataError, StoreError
from memory.records import Batch, Transition
from memory.row_index import INDEX_COLUMNS, IndexRows, RowIndex, column_values
from memory.rows import BATCH_COLUMNS, RowShape, decode, encode, to_batch
from memory.samplers import Sampler, choose
from memory.schema import TRANSITIONS, prepare_folder, transitions_schema
from memory.sizes import folder_bytes
from memory.tables import (
    KEEP_VERSIONS,
    create_table,
    naming,
    open_table,
    sync_files,
    table_path,
)

TAIL_SHARE = 0.25
"""Compaction rewrites the table once this share of it lies in small fragments.

LanceDB merges all fragments below a million rows at once (0.5 ms of CPU per row); waiting for a
share instead of a count keeps what is rewritten at a small multiple of what is appended.
"""

MIN_FRAGMENTS, MAX_FRAGMENTS = 16, 512
"""Fewer fragments are left alone; more are merged whatever their share, as every version lists
them all and a read opens each one that it touches."""


class LanceReplay:
    """Replay store on disk. Satisfies `memory.protocols.ReplayStore`.

    Appends may come from one thread, samples from others. A reader in another process sees new
    rows at its next call.

    Args:
        folder: Folder of the life's tables; made if it does not exist.
        config: Settings.

    Raises:
        NewerFormatError: If a newer program wrote the folder.
        DamagedTableError: If the table cannot be read. Nothing is overwritten.
    """

    def __init__(self, folder: Path, config: ReplayConfig) -> None:
        prepare_folder(folder)
        self._open(folder, config, None)

    def _open(self, folder: Path, config: ReplayConfig, pinned: int | None) -> None:
        self._folder = folder
        self._config = config
        self._pinned = pinned
        self._lock = threading.RLock()
        self._index = RowIndex(config.probe_every)
        self._shape: RowShape | None = None
        self._indexed_version = 0
        self._table: Table | None = None
        if pinned != 0:
            self._table = open_table(folder, TRANSITIONS, pinned)
        self._catch_up()

    def append(self, transitions: Sequence[Transition]) -> int:
        """Commit rows; see `ReplayStore.append`. On return they are on the disk.

        Raises:
            ValueError: If steps do not increase, a shape differs from the table's, or the store
                is a view of one version.
            DamagedTableError: If LanceDB cannot write.
        """
        if self._pinned is not None:
            raise ValueError(f"a view of version {self._pinned} cannot be appended to")
        with self._lock:
            if not transitions:
                return self.version
            steps = np.array([row.step for row in transitions], dtype=np.int64)
            self._index.check_follows(steps)
            shape = self._shape or RowShape.of_transition(transitions[0])
            shape.check(transitions)
            table = self._table_for(shape)
            started_ns = time.time_ns() - 1_000_000_000
            base_version = int(table.version)
            rows = encode(transitions, base_version, table.schema)
            with naming(self._folder, TRANSITIONS, "appended to"):
                table.add(rows)
                sync_files(table_path(self._folder, TRANSITIONS), started_ns)
            self._index.extend(IndexRows.of_transitions(transitions, base_version))
            self._indexed_version = int(table.version)
            return self._indexed_version

    def sample(
        self,
        batch_size: int,
        horizon: int,
        rng: np.random.Generator,
        *,
        sampler: Sampler | None = None,
        held_out: bool = False,
    ) -> Batch:
        """Draw windows; see `ReplayStore.sample`.

        Raises:
            NotEnoughDataError: If there is no such window.
            DamagedTableError: If rows cannot be read.
        """
        with self._lock:
            self._catch_up()
            offsets = choose(self._index, batch_size, horizon, rng, sampler, held_out=held_out)
            steps = self._index.step[offsets]
            table, shape = self._table, self._shape
        if table is None or shape is None:
            raise NotEnoughDataError("the store is empty")
        wanted, order = np.unique(offsets, return_inverse=True)
        with naming(self._folder, TRANSITIONS):
            rows = _take(table, wanted.tolist(), list(BATCH_COLUMNS))
            batch = to_batch(rows, order.reshape(offsets.shape), shape)
        if not np.array_equal(batch.step, steps):
            raise DamagedTableError(
                f"table {TRANSITIONS!r} in {self._folder} returned other rows than asked for"
            )
        return batch

    def read(self, first: int, count: int) -> list[Transition]:
        """Return `count` rows from row number `first` on, fewer at the end of the table.

        Raises:
            DamagedTableError: If rows cannot be read.
        """
        with self._lock:
            self._catch_up()
            table, shape, last = self._table, self._shape, min(first + count, len(self._index))
        if table is None or shape is None or first >= last:
            return []
        with naming(self._folder, TRANSITIONS):
            return decode(_take(table, list(range(first, last)), table.schema.names), shape)

    def at_version(self, version: int) -> "LanceReplay":
        """Return a read-only view of one table version.

        Raises:
            ValueError: If the version was never committed.
            DamagedTableError: If its files are gone: replaced versions are kept for half an hour.
        """
        newest = self.version
        if not 0 <= version <= newest:
            raise ValueError(f"version {version} does not exist, the newest is {newest}")
        view = LanceReplay.__new__(LanceReplay)
        view._open(self._folder, self._config, version)
        return view

    @property
    def version(self) -> int:
        """Newest committed table version, 0 for an empty store."""
        with self._lock:
            self._catch_up()
            return self._indexed_version

    def __len__(self) -> int:
        with self._lock:
            self._catch_up()
            return len(self._index)

    def last_step(self) -> int:
        """Return the newest committed step, -1 if there is none."""
        with self._lock:
            self._catch_up()
            return self._index.last_step()

    def last_episode(self) -> int:
        """Return the newest episode, -1 if there is none."""
        with self._lock:
            self._catch_up()
            return self._index.last_episode()

    def num_training_rows(self, since_version: int = 0) -> int:
        """Return how many rows of training episodes were appended after a version.

        A compaction that runs during an append may hide that append from a count that starts at
        the compaction's own version.
        """
        with self._lock:
            self._catch_up()
            return self._index.num_training_rows(since_version)

    def disk_bytes(self) -> int:
        """Return the size of the table with its kept old versions."""
        return folder_bytes(table_path(self._folder, TRANSITIONS))

    def compact(self) -> None:
        """Merge small files if that is worth it and drop what replaced versions no longer need.

        Works on a handle of its own: appends and reads go on meanwhile.

        Raises:
            StoreError: If it failed; names the table. Disk use grows until it succeeds.
        """
        table = open_table(self._folder, TRANSITIONS)
        if table is None or self._pinned is not None:
            return
        try:
            stats: Any = table.stats()
            fragments = stats["fragment_stats"]
            num_rows = table.count_rows()
            count, tail_rows = fragments["num_fragments"], num_rows - fragments["lengths"]["max"]
            worth_it = count >= MIN_FRAGMENTS and tail_rows >= TAIL_SHARE * num_rows
            if not worth_it and count < MAX_FRAGMENTS:
                return
            table.optimize(cleanup_older_than=KEEP_VERSIONS)
        except Exception as error:
            raise StoreError(
                f"table {TRANSITIONS!r} in {self._folder} cannot be compacted: {error}"
            ) from error

    def close(self) -> None:
        """Let go of the table; quiet when called twice."""
        with self._lock:
            self._table = None

    def _table_for(self, shape: RowShape) -> Table:
        if self._table is None:
            schema = transitions_schema(
                shape.height_px, shape.width_px, shape.num_objects, shape.num_features
            )
            self._table = create_table(self._folder, TRANSITIONS, schema)
            self._shape = shape
        return self._table

    def _catch_up(self) -> None:
        """Take in rows that were committed since the last look."""
        if self._table is None:
            if self._pinned is not None:
                return
            self._table = open_table(self._folder, TRANSITIONS)
            if self._table is None:
                return
        with naming(self._folder, TRANSITIONS):
            if self._pinned is None:
                self._table.checkout_latest()
            version = int(self._table.version)
            if version == self._indexed_version:
                return
            self._shape = RowShape.of_schema(self._table.schema)
            known, num_rows = len(self._index), self._table.count_rows()
            if num_rows > known:
                query = self._table.search().select(list(INDEX_COLUMNS)).offset(known)
                for fresh in query.limit(num_rows - known).to_batches():
                    columns = {name: column_values(fresh[name]) for name in INDEX_COLUMNS}
                    self._index.extend(IndexRows.of_columns(columns))
            self._indexed_version = version


def _take(table: Table, offsets: list[int], columns: list[str]) -> pa.Table:
    return table.take_offsets(offsets).select(columns).to_arrow()
