"""Whether a body can stand at a point, as far as the map knows."""

import numpy as np
from jaxtyping import Float64
from scipy import ndimage

from memory.records import BodySpec
from policies.config import MapConfig
from policies.geodesic import Terrain
from policies.occupancy import OccupancyMap

POCKET_M2 = 2.0
"""Enclosed unknown floor that is smaller is the inside of something."""
NEAR_M = 0.2
"""A point counts as free if the body can stand this close to it."""


def why_not_at(
    occupancy: OccupancyMap,
    spec: BodySpec,
    config: MapConfig,
    body_xy_m: Float64[np.ndarray, "2"],
    xy_m: tuple[float, float],
) -> str:
    """Return why nobody can stand at a point, "" if the map does not rule it out.

    Args:
        occupancy: Map; an empty one rules nothing out.
        spec: Body.
        config: Settings of the map.
        body_xy_m: Where the body is.
        xy_m: The point.
    """
    if occupancy.is_empty:
        return ""
    x, y = xy_m
    low = np.array(occupancy.origin_m)
    high = low + occupancy.num_cells * occupancy.cell_m
    if not ((low <= xy_m) & (xy_m < high)).all():
        return (
            f"the point ({x:.2f}, {y:.2f}) lies outside the map, which reaches from "
            f"({low[0]:.1f}, {low[1]:.1f}) to ({high[0]:.1f}, {high[1]:.1f})"
        )
    terrain = Terrain(occupancy, spec, config, body_xy_m=body_xy_m)
    if not is_ruled_out(terrain, np.array(xy_m, dtype=np.float64)):
        return ""
    text = f"the point ({x:.2f}, {y:.2f}) lies in a wall or an obstacle"
    free = nearest_free(terrain, body_xy_m, np.array(xy_m, dtype=np.float64))
    if free is None:
        return text
    away = float(np.hypot(free[0] - x, free[1] - y))
    return f"{text}; the nearest free point is ({free[0]:.2f}, {free[1]:.2f}), {away:.1f} m from it"


def is_ruled_out(terrain: Terrain, xy_m: Float64[np.ndarray, "2"]) -> bool:
    """Return whether the body fits nowhere near a point; unknown floor does not rule it out.

    Unknown floor that known obstacles enclose is the inside of one, unless it is as large as a
    room might be.
    """
    k = np.arange(-3, 4)
    around = terrain.cells(xy_m[None])[0] + np.stack(np.meshgrid(k, k), axis=-1).reshape(-1, 2)
    near = np.hypot(*(terrain.centers_m(around) - xy_m).T) < NEAR_M
    around = around[near & terrain.contains(around)]
    if len(around) == 0:
        return False
    i, j = around[terrain.passable[around[:, 0], around[:, 1]]].T
    if len(i) == 0:
        return True
    if terrain.free[i, j].any():
        return False
    parts, _ = ndimage.label(terrain.passable)
    part = parts == parts[i[0], j[0]]
    return bool(part.sum() * terrain.cell_m**2 < POCKET_M2 and not (part & terrain.free).any())


def nearest_free(
    terrain: Terrain, body_xy_m: Float64[np.ndarray, "2"], xy_m: Float64[np.ndarray, "2"]
) -> tuple[float, float] | None:
    """Return the free point nearest to another that the body can drive to, None without any."""
    field = terrain.field(terrain.cells(body_xy_m[None]))
    if field is None:
        return None
    cells = np.argwhere(np.isfinite(field.values_m) & terrain.free)
    if len(cells) == 0:
        return None
    centers = terrain.centers_m(cells)
    x, y = centers[int(np.argmin(np.hypot(*(centers - xy_m).T)))]
    return float(x), float(y)
