"""The hot tier: rows that were read lately, decoded, in RAM.

Decompressing 512 frames costs about 30 ms, copying them 2 ms. A young life fits whole, and there a
learner reads every row again and again. In a life of many times the capacity hardly any row is read
twice before it is replaced, so the store stops using the tier (see `pays`).

It holds copies of rows that never change: it can be lost at any time and fills up again.

Axis letters: n frames asked for, or rows of the tier; m rows read.
"""

import threading
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Int64

Columns = dict[str, np.ndarray]
"""Arrays by column name with the rows on axis 0."""

_WORTH = 4
"""Rows of a life per row of capacity beyond which copying into the tier costs what it saves."""


class HotRows:
    """Bounded, direct-mapped cache of rows by their step.

    Args:
        capacity_bytes: RAM at most; taken page by page as rows come in.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._capacity = 0
        self._lock = threading.Lock()
        self._columns: Columns = {}
        self._steps: Int64[np.ndarray, "n"] = np.empty(0, dtype=np.int64)

    def pays(self, num_rows: int, row_bytes: int) -> bool:
        """Return whether the tier is worth it for a life of this many rows."""
        return 0 < num_rows <= _WORTH * (self._capacity_bytes // row_bytes)

    def gather(
        self, steps: Int64[np.ndarray, "n"], read: Callable[[Int64[np.ndarray, "m"]], Columns]
    ) -> Columns:
        """Return the rows of steps, in that order.

        Args:
            steps: Steps, repeated as often as they are wanted.
            read: Returns the columns of distinct, increasing steps in that order.
        """
        with self._lock:
            slots = steps % max(self._capacity, 1)
            held = self._steps[slots] == steps if self._capacity else np.zeros(len(steps), bool)
            missing = np.unique(steps[~held])
            if not len(missing):
                return {name: column[slots] for name, column in self._columns.items()}
            found = read(missing)
            if not self._capacity:
                self._allocate(found)
                slots = steps % self._capacity
            rows = {name: column[slots] for name, column in self._columns.items()}
            at = np.searchsorted(missing, steps[~held])
            for name, values in rows.items():
                values[~held] = found[name][at]
            self._keep(missing, found)
            return rows

    def _allocate(self, example: Mapping[str, np.ndarray]) -> None:
        row_bytes = sum(values[:1].nbytes for values in example.values())
        self._capacity = max(1, self._capacity_bytes // row_bytes)
        self._steps = np.full(self._capacity, -1, dtype=np.int64)
        self._columns = {
            name: np.empty((self._capacity, *values.shape[1:]), dtype=values.dtype)
            for name, values in example.items()
        }

    def _keep(self, steps: Int64[np.ndarray, "m"], found: Columns) -> None:
        slots, first = np.unique(steps % self._capacity, return_index=True)
        for name, column in self._columns.items():
            column[slots] = found[name][first]
        self._steps[slots] = steps[first]
