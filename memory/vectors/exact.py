"""Comparing a vector with every view of chosen slots, exactly.

Axis letters: n views, m chosen slots, k chosen views, d features.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Float32, Int64
from lancedb.table import Table

from memory.vectors.flat import FlatVectors, newest_flat
from memory.vectors.rows import VectorRows, products

FetchVectors = Callable[
    [Int64[np.ndarray, "k"]], tuple[Int64[np.ndarray, "k"], Float16[np.ndarray, "k d"]]
]


class ExactLook:
    """Views of slots, and where the vector of each is: in a mapped file, or in RAM if it is newer.

    Args:
        folder: Folder of the tables.
        table: The table of an encoder; who owns it keeps it at its newest version.
        fetch: Reads vectors of views from the table; returns ids, sorted, and vectors.
        most_fetched: So many views are read from the table at most.

    Attributes:
        num_slots: Slots that have a view.
    """

    def __init__(self, folder: Path, table: Table, fetch: FetchVectors, most_fetched: int) -> None:
        self._folder, self._table = folder, table
        self._fetch, self._most_fetched = fetch, most_fetched
        self._flat: FlatVectors | None = None
        self._fresh = VectorRows()
        self._view_ids = self._view_slots = np.empty(0, dtype=np.int64)
        self._by_slot = self._first = self._rows = np.empty(0, dtype=np.int64)
        self.num_slots = 0

    def look(self, view_ids: Int64[np.ndarray, "n"], view_slots: Int64[np.ndarray, "n"]) -> bool:
        """Take in which views there are; return whether there is a file to compare them from.

        Args:
            view_ids: Ids of all views, sorted; the same array as long as nothing changed.
            view_slots: The slot of each.
        """
        is_new = self._open_newest()
        if self._flat is None:
            return False
        if is_new or view_ids is not self._view_ids:
            self._rows = self._flat.rows_of(view_ids)
        if view_ids is not self._view_ids or view_slots is not self._view_slots:
            self._by_slot = np.argsort(view_slots, kind="stable")
            past = int(view_slots.max(initial=0)) + 2
            self._first = np.searchsorted(view_slots[self._by_slot], np.arange(past))
            self.num_slots = int(np.count_nonzero(np.diff(self._first)))
            self._view_ids, self._view_slots = view_ids, view_slots
        return True

    def views_of(self, slot_ids: Int64[np.ndarray, "m"]) -> Int64[np.ndarray, "k"]:
        """Return which views belong to slots, as rising indices into what `look` was given."""
        known = slot_ids[slot_ids < len(self._first) - 1]
        first, last = self._first[known], self._first[known + 1]
        count = last - first
        before = np.cumsum(count) - count
        at = np.arange(int(count.sum())) + np.repeat(first - before, count)
        return np.sort(self._by_slot[at])

    def cosines(
        self, vector: Float32[np.ndarray, "d"], views: Int64[np.ndarray, "k"]
    ) -> Float32[np.ndarray, "k"] | None:
        """Return the cosine of views, given as indices; -inf for those without a vector.

        Returns:
            None if the file lacks too many of them.
        """
        assert self._flat is not None
        found = np.full(len(views), -np.inf, dtype=np.float32)
        rows = self._rows[views]
        there = rows >= 0
        if there.all():
            return products(self._flat.vectors, rows, vector)
        found[there] = products(self._flat.vectors, rows[there], vector)
        asked = self._view_ids[views[~there]]
        missing = asked[[self._fresh.at(int(i)) is None for i in asked]]
        if len(missing) > self._most_fetched:
            return None
        self._fresh.put(*self._fetch(missing))
        ids, cosines = self._fresh.scores(vector, asked)
        found[np.searchsorted(self._view_ids[views], ids)] = cosines
        return found

    def _open_newest(self) -> bool:
        path = newest_flat(self._folder, self._table)
        if path is None or (self._flat is not None and self._flat.path == path):
            return False
        try:
            self._flat = FlatVectors(path)
        except (OSError, ValueError):
            # Replaced a moment ago, or damaged: what was open stays good, the next look tries.
            return False
        self._fresh = VectorRows()
        return True
