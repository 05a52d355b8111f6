"""Every step of a life in a LanceDB table.

One process writes; any number of others read. RAM holds step, episode and place of every row, the
rows stay on disk and are read by their offset.

Durability: when `append` returns, its rows survive a killed process and a power cut; an append
that was cut short left all of its rows or none.

Versions: steps grow over a life and rows are only added, so "everything before step n" names a
state of the life for good. That number is the version. A view of it reads the newest files and
leaves out later steps: compaction and clean-up need not know who has pinned what, no process has
to let go of anything, and a round can be repeated bit for bit from the version in its manifest as
long as retention has not dropped the rows themselves.
"""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int64
from lancedb.table import Table

from memory.care.merging import merge_tiers
from memory.config import ReplayConfig
from memory.errors import DamagedTableError
from memory.format import prepare_folder
from memory.heap import release_unused
from memory.place import place_of
from memory.records import Batch, Transition
from memory.replay.codecs import CODECS
from memory.replay.hot_rows import HotRows
from memory.replay.row_index import INDEX_COLUMNS, IndexRows, RowIndex
from memory.replay.rows import (
    BATCH_COLUMNS,
    RowShape,
    check_order,
    check_values,
    decode,
    decode_columns,
    encode,
    to_batch,
)
from memory.replay.samplers import Sampler, choose
from memory.replay.table_order import TableOrder
from memory.schema import TRANSITIONS, transitions_schema
from memory.tables import create_table, naming, open_table, sync_table, table_bytes, table_path
from memory.writer_lock import WriterLock

_MANY_ROWS = 100_000
"""Rows whose reading leaves enough memory behind to give it back."""


class LanceReplay:
    """Replay store in a table. Satisfies `memory.protocols.ReplayStore`.

    The table lies where `memory.place` says; what a life itself writes to object storage goes
    through a `memory.replay.spooled.SpooledReplay`.

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

    @classmethod
    def reading(cls, folder: Path, config: ReplayConfig, version: int) -> "LanceReplay":
        """Return a read-only view of the rows with steps below a version; nothing is written.

        Raises:
            DamagedTableError: If the table cannot be read.
        """
        view = cls.__new__(cls)
        view._open(folder, config, version)
        return view

    def _open(self, folder: Path, config: ReplayConfig, pinned: int | None) -> None:
        self._folder = folder
        self._is_local = place_of(folder) is None
        self._data_path = table_path(folder, TRANSITIONS) / "data"
        self._config = config
        self._pinned = pinned
        self._lock = threading.RLock()
        self._writer = WriterLock(folder / f"{TRANSITIONS}.lock")
        self._index = RowIndex(config.probe_every)
        self._order = TableOrder(pinned)
        self._hot = HotRows(config.hot_mib * 2**20)
        self._shape: RowShape | None = None
        self._schema: pa.Schema | None = None
        self._table_version = 0
        self._table: Table | None = None
        self._newest: tuple[int, int] | None = None
        self._in_doubt: tuple[int, int] | None = None
        self._catch_up()

    def append(self, transitions: Sequence[Transition]) -> int:
        """Commit rows; see `ReplayStore.append`. On return they are on the disk.

        After a failed append the same rows may be handed over again: those that did reach the
        table are not written twice.

        Raises:
            RefusedRowError: If a step does not increase, time goes backwards inside an episode, a
                shape differs from the table's, or a value cannot be stored; names the step. None
                of the rows was written.
            ValueError: If the store is a view of one version.
            SecondWriterError: If another store writes this folder.
            DiskFullError: If there is no space.
            DamagedTableError: If LanceDB cannot write for another reason.
        """
        if self._pinned is not None:
            raise ValueError(f"a view of version {self._pinned} cannot be appended to")
        with self._lock:
            self._writer.take()
            self._catch_up()
            fresh = self._settle(transitions)
            if fresh:
                self._write(fresh)
            return self.version

    def _settle(self, transitions: Sequence[Transition]) -> Sequence[Transition]:
        """Finish an append that failed half-way; return the rows that are still to be written."""
        if self._in_doubt is None:
            return transitions
        last_step, started_ns = self._in_doubt
        if self._index.last_step() < last_step:
            self._in_doubt = None
            return transitions
        with naming(self._folder, TRANSITIONS, "appended to"):
            sync_table(self._folder, TRANSITIONS, started_ns)
        self._in_doubt = self._newest = None
        return [row for row in transitions if row.step > last_step]

    def _write(self, transitions: Sequence[Transition]) -> None:
        rows = self._encoded(transitions, self._index.last_step(), self._newest_stamp())
        self._commit(rows, IndexRows.of_transitions(transitions))
        newest = transitions[-1]
        self._newest = (newest.episode_id, newest.observation.stamp_ns)

    def _encoded(
        self, transitions: Sequence[Transition], last_step: int, newest: tuple[int, int] | None
    ) -> pa.RecordBatch:
        """Return checked rows as the table holds them."""
        check_order(transitions, last_step, newest)
        shape = self._shape or RowShape.of_transition(transitions[0])
        shape.check(transitions)
        check_values(transitions)
        return encode(transitions, self._schema or self._new_schema(shape))

    def _new_schema(self, shape: RowShape) -> pa.Schema:
        return transitions_schema(
            shape.height_px,
            shape.width_px,
            shape.num_objects,
            shape.num_features,
            CODECS[self._config.frames],
        )

    def _commit(self, rows: pa.RecordBatch, index: IndexRows) -> None:
        table = self._table_for(rows.schema)
        started_ns = time.time_ns() - 1_000_000_000
        self._in_doubt = (int(index.step[-1]), started_ns)
        with naming(self._folder, TRANSITIONS, "appended to"):
            table.add(rows, write_parallelism=1)
            sync_table(self._folder, TRANSITIONS, started_ns)
        self._in_doubt = None
        if int(table.version) == self._table_version + 1:
            self._index.extend(index)
            self._order.added(index.step)
            self._table_version += 1

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
        return self._windows(steps)

    def _windows(self, steps: Int64[np.ndarray, "b t"]) -> Batch:
        """Return the rows of steps as a batch."""
        try:
            return self._read_windows(steps)
        except DamagedTableError:
            # Between the look at the table and the read a merge may have moved the rows, and a
            # clean-up removed the old files: the second look tells that from real damage.
            return self._read_windows(steps)

    def _read_windows(self, steps: Int64[np.ndarray, "b t"]) -> Batch:
        distinct, order = np.unique(steps, return_inverse=True)
        with self._lock:
            self._catch_up()
            table, shape, num_rows = self._table, self._shape, len(self._index)
            rows = np.minimum(np.searchsorted(self._index.step, distinct), num_rows - 1)
            if table is None or shape is None or np.any(self._index.step[rows] != distinct):
                raise DamagedTableError(
                    f"table {TRANSITIONS!r} in {self._folder} lost rows while they were read"
                )
            places = self._order.offsets_of(rows)
            known = self._index.batch_columns(rows)

        def read(wanted: Int64[np.ndarray, "m"]) -> dict[str, np.ndarray]:
            return self._read_rows(table, shape, wanted, places[np.searchsorted(distinct, wanted)])

        with naming(self._folder, TRANSITIONS):
            if self._hot.pays(num_rows, shape.batch_bytes):
                columns = self._hot.gather(steps.ravel(), read)
            else:
                columns = self._read_rows(table, shape, distinct, places, order.ravel())
            columns |= {name: values[order.ravel()] for name, values in known.items()}
            return to_batch({k: v.reshape(*steps.shape, *v.shape[1:]) for k, v in columns.items()})

    def _read_rows(
        self,
        table: Table,
        shape: RowShape,
        steps: Int64[np.ndarray, "m"],
        places: Int64[np.ndarray, "m"],
        order: Int64[np.ndarray, "n"] | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the batch columns of rows by their growing steps and their offsets.

        Args:
            table: The table.
            shape: Of its rows.
            steps: Growing steps.
            places: Their offsets.
            order: Which of them to return, in this order; None returns all.
        """
        by_place = np.argsort(places)
        found = _take(table, places[by_place].tolist(), list(BATCH_COLUMNS))
        if not np.array_equal(found["step"].to_numpy(), steps[by_place]):
            raise DamagedTableError(
                f"table {TRANSITIONS!r} in {self._folder} returned other rows than asked for"
            )
        at = np.argsort(by_place)
        at = at if order is None else at[order]
        if len(at) != len(steps) or np.any(np.diff(at) != 1):
            # Before the frames are unpacked, while they are small.
            found = found.take(pa.array(at))
        return decode_columns(found, shape)

    def read(self, first: int, count: int) -> list[Transition]:
        """Return `count` rows from row number `first` of the life on, fewer at its end.

        Raises:
            DamagedTableError: If rows cannot be read.
        """
        with self._lock:
            self._catch_up()
            table, shape, last = self._table, self._shape, min(first + count, len(self._index))
            if table is None or shape is None or first >= last:
                return []
            places = np.sort(self._order.offsets_of(np.arange(first, last)))
            with naming(self._folder, TRANSITIONS):
                rows = decode(_take(table, places.tolist(), table.schema.names), shape)
        return sorted(rows, key=lambda row: row.step)

    def at_version(self, version: int) -> "LanceReplay":
        """Return a read-only view of the rows with steps below a version.

        Raises:
            ValueError: If the life has not come that far.
        """
        newest = self.version
        if not 0 <= version <= newest:
            raise ValueError(f"version {version} does not exist, the newest is {newest}")
        return LanceReplay.reading(self._folder, self._config, version)

    @property
    def version(self) -> int:
        """One more than the newest committed step, 0 for an empty store."""
        return self.last_step() + 1 if self._pinned is None else self._pinned

    @property
    def rows_waiting(self) -> int:
        """Rows that were appended and cannot be read yet: none, where the table is a local one."""
        return 0

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
        """Return how many rows of training episodes were appended after a version."""
        with self._lock:
            self._catch_up()
            return self._index.num_training_rows(since_version)

    def disk_bytes(self) -> int:
        """Return the size of the table with its kept old versions."""
        return table_bytes(self._folder, TRANSITIONS)

    def compact(self) -> None:
        """Merge small files where that is worth it; see `memory.care.merging`.

        Raises:
            StoreError: If it failed; names the table. Disk use grows until it succeeds.
        """
        merge_tiers(self._folder, TRANSITIONS)

    def close(self) -> None:
        """Let go of the table and of the right to write it; quiet when called twice."""
        with self._lock:
            self._table = None
            self._writer.release()

    def _table_for(self, schema: pa.Schema) -> Table:
        if self._table is None:
            self._table = create_table(self._folder, TRANSITIONS, schema)
            self._schema, self._shape = schema, RowShape.of_schema(schema)
        return self._table

    def _newest_stamp(self) -> tuple[int, int] | None:
        """Return episode and time of the newest row, None without rows."""
        if self._newest is None and len(self._index):
            newest = self.read(len(self._index) - 1, 1)[0]
            self._newest = (newest.episode_id, newest.observation.stamp_ns)
        return self._newest

    def _catch_up(self) -> None:
        """Take in rows that were committed since the last look."""
        if self._table is None:
            self._table = open_table(self._folder, TRANSITIONS)
            if self._table is None:
                return
        if self._is_local and len(self._index) and not self._data_path.is_dir():
            raise DamagedTableError(
                f"table {TRANSITIONS!r} in {self._folder} was removed while it was in use: "
                "put it back, or start again to begin a new one"
            )
        with naming(self._folder, TRANSITIONS):
            self._table.checkout_latest()
            version = int(self._table.version)
            if version == self._table_version:
                return
            self._schema = self._table.schema
            self._shape = RowShape.of_schema(self._schema)
            anew, fresh = self._order.catch_up(self._table, list(INDEX_COLUMNS))
            if anew:
                self._index = RowIndex(self._config.probe_every)
            self._index.extend(IndexRows.of_columns(fresh))
            if len(fresh["step"]) >= _MANY_ROWS:
                release_unused()
            self._table_version = version


def _take(table: Table, offsets: list[int], columns: list[str]) -> pa.Table:
    return table.take_offsets(offsets).select(columns).to_arrow()
