"""Where the body may drive, and shortest paths over it.

Clearance is measured on the map's own cells; fields run on cells twice as large, which costs a
fifth and still lets the body through every gap that its inflated radius fits.

Axis letters: x y the grid, n points, t points along a path.
"""

import math
from functools import reduce

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped
from scipy import ndimage
from skimage.graph import MCP_Geometric

from memory.records import BodySpec
from policies.compiled import Kernels
from policies.config import MapConfig
from policies.occupancy import OccupancyMap

STRIDE = 2
"""Map cells per side of a planning cell."""
SAFE_M = 0.4
"""Clearance that the path prefers to keep."""
WALL_COST = 3.0
"""Extra cost per metre right beside an obstacle."""
UNKNOWN_COST = 3.0
"""Cost per metre of cells nobody has seen, where they may be crossed at all."""


class Terrain:
    """A snapshot of the known part of the map, ready for planning.

    Attributes:
        origin_m: World position of the corner of planning cell (0, 0).
        cell_m: Side of a planning cell.
        free: Planning cells with a free map cell and no occupied one.
        unknown: Planning cells of which nothing is known.
        occupied: Planning cells that hold something.
        clearance_m: Distance from the best spot of the cell to the next obstacle.
        kernels: Compiled inner loops, None without numba.
        passable: Free or unknown cells in which the body fits.
    """

    def __init__(
        self,
        occupancy: OccupancyMap,
        spec: BodySpec,
        config: MapConfig,
        *,
        body_xy_m: Float64[np.ndarray, "2"],
        narrow: bool = False,
    ) -> None:
        self.kernels = occupancy.kernels
        window = occupancy.window(margin=12)
        fine_m = occupancy.cell_m
        occupied = occupancy.occupied(window)
        log_odds = occupancy.log_odds[window]
        self.cell_m = STRIDE * fine_m
        self.origin_m = (
            occupancy.origin_m[0] + window[0].start * fine_m,
            occupancy.origin_m[1] + window[1].start * fine_m,
        )
        clearance = clearance_m(occupied, fine_m, occupancy.kernels)
        self.occupied = _any(occupied)
        self.free = _any((log_odds < 0) & ~occupied) & ~self.occupied
        self.unknown = ~(_any(log_odds != 0) | self.occupied)
        self.clearance_m = _max(clearance)
        self.seen_step = _max(occupancy.seen_step[window])
        needed_m = spec.radius_m + (0.0 if narrow else config.clearance_m)
        self.passable = self.clearance_m >= needed_m
        self.open_around(body_xy_m, spec.radius_m)
        self._wall = 1.0 + WALL_COST * np.maximum(0.0, SAFE_M - self.clearance_m) / SAFE_M

    def open_around(self, xy_m: Float64[np.ndarray, "2"], radius_m: float) -> None:
        """Let the body leave the spot where it stands, whatever the map says about it."""
        cell = self.cells(xy_m[None])[0]
        k = math.ceil(radius_m / self.cell_m)
        low = np.maximum(cell - k, 0)
        self.passable[low[0] : cell[0] + k + 1, low[1] : cell[1] + k + 1] |= ~self.occupied[
            low[0] : cell[0] + k + 1, low[1] : cell[1] + k + 1
        ]
        if self.contains(cell[None])[0]:
            self.passable[cell[0], cell[1]] = True
            self.free[cell[0], cell[1]] = True

    def cells(self, xy_m: Float64[np.ndarray, "n 2"]) -> Int64[np.ndarray, "n 2"]:
        """Return the planning cells of world points; they may lie outside."""
        return np.floor((xy_m - np.array(self.origin_m)) / self.cell_m).astype(np.int64)

    def centers_m(self, cells: Int64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        """Return the world positions of the middles of planning cells."""
        return (cells + 0.5) * self.cell_m + np.array(self.origin_m)

    def contains(self, cells: Int64[np.ndarray, "n 2"]) -> Bool[np.ndarray, "n"]:
        """Return which planning cells lie inside."""
        return ((cells >= 0) & (cells < self.free.shape)).all(axis=1)

    def field(
        self, targets: Int64[np.ndarray, "n 2"], *, through_unknown: bool = False
    ) -> "Field | None":
        """Return the distance to the nearest target, None if no target can be stood on.

        Args:
            targets: Planning cells.
            through_unknown: Cross unseen cells at a price instead of not at all.
        """
        cost = np.where(self.passable & self.free, self._wall, -1.0)
        if through_unknown:
            cost = np.where(self.passable & ~self.free, UNKNOWN_COST * self._wall, cost)
        targets = targets[self.contains(targets)]
        targets = targets[cost[targets[:, 0], targets[:, 1]] > 0]
        if len(targets) == 0:
            return None
        mcp = MCP_Geometric(cost, fully_connected=True)
        costs, _ = mcp.find_costs([tuple(t) for t in targets.tolist()])
        return Field(self, np.multiply(costs, self.cell_m, order="C"), mcp)


class Field:
    """Distances over a terrain, and the paths that realise them."""

    def __init__(
        self, terrain: Terrain, values_m: Float64[np.ndarray, "x y"], mcp: MCP_Geometric
    ) -> None:
        self.terrain = terrain
        self.values_m = values_m
        self._mcp = mcp

    def at_cells(self, cells: Int64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n"]:
        """Return the distance of planning cells, infinite where there is no way."""
        shape = np.array(self.values_m.shape)
        inside = self.terrain.contains(cells)
        i, j = np.clip(cells, 0, shape - 1).T
        return np.where(inside, self.values_m[i, j], np.inf)

    def at(self, xy_m: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n"]:
        """Return the distance of world points, interpolated between cells.

        Cells without a way count as 1 m further than the best neighbour, so that a point beside
        an obstacle still has a slope that leads away from it.
        """
        grid = (xy_m - np.array(self.terrain.origin_m)) / self.terrain.cell_m - 0.5
        if self.terrain.kernels is not None:
            values_m: Float64[np.ndarray, "n"] = self.terrain.kernels.grid.interpolate(
                self.values_m, np.ascontiguousarray(grid, dtype=np.float64)
            )
            return values_m
        low = np.floor(grid).astype(np.int64)
        share = grid - low
        corners = np.stack(
            [self.at_cells(low + np.array(d)) for d in ((0, 0), (0, 1), (1, 0), (1, 1))], axis=-1
        )
        best = corners.min(axis=-1, keepdims=True)
        corners = np.where(np.isfinite(corners), corners, best + 1.0)
        u, v = share[:, 0], share[:, 1]
        weights = np.stack([(1 - u) * (1 - v), (1 - u) * v, u * (1 - v), u * v], axis=-1)
        known = np.isfinite(best[:, 0])
        out = np.full(len(xy_m), np.inf)
        out[known] = (corners[known] * weights[known]).sum(axis=-1)
        return out

    def path_from(self, xy_m: Float64[np.ndarray, "2"]) -> Float64[np.ndarray, "t 2"]:
        """Return the way from a point to the field's targets; empty if there is none."""
        cell = self.terrain.cells(xy_m[None])
        if not np.isfinite(self.at_cells(cell))[0]:
            return np.empty((0, 2))
        trace = np.array(self._mcp.traceback(tuple(cell[0].tolist())), dtype=np.int64)
        return self.terrain.centers_m(trace[::-1])

    def path_to(self, cell: Int64[np.ndarray, "2"]) -> Float64[np.ndarray, "t 2"]:
        """Return the way from the field's targets to a planning cell; empty if there is none."""
        return self.path_from(self.terrain.centers_m(cell[None])[0])[::-1]


def clearance_m(
    occupied: Bool[np.ndarray, "x y"], cell_m: float, kernels: Kernels | None = None
) -> Float64[np.ndarray, "x y"]:
    """Return the distance from each cell's middle to the nearest occupied cell's middle."""
    if kernels is not None and occupied.size:
        distance: Float64[np.ndarray, "x y"] = kernels.grid.clearance(occupied, cell_m)
        return distance
    if not occupied.any():
        return np.full(occupied.shape, np.inf)
    distance = ndimage.distance_transform_edt(~occupied)
    return distance * cell_m


def path_length_m(path_m: Float64[np.ndarray, "t 2"]) -> float:
    """Return the length of a polyline."""
    return float(np.hypot(*np.diff(path_m, axis=0).T).sum()) if len(path_m) > 1 else 0.0


def _corners(grid: Shaped[np.ndarray, "..."]) -> list[np.ndarray]:
    """Return the map cells of all planning cells, one array per place inside the planning cell."""
    n, m = (size // STRIDE * STRIDE for size in grid.shape)
    return [grid[i:n:STRIDE, j:m:STRIDE] for i in range(STRIDE) for j in range(STRIDE)]


def _any(grid: Bool[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    return np.logical_or.reduce(_corners(grid))


def _max(grid: Shaped[np.ndarray, "..."]) -> np.ndarray:
    return reduce(np.maximum, _corners(grid))
