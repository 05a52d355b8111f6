"""Reading a life's tables from a notebook, a script or a command, while the life runs or not.

>>> import polars as pl                                         # doctest: +SKIP
>>> from memory.care.access import open_tables                       # doctest: +SKIP
>>> tables = open_tables(Path("~/.local/share/agentd/life/memory").expanduser())  # doctest: +SKIP
>>> pl.DataFrame(tables["slots"])                               # doctest: +SKIP
>>> pl.from_arrow(tables["transitions"].reader(columns=["step", "pose"], where="step > 5000"))
... # doctest: +SKIP

Frames of `transitions` are stored filtered: `memory.replay.pixels` turns them back, and
`memory.care.export` writes them plain. Anything that takes Arrow's C stream takes a table as it is:
Polars, DuckDB, pandas 3, pyarrow.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from lancedb.table import Table

from memory.errors import NewerFormatError
from memory.format import FORMAT_FILE, FORMAT_VERSION, read_format
from memory.tables import naming, open_table, table_names

BATCH_ROWS = 1024
"""Rows read at once: a few megabytes with pixels."""

PIXEL_COLUMNS = frozenset({"rgb", "depth_mm", "instances", "crop", "points_m", "vector"})
"""Columns that make nearly all of a table's bytes."""


def require_readable(folder: Path) -> bool:
    """Return whether there is a memory in a folder; nothing is made or changed.

    Raises:
        NewerFormatError: If a newer program wrote it.
        DamagedTableError: If its format file is missing or damaged.
    """
    if not (folder / FORMAT_FILE).exists() and not any(folder.glob("*.lance")):
        return False
    found = read_format(folder)
    if found > FORMAT_VERSION:
        raise NewerFormatError(
            f"{folder} has format {found} and this program knows formats up to {FORMAT_VERSION}: "
            "use the program that wrote it, or a newer one"
        )
    return True


def quoted(text: str) -> str:
    """Return a text as a literal of a filter."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class TableReader:
    """One table as it was when it was opened: rows that come later are not seen.

    Satisfies the Arrow C stream protocol.
    """

    folder: Path
    name: str
    table: Table

    @property
    def schema(self) -> pa.Schema:
        """Columns and their types; shapes of images are in the metadata."""
        return self.table.schema

    @property
    def version(self) -> int:
        """Table version that is read."""
        return int(self.table.version)

    def num_rows(self, where: str | None = None) -> int:
        """Return the number of rows that satisfy a condition.

        Raises:
            DamagedTableError: If the table cannot be read.
        """
        with naming(self.folder, self.name):
            return int(self.table.count_rows(where))

    def small_columns(self) -> list[str]:
        """Return the columns without pixels and vectors."""
        return [name for name in self.schema.names if name not in PIXEL_COLUMNS]

    def reader(
        self,
        *,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> pa.RecordBatchReader:
        """Return rows as a stream in the order of the table.

        Args:
            columns: Which; all when not given.
            where: Condition in SQL, as in "step > 5000 AND episode_id = 3".
            batch_rows: At most so many rows at once.

        Raises:
            DamagedTableError: If the table cannot be read, a column does not exist or the
                condition makes no sense.
        """
        with naming(self.folder, self.name):
            query = self.table.search().select(list(columns or self.schema.names))
            if where is not None:
                query = query.where(where)
            stream = query.to_batches(batch_rows)
        return pa.RecordBatchReader.from_batches(stream.schema, self._named(stream))

    def _named(self, stream: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        with naming(self.folder, self.name):
            yield from stream

    def to_arrow(
        self, *, columns: Sequence[str] | None = None, where: str | None = None
    ) -> pa.Table:
        """Return rows in RAM; see `reader`.

        Raises:
            DamagedTableError: If the table cannot be read.
        """
        return self.reader(columns=columns, where=where).read_all()

    def rows(
        self, *, columns: Sequence[str] | None = None, where: str | None = None
    ) -> list[dict[str, Any]]:
        """Return rows as plain values; see `reader`.

        Raises:
            DamagedTableError: If the table cannot be read.
        """
        found: list[dict[str, Any]] = self.to_arrow(columns=columns, where=where).to_pylist()
        return found

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.reader().__arrow_c_stream__(requested_schema)


def open_reader(folder: Path, name: str) -> TableReader | None:
    """Return a table at its newest version, None if there is none.

    Raises:
        DamagedTableError: If there is a table that cannot be opened.
    """
    table = open_table(folder, name)
    return None if table is None else TableReader(folder, name, table)


def open_tables(folder: Path) -> dict[str, TableReader]:
    """Return the tables of a memory folder by name, each at its newest version.

    Args:
        folder: The folder `memory` of a life's home.

    Raises:
        NewerFormatError: If a newer program wrote the folder.
        DamagedTableError: If a table cannot be opened; `agentd memory fsck` tells more.
        FileNotFoundError: If there is no memory in the folder.
    """
    if not require_readable(folder):
        raise FileNotFoundError(f"there is no memory in {folder}: expected the file {FORMAT_FILE}")
    readers = {name: open_reader(folder, name) for name in table_names(folder)}
    return {name: reader for name, reader in readers.items() if reader is not None}


def plain(value: Any) -> Any:
    """Return a stored value as JSON can hold it: bytes by their length, NaN as None."""
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
