"""What a memory holds, in numbers, read from the tables."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memory.care.access import TableReader, open_tables, require_readable
from memory.place import place_of
from memory.replay.spool import rows_waiting
from memory.schema import EVENTS, SLOTS, TRANSITIONS, VIEWS
from memory.sizes import folder_bytes
from memory.tables import naming, table_bytes
from memory.vectors.encoders import vector_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStats:
    """One table.

    Attributes:
        name: Which.
        rows: Live rows.
        bytes: Files of the newest version.
        disk_bytes: All its files, those of older versions that are still kept included.
        bytes_per_row: Of the newest version, over the rows that its files hold.
        fragments: Files of data.
        versions: Versions that can still be opened.
        version: Newest version.
        indices: Names of its search indices.
    """

    name: str
    rows: int
    bytes: int
    disk_bytes: int
    bytes_per_row: float
    fragments: int
    versions: int
    version: int
    indices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStats:
    """A memory folder.

    Attributes:
        tables: Every table.
        place: Where its tables lie.
        disk_bytes: Everything in the folder and, if its tables lie elsewhere, there.
        rows_waiting: Rows on the local disk that the place has not taken yet.
        steps: Rows of the replay table; `first_step` and `last_step` are None without any.
        episodes: Episodes in it.
        slots: Slots by state.
        views: Kept crops.
        embeddings: Vectors by encoder version.
        changes: Log entries by kind.
        newest_ns: Newest stamp of an observation, a sighting and a log entry; None without any.
    """

    tables: tuple[TableStats, ...]
    place: str
    disk_bytes: int
    rows_waiting: int
    steps: int
    first_step: int | None
    last_step: int | None
    episodes: int
    slots: dict[str, int]
    views: int
    embeddings: dict[str, int]
    changes: dict[str, int]
    newest_ns: dict[str, int | None]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def table_stats(reader: TableReader) -> TableStats:
    """Return the numbers of one table.

    Raises:
        DamagedTableError: If it cannot be read.
    """
    with naming(reader.folder, reader.name):
        versions = reader.table.list_versions()
        of_version = {entry["version"]: entry["metadata"] for entry in versions}
        indices = tuple(sorted(index.name for index in reader.table.list_indices()))
    newest: dict[str, str] = of_version.get(reader.version, {})
    num_bytes = int(newest.get("total_files_size", 0))
    in_files = int(newest.get("total_data_file_rows", 0))
    return TableStats(
        name=reader.name,
        rows=reader.num_rows(),
        bytes=num_bytes,
        disk_bytes=table_bytes(reader.folder, reader.name),
        bytes_per_row=num_bytes / in_files if in_files else 0.0,
        fragments=int(newest.get("total_fragments", 0)),
        versions=len(versions),
        version=reader.version,
        indices=indices,
    )


def memory_stats(folder: Path) -> MemoryStats:
    """Return what a memory folder holds; all zero if there is no memory yet.

    Raises:
        NewerFormatError: If a newer program wrote the folder.
        DamagedTableError: If a table cannot be read.
    """
    tables = open_tables(folder) if require_readable(folder) else {}
    first_step = last_step = seen_ns = None
    steps = episodes = 0
    if TRANSITIONS in tables:
        index = tables[TRANSITIONS].to_arrow(columns=["step", "episode_id", "stamp_ns"])
        steps = index.num_rows
        if steps:
            step = index["step"].to_numpy()
            first_step, last_step = int(step.min()), int(step.max())
            episodes = len(np.unique(index["episode_id"].to_numpy()))
            seen_ns = int(index["stamp_ns"].to_numpy().max())
    return MemoryStats(
        tables=tuple(table_stats(tables[name]) for name in sorted(tables)),
        place=str(place_of(folder) or folder),
        disk_bytes=folder_bytes(folder) + table_bytes(folder),
        rows_waiting=rows_waiting(folder),
        steps=steps,
        first_step=first_step,
        last_step=last_step,
        episodes=episodes,
        slots=_count(tables, SLOTS, "state"),
        views=tables[VIEWS].num_rows() if VIEWS in tables else 0,
        embeddings={version: len(rows.view_ids()) for version, rows in vector_rows(tables).items()},
        changes=_count(tables, EVENTS, "kind"),
        newest_ns={
            "observation": seen_ns,
            "sighting": _newest(tables, SLOTS, "last_seen_ns"),
            "change": _newest(tables, EVENTS, "stamp_ns"),
        },
    )


def newest_stamp_ns(folder: Path) -> int:
    """Return the newest stamp of a memory, 0 of an empty one: "now" by the clock of its body.

    Raises:
        NewerFormatError: If a newer program wrote the folder.
        DamagedTableError: If a table cannot be read.
    """
    tables = open_tables(folder) if require_readable(folder) else {}
    columns = {TRANSITIONS: "stamp_ns", SLOTS: "last_seen_ns", EVENTS: "stamp_ns"}
    return max((_newest(tables, name, column) or 0 for name, column in columns.items()), default=0)


def _count(tables: dict[str, TableReader], name: str, column: str) -> dict[str, int]:
    if name not in tables:
        return {}
    values = tables[name].to_arrow(columns=[column])[column].to_pylist()
    return dict(sorted(Counter(values).items()))


def _newest(tables: dict[str, TableReader], name: str, column: str) -> int | None:
    if name not in tables:
        return None
    values = tables[name].to_arrow(columns=[column])[column].to_numpy()
    return int(values.max()) if len(values) else None
