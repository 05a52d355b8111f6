"""Coarse layers over the map: where the body has been, and where the model makes progress.

Axis letters: n points, x y the layer's cells.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64, Int64

VISIT_CELL_M = 0.25
PROGRESS_CELL_M = 0.5
PROGRESS_KEEP = 0.9
"""Share of the old value that a new sample leaves."""
PROGRESS_CLIP = 3.0


class Layer:
    """A float grid of coarse cells around the origin that the map's first pose fixed."""

    def __init__(self, cell_m: float, size_m: float) -> None:
        self.cell_m = cell_m
        n = int(np.ceil(size_m / cell_m)) + 1
        self.values = np.zeros((n, n), dtype=np.float32)
        self.origin_m = np.zeros(2)

    def at(self, xy_m: Float64[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n"]:
        """Return the values at world points; 0 outside."""
        cells = self._cells(xy_m)
        inside = ((cells >= 0) & (cells < self.values.shape[0])).all(axis=1)
        i, j = np.clip(cells, 0, self.values.shape[0] - 1).T
        return np.where(inside, self.values[i, j], np.float32(0))

    def add(self, xy_m: Float64[np.ndarray, "2"], amount: float) -> None:
        """Add to the cell of a world point."""
        i, j = self._cells(xy_m[None])[0]
        if 0 <= i < self.values.shape[0] and 0 <= j < self.values.shape[0]:
            self.values[i, j] += amount

    def mark(self, xy_m: Float64[np.ndarray, "n 2"], value: float) -> None:
        """Set the cells of world points."""
        cells = self._cells(xy_m)
        i, j = cells[((cells >= 0) & (cells < self.values.shape[0])).all(axis=1)].T
        self.values[i, j] = value

    def blend(self, xy_m: Float64[np.ndarray, "2"], sample: float, keep: float) -> None:
        """Move the cell of a world point towards a sample."""
        old = float(self.at(xy_m[None])[0])
        self.add(xy_m, (1 - keep) * (sample - old))

    def cell(self, xy_m: Float64[np.ndarray, "2"]) -> tuple[int, int]:
        """Return the cell of a world point, (-1, -1) outside."""
        i, j = (int(v) for v in self._cells(xy_m[None])[0])
        n = self.values.shape[0]
        return (i, j) if 0 <= i < n and 0 <= j < n else (-1, -1)

    def clear(self, origin_m: tuple[float, float]) -> None:
        """Zero all cells and put the layer over a map that starts at `origin_m`."""
        self.values[:] = 0
        self.origin_m = np.array(origin_m, dtype=np.float64)

    def _cells(self, xy_m: Float64[np.ndarray, "n 2"]) -> Int64[np.ndarray, "n 2"]:
        return np.floor((xy_m - self.origin_m) / self.cell_m).astype(np.int64)


class ProgressMap:
    """Signed learning progress per place.

    Raw prediction error is attracted to noise; progress is not, because noise stays as wrong as
    it was. Only places where the model still improves are worth another visit.

    References:
        Learning-progress monitoring, arXiv:2509.25438: reward = old error - new error.
    """

    def __init__(self, size_m: float) -> None:
        self.layer = Layer(PROGRESS_CELL_M, size_m)

    def note(self, samples: Sequence[tuple[float, float, float]]) -> None:
        """Fold in (x_m, y_m, old error - new error); samples that are not finite are left out."""
        for x, y, progress in samples:
            if np.isfinite((x, y, progress)).all():
                self.layer.blend(np.array([x, y], dtype=np.float64), progress, PROGRESS_KEEP)

    def bonus(self, xy_m: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n"]:
        """Return progress at world points in units of its spread over the map, in [0, 3]."""
        known = self.layer.values[self.layer.values != 0]
        if known.size == 0:
            return np.zeros(len(xy_m))
        spread = max(float(np.sqrt(np.mean(np.square(known)))), 1e-9)
        values = self.layer.at(xy_m).astype(np.float64) / spread
        return np.clip(values, 0.0, PROGRESS_CLIP)
