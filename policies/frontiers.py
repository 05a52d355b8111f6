"""Frontiers: where known free floor meets the unknown; and those that cannot be reached.

Axis letters: n cells or points, f frontiers, x y the planning grid.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import ndimage

from policies.geodesic import Field, Terrain

EIGHT = np.ones((3, 3), dtype=np.bool_)
SPECK_M2 = 0.08
"""Unknown patches that are smaller are gaps between rays, not rooms."""
GAIN_RADIUS_M = 1.5
GAIN_RAYS = 24
MIN_GAIN_M2 = 0.15
"""Frontiers behind which less can be seen are left."""
STAND_CELLS = 3
"""A frontier may be looked at from this many planning cells away."""
_SPAN = np.arange(-STAND_CELLS, STAND_CELLS + 1)
_OFFSETS = np.stack(np.meshgrid(_SPAN, _SPAN, indexing="ij"), axis=-1).reshape(-1, 2)
NEAR_OFFSETS = _OFFSETS[np.argsort(np.square(_OFFSETS).sum(axis=1), kind="stable")]
"""Standing places around a frontier cell, the nearest first."""
LINE_SHARES = np.linspace(0.0, 1.0, 7)[:, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """One connected piece of border between free and unknown.

    Attributes:
        xy_m: Its cell nearest to its centroid.
        stand_cell: Planning cell from which it is reached.
        cells: Its planning cells.
        length_m: Its length.
        gain_m2: Unknown area that should come into view behind it.
        distance_m: Distance of the standing cell from the body.
    """

    xy_m: tuple[float, float]
    stand_cell: Int64[np.ndarray, "2"]
    cells: Int64[np.ndarray, "n 2"]
    length_m: float
    gain_m2: float
    distance_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """A place that is not offered again, and why."""

    xy_m: tuple[float, float]
    reason: str
    step: int


class UnreachableSet:
    """Remembered places that led nowhere, for a while: homes change."""

    RADIUS_M = 0.45
    KEPT_STEPS = 20_000

    def __init__(self) -> None:
        self.items: list[Unreachable] = []

    def add(self, xy_m: tuple[float, float], reason: str, step: int) -> None:
        """Remember a place; the newest reason for the very same one is kept."""
        self.items = [item for item in self.items if item.xy_m != xy_m]
        self.items.append(Unreachable(xy_m=xy_m, reason=reason, step=step))

    def expire(self, step: int) -> None:
        """Forget what failed so long before a step that it is worth another try."""
        self.items = [item for item in self.items if step - item.step < self.KEPT_STEPS]

    def covers(self, xy_m: Float64[np.ndarray, "n 2"]) -> Bool[np.ndarray, "n"]:
        """Return which points lie at a remembered place."""
        if not self.items:
            return np.zeros(len(xy_m), dtype=np.bool_)
        places = np.array([item.xy_m for item in self.items])
        gaps = np.linalg.norm(xy_m[:, None] - places[None], axis=-1)
        return gaps.min(axis=1) < self.RADIUS_M

    def reason_at(self, xy_m: tuple[float, float]) -> str:
        """Return why the place nearest to the point is remembered, "" if none is."""
        near = [i for i in self.items if np.hypot(*np.subtract(i.xy_m, xy_m)) < self.RADIUS_M]
        return near[-1].reason if near else ""


def find_frontiers(
    terrain: Terrain, from_body: Field, unreachable: UnreachableSet, min_length_m: float
) -> list[Frontier]:
    """Return the frontiers that can be reached, in no order.

    Args:
        terrain: Known part of the map.
        from_body: Distances from the body.
        unreachable: Places left out.
        min_length_m: Shorter frontiers are left out.
    """
    unknown = _without_specks(terrain)
    border = terrain.free & ndimage.binary_dilation(unknown, EIGHT)
    labels, num = ndimage.label(border, EIGHT)
    if num == 0:
        return []
    nearest = ndimage.minimum_filter(from_body.values_m, size=2 * STAND_CELLS + 1)
    groups = _groups(labels, num)
    found = []
    for cells in groups:
        if len(cells) * terrain.cell_m < min_length_m:
            continue
        middle = cells[np.argmin(np.square(cells - cells.mean(axis=0)).sum(axis=1))]
        stand = _stand(terrain, from_body, nearest, cells, middle)
        if stand is not None:
            found.append((cells, middle, stand))
    if not found:
        return []
    middles_m = terrain.centers_m(np.array([m for _, m, _ in found]))
    kept = ~unreachable.covers(middles_m)
    gains = _gains(terrain, unknown, middles_m)
    return [
        Frontier(
            xy_m=(float(xy[0]), float(xy[1])),
            stand_cell=stand,
            cells=cells,
            length_m=len(cells) * terrain.cell_m,
            gain_m2=float(gain),
            distance_m=float(from_body.values_m[stand[0], stand[1]]),
        )
        for (cells, _, stand), xy, gain, keep in zip(found, middles_m, gains, kept, strict=True)
        if keep and gain >= MIN_GAIN_M2
    ]


def _without_specks(terrain: Terrain) -> Bool[np.ndarray, "x y"]:
    labels, num = ndimage.label(terrain.unknown)
    if num == 0:
        return terrain.unknown
    sizes = np.bincount(labels.ravel(), minlength=num + 1) * terrain.cell_m**2
    large = sizes >= SPECK_M2
    large[0] = False
    return large[labels]


def _groups(labels: np.ndarray, num: int) -> list[Int64[np.ndarray, "n 2"]]:
    cells = np.argwhere(labels)
    owner = labels[cells[:, 0], cells[:, 1]]
    order = np.argsort(owner, kind="stable")
    ends = np.cumsum(np.bincount(owner, minlength=num + 1)[1:])
    return np.split(cells[order], ends[:-1])


def _stand(
    terrain: Terrain,
    from_body: Field,
    nearest: Float64[np.ndarray, "x y"],
    cells: Int64[np.ndarray, "n 2"],
    middle: Int64[np.ndarray, "2"],
) -> Int64[np.ndarray, "2"] | None:
    """Return a reachable cell close to the frontier with a free line to it."""
    reach = nearest[cells[:, 0], cells[:, 1]]
    if not np.isfinite(reach).any():
        return None
    # Near the middle rather than merely near: a look from there sees all of the frontier.
    off_m = np.linalg.norm((cells - middle) * terrain.cell_m, axis=1)
    cell = cells[np.argmin(reach + off_m)]
    stands = cell + NEAR_OFFSETS
    stands = stands[np.isfinite(from_body.at_cells(stands))]
    lines = np.rint(stands[:, None] + LINE_SHARES * (cell - stands)[:, None]).astype(np.int64)
    clear = ~terrain.occupied[lines[..., 0], lines[..., 1]].any(axis=1)
    return stands[int(np.argmax(clear))] if clear.any() else None


def _gains(
    terrain: Terrain, unknown: Bool[np.ndarray, "x y"], xy_m: Float64[np.ndarray, "f 2"]
) -> Float64[np.ndarray, "f"]:
    """Return the unknown area within sight of each point, in m2."""
    angles = np.arange(GAIN_RAYS) * (2 * np.pi / GAIN_RAYS)
    radii = np.arange(0.5, GAIN_RADIUS_M / terrain.cell_m) * terrain.cell_m
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=-1)[:, None] * radii[:, None]
    points = xy_m[:, None, None] + rays
    cells = np.floor((points - np.array(terrain.origin_m)) / terrain.cell_m).astype(np.int64)
    inside = ((cells >= 0) & (cells < unknown.shape)).all(axis=-1)
    i, j = (np.clip(cells[..., k], 0, unknown.shape[k] - 1) for k in (0, 1))
    seen = ~np.logical_or.accumulate(terrain.occupied[i, j] & inside, axis=-1)
    # Beyond the window nothing is known.
    area = radii * terrain.cell_m * (2 * np.pi / GAIN_RAYS)
    return ((seen & (unknown[i, j] | ~inside)) * area).sum(axis=(1, 2))
