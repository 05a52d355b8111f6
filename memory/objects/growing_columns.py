"""Arrays of equal length that take in and lose rows without being copied each time."""

from typing import ClassVar

import numpy as np
from jaxtyping import Int64

MIN_ROWS = 64
"""Rows that the first growth makes room for."""

GROWTH = 1.5
"""Factor of the room, so that a row is copied a few times in a life and not once per new row."""


class GrowingColumns:
    """Columns as attributes: arrays over all rows, to be changed in place.

    The last row takes the place of a removed one, so that neither costs more in a long life.
    Subclasses name their columns with the size and the type of one row's value.
    """

    COLUMNS: ClassVar[dict[str, tuple[tuple[int, ...], type]]]

    def __init__(self) -> None:
        self._num_rows = 0
        self._buffers: dict[str, np.ndarray] = {
            name: np.zeros((0, *size), dtype=kind) for name, (size, kind) in self.COLUMNS.items()
        }
        self._publish()

    def __len__(self) -> int:
        return self._num_rows

    def _append(self, count: int) -> Int64[np.ndarray, "m"]:
        """Make rows of zeros at the end; return their numbers."""
        first, self._num_rows = self._num_rows, self._num_rows + count
        room = len(next(iter(self._buffers.values())))
        if self._num_rows > room:
            room = max(self._num_rows, int(room * GROWTH), MIN_ROWS)
            for name, old in self._buffers.items():
                new: np.ndarray = np.zeros((room, *old.shape[1:]), dtype=old.dtype)
                new[:first] = old[:first]
                self._buffers[name] = new
        else:
            for buffer in self._buffers.values():
                buffer[first : self._num_rows] = 0
        self._publish()
        return np.arange(first, self._num_rows)

    def _drop(self, row: int) -> bool:
        """Remove a row; return whether the last one moved into its place."""
        self._num_rows -= 1
        moved = row != self._num_rows
        if moved:
            for buffer in self._buffers.values():
                buffer[row] = buffer[self._num_rows]
        self._publish()
        return moved

    def _publish(self) -> None:
        for name, buffer in self._buffers.items():
            setattr(self, name, buffer[: self._num_rows])
