"""Opening, creating and syncing LanceDB tables, with errors that name the table and the folder."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import lancedb
import pyarrow as pa
from lancedb.table import Table

from memory.errors import DamagedTableError, DiskFullError, StoreError
from memory.schema import FILE_FORMAT

KEEP_VERSIONS = timedelta(minutes=30)
"""Age at which the files of replaced table versions go: longer than any reader holds one."""

READ_ROWS = 65_536
"""Rows per batch where all of a table is read. Batches of a thousand leave holes all over the heap
of the C library, 90 MB after 400 000 vectors; large ones go back to the system."""

_NO_SPACE = os.strerror(errno.ENOSPC)


@contextmanager
def naming(folder: Path, table: str, doing: str = "read") -> Iterator[None]:
    """Turn what LanceDB raises in the block into an error that names the table.

    Raises:
        DiskFullError: If the block failed for lack of space.
        DamagedTableError: If it raised anything else but a StoreError.
    """
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        cause = _cause(error)
        if _NO_SPACE in cause:
            raise DiskFullError(
                f"table {table!r} in {folder} cannot be {doing}: the disk is full; "
                "it goes on by itself once there is space"
            ) from error
        raise DamagedTableError(
            f"table {table!r} in {folder} cannot be {doing}: {cause}"
        ) from error


def _cause(error: Exception) -> str:
    """Return the first line of an error without the engine's own source files."""
    first = (str(error).strip().splitlines() or [repr(error)])[0]
    return re.sub(r", /\S+\.rs\S*", "", first)[:300]


def connect(folder: Path) -> lancedb.DBConnection:
    """Return a connection to the tables of a folder."""
    options = {"new_table_data_storage_version": FILE_FORMAT}
    return lancedb.connect(str(folder), storage_options=options)


def table_path(folder: Path, name: str) -> Path:
    """Return where LanceDB keeps a table."""
    return folder / f"{name}.lance"


def open_table(folder: Path, name: str, version: int | None = None) -> Table | None:
    """Return a table at its newest or at a given version, None if it was never committed.

    A folder without a manifest and without data is the trace of a process that was killed while
    it created the table: nothing was stored yet, so it counts as absent.

    Raises:
        DamagedTableError: If there is a table that cannot be opened.
    """
    path = table_path(folder, name)
    if not path.exists() or _never_committed(path):
        return None
    with naming(folder, name, "opened"):
        table = connect(folder).open_table(name)
        if version is not None:
            table.checkout(version)
        return table


def create_table(folder: Path, name: str, schema: pa.Schema) -> Table:
    """Create an empty table."""
    path = table_path(folder, name)
    if path.exists() and _never_committed(path):
        shutil.rmtree(path)
    with naming(folder, name, "created"):
        return connect(folder).create_table(name, schema=schema)


def _never_committed(path: Path) -> bool:
    return not any(path.glob("_versions/*.manifest")) and not any(path.glob("data/*"))


def sync_files(path: Path, since_ns: int) -> None:
    """Force to disk every file of a table that was written after a time.

    Lance leaves that to the kernel, which survives a killed process but not a power cut.
    """
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
