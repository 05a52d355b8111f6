"""Groups of windows from which each group gives the same number, however large it is.

Axis letters: w windows, k windows of one group, g groups, q draws.

A reservoir that keeps at most `quota` windows of every stratum, chosen by Algorithm R, holds a
uniform sample of each. All rows stay on disk here, so nothing has to be thrown away to have that:
drawing a stratum with a chance of min(its size, quota), then a window uniformly inside it, has the
same distribution as drawing from such a reservoir, and is the same for every reader of a version.

References:
    Vitter 1985, Random sampling with a reservoir, Algorithm R. A reservoir over episodes alone
    forgets like a queue when one phase of life is much longer than another (Kessler et al. 2023,
    arXiv:2211.15944), hence the strata.
"""

import numpy as np
from jaxtyping import Int64

from memory.replay.growing import Growing
from memory.replay.row_index import WindowIndex

_FARTHEST_CELL = 1 << 20


class Strata:
    """Windows by place and visit: a cell of the floor, and a stretch of life.

    Args:
        windows: The windows.
        place_m: Side of a cell.
        visit_steps: Length of a stretch.
        quota: A stratum with more windows than this counts no more than one with as many.
    """

    def __init__(self, windows: WindowIndex, place_m: float, visit_steps: int, quota: int) -> None:
        self._windows = windows
        self._place_m, self._visit_steps, self._quota = place_m, visit_steps, quota
        self._order = Growing(np.int32)
        self._begin, self._end = Growing(np.int64), Growing(np.int64)
        self._weight_to = Growing(np.int64)
        self._open_window, self._open_stratum = 0, 0

    def __len__(self) -> int:
        """Return the number of strata."""
        return len(self._begin)

    def draw(self, count: int, rng: np.random.Generator) -> Int64[np.ndarray, "q"]:
        """Return window numbers."""
        self._catch_up()
        weight_to = self._weight_to.values
        if len(weight_to) == 0:
            return np.zeros(0, dtype=np.int64)
        chosen = np.searchsorted(weight_to, rng.integers(weight_to[-1], size=count), side="right")
        begin, end = self._begin.values[chosen], self._end.values[chosen]
        return self._order.values[rng.integers(begin, end)].astype(np.int64)

    def _catch_up(self) -> None:
        """Sort the windows that are new; only the newest visit can have grown."""
        num_windows, from_window = len(self._windows), self._open_window
        if num_windows == len(self._order):
            return
        new = np.arange(from_window, num_windows)
        visit = self._windows.step(new) // self._visit_steps
        cell = self._cells(new)
        order = np.lexsort((cell, visit))
        changes = (np.diff(visit[order]) != 0) | (np.diff(cell[order]) != 0)
        begin = from_window + np.concatenate(([0], np.flatnonzero(changes) + 1))
        end = np.append(begin[1:], num_windows)
        for kept in (self._begin, self._end, self._weight_to):
            kept.resize(self._open_stratum)
        before = int(self._weight_to.values[-1]) if self._open_stratum else 0
        self._order.resize(from_window)
        self._order.extend(new[order])
        self._begin.extend(begin)
        self._end.extend(end)
        self._weight_to.extend(before + np.cumsum(np.minimum(end - begin, self._quota)))
        self._open_window = from_window + int(np.searchsorted(visit, visit[-1]))
        self._open_stratum = int(np.searchsorted(self._begin.values, self._open_window))

    def _cells(self, numbers: Int64[np.ndarray, "k"]) -> Int64[np.ndarray, "k"]:
        first = self._windows.first[numbers]
        rows = self._windows.rows
        # A pose that is not finite, or farther away than any house, shares one far cell.
        x, y = (
            np.clip(
                np.nan_to_num(
                    np.floor(p[first].astype(np.float64) / self._place_m), nan=_FARTHEST_CELL
                ),
                -_FARTHEST_CELL,
                _FARTHEST_CELL,
            ).astype(np.int64)
            for p in (rows.x_m, rows.y_m)
        )
        return x * (4 * _FARTHEST_CELL) + y
