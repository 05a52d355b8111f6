"""Where the rows of a life lie in its table.

Lance keeps the rows of a table in the order of its files, and a merge puts its new file behind all
files that were there when it began to write: behind rows, too, that were appended while it read. So
the order of the table is not the order of the life, and both have to be known to read a window by
the offsets of its rows.

Axis letters: n rows in the order of life, m rows asked for.
"""

from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped
from lancedb.table import Table

from memory.replay.row_index import column_values


class TableOrder:
    """Offset in the table of every row, in the order of steps; 8 bytes per row.

    Args:
        until: Rows with this step or a later one are left out; None leaves out none.
    """

    def __init__(self, until: int | None = None) -> None:
        self._until = until
        self.clear()

    def clear(self) -> None:
        """Forget the table."""
        self._offsets = np.empty(1024, dtype=np.int64)
        self._num_rows = 0
        self._num_seen = 0
        self._version = 0
        self._num_files = 0

    def offsets_of(self, rows: Int64[np.ndarray, "*m"]) -> Int64[np.ndarray, "*m"]:
        """Return the offsets of rows that are numbered in the order of life."""
        return self._offsets[: self._num_rows][rows]

    def added(self, step: Int64[np.ndarray, "n"]) -> None:
        """Take in rows with growing steps that an append put at the end, as one file."""
        self._extend(self._num_seen + np.arange(len(step), dtype=np.int64))
        self._num_seen += len(step)
        self._num_files += 1
        self._version += 1

    def catch_up(
        self, table: Table, columns: list[str]
    ) -> tuple[bool, dict[str, Shaped[np.ndarray, "n *k"]]]:
        """Take in what a table holds now.

        Args:
            table: At the version to take in.
            columns: Columns to return; the first is `step`.

        Returns:
            Whether the rows that were known have to be forgotten, because they may have moved or
            gone; and the columns of the rows that are new since then, in the order of life.
        """
        stats: Any = table.stats()
        version, num_files = int(table.version), int(stats["fragment_stats"]["num_fragments"])
        # An append adds one file per version; a merge, or rows that were dropped, never do.
        only_grew = num_files - self._num_files == version - self._version
        anew = self._num_seen > 0 and not only_grew
        if anew:
            self.clear()
        found = _read(table, columns, self._num_seen)
        step = found["step"]
        order = np.argsort(step, kind="stable")
        if self._until is not None:
            order = order[: int(np.searchsorted(step[order], self._until))]
        self._extend(self._num_seen + order)
        self._num_seen += len(step)
        self._version, self._num_files = version, num_files
        return anew, {name: values[order] for name, values in found.items()}

    def _extend(self, offsets: Int64[np.ndarray, "n"]) -> None:
        end = self._num_rows + len(offsets)
        if end > len(self._offsets):
            grown = np.empty(max(end, 2 * len(self._offsets)), dtype=np.int64)
            grown[: self._num_rows] = self._offsets[: self._num_rows]
            self._offsets = grown
        self._offsets[self._num_rows : end] = offsets
        self._num_rows = end


def _read(table: Table, columns: list[str], first: int) -> dict[str, np.ndarray]:
    """Return columns of a table from a row on."""
    query = table.search().select(columns).offset(first)
    rows = query.limit(max(table.count_rows() - first, 1)).to_arrow()
    return {name: column_values(rows[name].combine_chunks()) for name in columns}
