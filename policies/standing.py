"""Where a body may stand to be at an object, and what lies between.

Axis letters: n points or cells.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from policies.geodesic import Terrain
from policies.occupancy import OccupancyMap

INSIDE_M = 0.1
"""Cells nearer to a box than this belong to the object."""
TOUCH_M = 0.08
"""Occupied cells this close to an object's box belong to the object."""
LINE_SAMPLES = 20


def distance_to_box_m(
    xy_m: Float64[np.ndarray, "n 2"],
    low_m: Float64[np.ndarray, "2"],
    high_m: Float64[np.ndarray, "2"],
) -> Float64[np.ndarray, "n"]:
    """Return the distance of points to an upright box on the floor plan."""
    gap = np.maximum(np.maximum(low_m - xy_m, xy_m - high_m), 0.0)
    return np.hypot(gap[:, 0], gap[:, 1])


def stand_cells(
    occupancy: OccupancyMap,
    terrain: Terrain,
    low_m: Float64[np.ndarray, "2"],
    high_m: Float64[np.ndarray, "2"],
    stop_m: float,
) -> Int64[np.ndarray, "n 2"]:
    """Return planning cells within `stop_m` of a box from which it is not behind a wall.

    Where no cell has a line over known free floor (part of it was never seen), cells whose line
    crosses nothing known to stand there serve; and where there are none either (it stands behind
    others), those whose line crosses only what is lower than a wall.
    """
    low = np.maximum(terrain.cells((low_m - stop_m)[None])[0], 0)
    high = np.minimum(terrain.cells((high_m + stop_m)[None])[0] + 1, terrain.free.shape)
    if (high <= low).any():
        return np.empty((0, 2), dtype=np.int64)
    patch = np.s_[low[0] : high[0], low[1] : high[1]]
    cells = np.argwhere(terrain.passable[patch] & ~terrain.occupied[patch]) + low
    centers = terrain.centers_m(cells)
    gap_m = distance_to_box_m(centers, low_m, high_m)
    # What is inside the box is the object, however much of it no ray has met yet.
    near = (gap_m <= stop_m - 0.25 * terrain.cell_m) & (gap_m > INSIDE_M)
    cells, centers = cells[near], centers[near]
    if len(cells) == 0:
        return cells
    for wanted in lines_to_box(occupancy, centers, low_m, high_m):
        if wanted.any():
            return cells[wanted]
    return cells[:0]


class Lines(NamedTuple):
    """What lies on the shortest line from each point to a box, the strictest condition first.

    Attributes:
        over_free: Only floor that was seen free.
        unblocked: Nothing that is known to stand there; some of it may be unseen.
        over_low: No wall and no doorway; low things may stand there.
    """

    over_free: Bool[np.ndarray, "n"]
    unblocked: Bool[np.ndarray, "n"]
    over_low: Bool[np.ndarray, "n"]


def lines_to_box(
    occupancy: OccupancyMap,
    xy_m: Float64[np.ndarray, "n 2"],
    low_m: Float64[np.ndarray, "2"],
    high_m: Float64[np.ndarray, "2"],
) -> Lines:
    """Return what lies between points and an upright box.

    A line that passes below a lintel leaves the room: it is neither free nor unblocked.
    """
    nearest = np.clip(xy_m, low_m, high_m)
    share = np.linspace(0.0, 1.0, LINE_SAMPLES)[:, None]
    points = (xy_m[:, None] + share * (nearest - xy_m)[:, None]).reshape(-1, 2)
    cells = np.clip(occupancy.cells(points), 0, occupancy.num_cells - 1)
    i, j = cells[:, 0], cells[:, 1]
    at_object = distance_to_box_m(points, low_m, high_m) <= TOUCH_M
    log_odds, tall = occupancy.log_odds[i, j], occupancy.lintels[i, j]
    is_free, is_blocked = log_odds < 0, log_odds > 0
    shape = (len(xy_m), LINE_SAMPLES)
    doorway = (tall & is_free).reshape(shape).any(axis=1)
    blocked = (is_blocked & ~at_object).reshape(shape).any(axis=1)
    free = (is_free | at_object).reshape(shape).all(axis=1)
    wall = (tall & ~at_object).reshape(shape).any(axis=1)
    return Lines(free & ~blocked & ~doorway, ~blocked & ~doorway, ~wall & ~doorway)
