"""Vectors of an encoder in one plain file that is mapped into memory: for exact looks at some.

LanceDB takes 8 us per row that it is asked for by number, and an index that must leave out nine
rows of ten is no faster. From a mapped file, 40 000 chosen vectors of 128 features are compared in
some 10 ms, and only the pages that were asked for are ever read.

A vector never changes and the id of a view is never used again, so that a file which is older than
its table lacks vectors and has no wrong ones. It lies inside the folder of its table and goes with
it. The job that builds the index writes it. Axis letters: n vectors, d features, m chosen rows.
"""

import shutil
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Int64
from lancedb.table import Table

from memory.files import remove_folder
from memory.tables import READ_ROWS, naming, sync_files, table_path

STALE_ROWS, STALE_SHARE = 2000, 0.05
"""Rows and share of rows that it may lack before it is written anew: readers hold those in RAM."""

_FOLDER, _IDS, _VECTORS, _UNFINISHED = "_flat", "ids.npy", "vectors.npy", ".unfinished"


class FlatVectors:
    """One written file.

    Args:
        path: Its folder, see `newest_flat`.

    Attributes:
        view_ids: Sorted.
        vectors: Without padding; on disk.

    Raises:
        OSError: If it is not there any more.
        ValueError: If it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.view_ids: Int64[np.ndarray, "n"] = np.load(path / _IDS, allow_pickle=False)
        mapped = np.load(path / _VECTORS, mmap_mode="r", allow_pickle=False)
        self.vectors: Float16[np.ndarray, "n d"] = np.asarray(mapped)
        if len(self.view_ids) != len(self.vectors):
            raise ValueError(
                f"{path} holds {len(self.view_ids)} ids of {len(self.vectors)} vectors"
            )

    def rows_of(self, view_ids: Int64[np.ndarray, "m"]) -> Int64[np.ndarray, "m"]:
        """Return the row of each view, -1 for those that are not here."""
        if len(self.view_ids) == 0:
            return np.full(len(view_ids), -1)
        at = np.minimum(np.searchsorted(self.view_ids, view_ids), len(self.view_ids) - 1)
        return np.where(self.view_ids[at] == view_ids, at, -1)


def newest_flat(folder: Path, table: Table) -> Path | None:
    """Return the folder of the newest file that belongs to a table, None without any."""
    written = (table_path(folder, table.name) / _FOLDER).glob("[0-9]*")
    versions = [int(path.name) for path in written if path.name.isdecimal()]
    # One of a later version than the table's belongs to a table that was there before.
    versions = [version for version in versions if version <= table.version]
    if not versions:
        return None
    return table_path(folder, table.name) / _FOLDER / str(max(versions))


def open_flat(folder: Path, table: Table) -> FlatVectors | None:
    """Return the newest file of a table, None if there is none that can be used."""
    path = newest_flat(folder, table)
    try:
        return None if path is None else FlatVectors(path)
    except (OSError, ValueError):
        # Replaced a moment ago, or damaged: the table holds the same.
        return None


def refresh_flat(folder: Path, table: Table, size: int) -> bool:
    """Write the file of a table anew if it lacks too much; return whether it did.

    Args:
        folder: Folder of the tables.
        table: The table, at its newest version.
        size: Features of its vectors without padding.

    Raises:
        DamagedTableError: If the table cannot be read.
        DiskFullError: If there is no room for it.
    """
    with naming(folder, table.name, "copied into a flat file"):
        found = table.search().select(["view_id"]).to_batches(READ_ROWS).read_all()["view_id"]
        ids = found.to_numpy().astype(np.int64)
        if not _is_stale(newest_flat(folder, table), ids):
            return False
        base = table_path(folder, table.name) / _FOLDER
        made, unfinished = base / str(table.version), base / _UNFINISHED
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        order = np.argsort(ids, kind="stable")
        np.save(unfinished / _IDS, ids[order], allow_pickle=False)
        _write_vectors(table, unfinished / _VECTORS, ids[order], size)
        sync_files(unfinished, since_ns=0)
        if made.exists():
            remove_folder(made)
        unfinished.rename(made)
    for old in base.iterdir():
        if old != made:
            remove_folder(old)
    return True


def _is_stale(path: Path | None, view_ids: Int64[np.ndarray, "n"]) -> bool:
    if path is None:
        return True
    try:
        lacking = int((FlatVectors(path).rows_of(view_ids) < 0).sum())
    except (OSError, ValueError):
        return True
    return lacking > max(STALE_ROWS, STALE_SHARE * len(view_ids))


def _write_vectors(table: Table, path: Path, view_ids: Int64[np.ndarray, "n"], size: int) -> None:
    shape = (len(view_ids), size)
    mapped = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    for batch in table.search().select(["view_id", "vector"]).to_batches(READ_ROWS):
        flat = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
        rows = np.searchsorted(view_ids, batch.column("view_id").to_numpy())
        mapped[rows] = flat.reshape(len(batch), -1)[:, :size]
    mapped.flush()
