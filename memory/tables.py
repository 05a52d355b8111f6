"""Opening, creating and syncing LanceDB tables, with errors that name the table and where it lies.

A folder stands for its tables wherever they are: see `memory.place`.
"""

import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import lancedb
import pyarrow as pa
from lancedb.table import Table

from memory.errors import DamagedTableError, DiskFullError, StoreAwayError, StoreError
from memory.files import remove_folder
from memory.place import place_of, why_away
from memory.schema import FILE_FORMAT
from memory.sizes import folder_bytes

if TYPE_CHECKING:
    import lance

KEEP_VERSIONS = timedelta(minutes=30)
"""Age at which the files of replaced table versions go: longer than any reader holds one."""

READ_ROWS = 65_536
"""Rows per batch where all of a table is read. Batches of a thousand leave holes all over the heap
of the C library, 90 MB after 400 000 vectors; large ones go back to the system."""

CLAIM = "claim"
"""Table elsewhere that says which life a prefix belongs to; not part of the memory."""

_NO_SPACE = os.strerror(errno.ENOSPC)


@contextmanager
def naming(folder: Path, table: str, doing: str = "read") -> Iterator[None]:
    """Turn what LanceDB raises in the block into an error that names the table.

    Raises:
        DiskFullError: If the block failed for lack of space.
        StoreAwayError: If the tables lie elsewhere and that place did not answer.
        DamagedTableError: If it raised anything else but a StoreError.
    """
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        cause = _cause(error)
        place = place_of(folder)
        away = None if place is None else why_away(place, str(error))
        if place is not None and away is not None:
            _failed[place.uri] = (time.monotonic(), away)
            raise StoreAwayError(away) from error
        where = folder if place is None else place
        if _NO_SPACE in cause:
            raise DiskFullError(
                f"table {table!r} in {where} cannot be {doing}: the disk is full; "
                "it goes on by itself once there is space"
            ) from error
        raise DamagedTableError(f"table {table!r} in {where} cannot be {doing}: {cause}") from error


def _cause(error: Exception) -> str:
    """Return the first line of an error without the engine's own source files."""
    first = (str(error).strip().splitlines() or [repr(error)])[0]
    return re.sub(r", /\S+\.rs\S*", "", first)[:300]


_failed: dict[str, tuple[float, str]] = {}
"""When a place elsewhere was last found away, and why, by its address."""


def require_reach(folder: Path) -> None:
    """Check that the place of the tables was not found away just now.

    An attempt to reach a place that is away takes seconds: a writer that has others waiting asks
    here first.

    Raises:
        StoreAwayError: If it was; tells again why.
    """
    place = place_of(folder)
    if place is None or place.uri not in _failed:
        return
    since_s, why = _failed[place.uri]
    if time.monotonic() - since_s < place.retry_s:
        raise StoreAwayError(why)


def connect(folder: Path) -> lancedb.DBConnection:
    """Return a connection to the tables of a folder.

    Raises:
        StoreError: If the tables lie elsewhere and the environment holds no credentials.
    """
    place = place_of(folder)
    options = {"new_table_data_storage_version": FILE_FORMAT}
    if place is None:
        return lancedb.connect(str(folder), storage_options=options)
    return lancedb.connect(place.uri, storage_options=options | place.options())


def open_lance(folder: Path, name: str) -> "lance.LanceDataset":
    """Return a table as the engine's own package opens it, which knows more of merging files.

    That is a second copy of the engine: for a process of the upkeep alone.
    """
    import lance

    place = place_of(folder)
    if place is None:
        return lance.dataset(str(table_path(folder, name)))
    return lance.dataset(f"{place.uri}/{name}.lance", storage_options=place.options())


def table_names(folder: Path) -> list[str]:
    """Return the names of the tables of a folder, whether they open or not.

    Raises:
        StoreError: If they lie elsewhere and that place cannot be reached.
    """
    if place_of(folder) is None:
        return sorted(path.stem for path in folder.glob("*.lance") if path.is_dir())
    with naming(folder, "*", "listed"):
        names: list[str] = []
        token: str | None = None
        while True:
            found = connect(folder).list_tables(page_token=token, limit=1000)
            names += found.tables
            token = found.page_token
            if not token:
                return sorted(name for name in names if name != CLAIM)


def table_bytes(folder: Path, name: str = "") -> int:
    """Return what a table takes with its kept old versions, or what all tables elsewhere take.

    Args:
        folder: Folder of the tables.
        name: Table, or a path below its own, as in "views.lance/_indices"; "" stands for all
            that lies elsewhere, which is nothing of a folder that holds its tables itself.

    Raises:
        StoreError: If they lie elsewhere and that place cannot be reached.
    """
    path = name if not name or "/" in name else f"{name}.lance"
    place = place_of(folder)
    if place is None:
        return folder_bytes(folder / path) if path else 0
    with naming(folder, name or "*", "measured"):
        return place.num_bytes(path)


def drop_table(folder: Path, name: str) -> None:
    """Remove a table; nothing happens if there is none.

    Raises:
        StoreError: If it lies elsewhere and cannot be removed.
    """
    if place_of(folder) is not None and open_table(folder, name) is not None:
        with naming(folder, name, "dropped"):
            connect(folder).drop_table(name)
    # Of a table elsewhere it holds what was derived from it.
    if table_path(folder, name).exists():
        remove_folder(table_path(folder, name))


def table_path(folder: Path, name: str) -> Path:
    """Return where LanceDB keeps a table that lies in its folder."""
    return folder / f"{name}.lance"


def open_table(folder: Path, name: str, version: int | None = None) -> Table | None:
    """Return a table at its newest or at a given version, None if it was never committed.

    A folder without a manifest and without data is the trace of a process that was killed while
    it created the table: nothing was stored yet, so it counts as absent.

    Raises:
        StoreAwayError: If the tables lie elsewhere and that place cannot be reached.
        DamagedTableError: If there is a table that cannot be opened.
    """
    is_local = place_of(folder) is None
    path = table_path(folder, name)
    if is_local and (not path.exists() or _never_committed(path)):
        return None
    with naming(folder, name, "opened"):
        try:
            table = connect(folder).open_table(name)
        except ValueError as error:
            if is_local or f"Table '{name}' was not found" not in str(error):
                raise
            return None
        if version is not None:
            table.checkout(version)
        return table


def create_table(folder: Path, name: str, schema: pa.Schema) -> Table:
    """Create an empty table."""
    path = table_path(folder, name)
    if place_of(folder) is None and path.exists() and _never_committed(path):
        shutil.rmtree(path)
    with naming(folder, name, "created"):
        return connect(folder).create_table(name, schema=schema)


def _never_committed(path: Path) -> bool:
    return not any(path.glob("_versions/*.manifest")) and not any(path.glob("data/*"))


def sync_table(folder: Path, name: str, since_ns: int = 0) -> None:
    """Force to disk every file of a table that was written after a time.

    Lance leaves that to the kernel, which survives a killed process but not a power cut. Object
    storage keeps what it has answered for: there is nothing to force.
    """
    path = table_path(folder, name)
    if place_of(folder) is None and path.exists():
        sync_files(path, since_ns)


def sync_files(path: Path, since_ns: int) -> None:
    """Force to disk the files of a folder, or of a table's, that were written after a time."""
    for directory in (path / "data", path / "_transactions", path / "_versions", path):
        if not directory.exists():
            continue
        for name in (*_written_since(directory, since_ns), str(directory)):
            try:
                handle = os.open(name, os.O_RDONLY)
            except FileNotFoundError:
                # A concurrent clean-up removed it: nothing refers to it any more.
                continue
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _written_since(directory: Path, since_ns: int) -> list[str]:
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                if entry.stat().st_mtime_ns >= since_ns:
                    found.append(entry.path)
            except FileNotFoundError:
                continue
    return found
