"""Which boxes stand near a place: cells of the floor and what reaches into them.

Looking at what is near costs the same in a house and in a town. Axis letters: n boxes.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64, Int32, Int64

CELL_M = 2.0
"""Side of a cell."""

MAX_CELLS = 16
"""Boxes that are wider than so many cells are kept in one list that every question looks at."""

NOWHERE = (0, 0, -1, -1)
"""Cells of a box that is not in the grid."""

Cells = tuple[int, int, int, int]
"""Smallest column and row, largest column and row."""


class FloorGrid:
    """Ids by the cells that their boxes reach into; the caller remembers the cells of each."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], set[int]] = {}
        self._wide: set[int] = set()

    def put(self, box_id: int, cells: Cells) -> None:
        """Enter a box."""
        if _is_wide(cells):
            self._wide.add(box_id)
            return
        for cell in _each(cells):
            self._cells.setdefault(cell, set()).add(box_id)

    def fill(self, box_ids: Int64[np.ndarray, "n"], cells: Int32[np.ndarray, "n 4"]) -> None:
        """Enter many boxes at once into an empty grid."""
        if len(box_ids) == 0:
            return
        width, depth = cells[:, 2] - cells[:, 0] + 1, cells[:, 3] - cells[:, 1] + 1
        wide = (width > MAX_CELLS) | (depth > MAX_CELLS)
        self._wide.update(box_ids[wide].tolist())
        box_ids, cells, depth = box_ids[~wide], cells[~wide], depth[~wide].astype(np.int64)
        count = width[~wide] * depth
        first = np.cumsum(count) - count
        of = np.repeat(np.arange(len(box_ids)), count)
        column, row = np.divmod(np.arange(len(of)) - first[of], depth[of])
        places = np.stack([cells[of, 0] + column, cells[of, 1] + row], axis=1)
        order = np.lexsort((places[:, 1], places[:, 0]))
        places, ids = places[order], box_ids[of[order]].tolist()
        starts = np.flatnonzero((np.diff(places, axis=0, prepend=places[:1] - 1) != 0).any(axis=1))
        ends = np.append(starts[1:], len(ids)).tolist()
        for (x, y), start, end in zip(places[starts].tolist(), starts.tolist(), ends, strict=True):
            self._cells[x, y] = set(ids[start:end])

    def take_out(self, box_id: int, cells: Cells) -> None:
        """Remove a box from the cells that it was entered with."""
        if _is_wide(cells):
            self._wide.discard(box_id)
            return
        for cell in _each(cells):
            there = self._cells[cell]
            there.discard(box_id)
            if not there:
                del self._cells[cell]

    def near(self, cells: Cells) -> set[int]:
        """Return the boxes in a range of cells, and some more."""
        found = set(self._wide)
        if _is_wide(cells):
            for cell, there in self._cells.items():
                if cells[0] <= cell[0] <= cells[2] and cells[1] <= cell[1] <= cells[3]:
                    found |= there
            return found
        for cell in _each(cells):
            there_or_none = self._cells.get(cell)
            if there_or_none is not None:
                found |= there_or_none
        return found


def cells_of(
    low_m: Float64[np.ndarray, "n d"], high_m: Float64[np.ndarray, "n d"]
) -> Int32[np.ndarray, "n 4"]:
    """Return the cells that boxes reach into; heights do not matter."""
    both = np.concatenate([low_m[:, :2], high_m[:, :2]], axis=1)
    return np.floor(both / CELL_M).astype(np.int32)


def _is_wide(cells: Cells) -> bool:
    return cells[2] - cells[0] >= MAX_CELLS or cells[3] - cells[1] >= MAX_CELLS


def _each(cells: Cells) -> Iterable[tuple[int, int]]:
    x0, y0, x1, y1 = cells
    return [(x, y) for x in range(x0, x1 + 1) for y in range(y0, y1 + 1)]
