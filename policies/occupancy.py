"""Log-odds occupancy grid from depth and pose.

Axis letters: h w image, n cells or points, x y the grid (axis 0 is world x, axis 1 is world y).
"""

import math

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int8, Int64

from memory.frames import body_pose, pixel_rays
from memory.records import BodySpec, Observation
from policies.config import MapConfig

UNKNOWN, FREE, OCCUPIED = -1, 0, 1
HIT_RANGE_M = 8.0
"""Depth beyond this range is too coarse to place an obstacle in a cell."""
FREE_RANGE_M = 6.0
"""Beyond this range neighbouring rays lie further apart than a cell."""
SUB_RAYS = 2
"""Free rays per image column: at the free range they are one planning cell apart."""
EDGE_JUMP = 0.1
"""Relative depth step to either side that marks a pixel as hanging between two surfaces."""
SPARED_LOG_ODDS = 0.0
"""Free rays that pass over a cell without seeing its floor clear only what is below this."""
BUMP_KEEP_STEPS = 200
"""Bump marks expire: they say where something was touched, not what."""
BUMP_HALF_WIDTH_M = 0.08
BUMP_SECTOR_RAD = 1.2
"""Obstacles within this angle of the heading explain a bump."""
LINTEL_BAND_M = (0.55, 1.1)
"""Heights above the body in which something over free floor is a lintel: a doorway."""


class OccupancyMap:
    """Occupancy, doorways and the time of the last look, on one square grid.

    The grid is centred on the first pose. Cells are unknown until something was measured there.
    """

    def __init__(self, spec: BodySpec, config: MapConfig) -> None:
        self._spec = spec
        self._config = config
        self.cell_m = config.cell_m
        self.num_cells = 2 * math.ceil(config.size_m / config.cell_m / 2)
        self._rays = _RayTable(spec, config)
        self.clear()

    def clear(self) -> None:
        """Forget everything; the next observation centres the grid again."""
        n = self.num_cells
        self._origin_m: tuple[float, float] | None = None
        self.log_odds = np.zeros((n, n), dtype=np.float32)
        self.bumps = np.zeros((n, n), dtype=np.bool_)
        self.lintels = np.zeros((n, n), dtype=np.bool_)
        self.seen_step = np.full((n, n), -1, dtype=np.int32)
        self.num_changed = 0
        self._bump_log: list[tuple[int, Int64[np.ndarray, "n"]]] = []
        self._bounds = np.array([n, 0, n, 0], dtype=np.int64)

    @property
    def origin_m(self) -> tuple[float, float]:
        """World position of the corner of cell (0, 0)."""
        return self._origin_m or (0.0, 0.0)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was measured yet."""
        return self._origin_m is None

    @property
    def explored_m2(self) -> float:
        """Area of the cells known to be free."""
        window = self.window(0)
        return int(np.count_nonzero(self.log_odds[window] < 0)) * self.cell_m**2

    def grid(self) -> Int8[np.ndarray, "x y"]:
        """Return -1 unknown, 0 free, 1 occupied."""
        grid = np.full(self.log_odds.shape, UNKNOWN, dtype=np.int8)
        grid[self.log_odds < 0] = FREE
        grid[self.occupied(self.whole())] = OCCUPIED
        return grid

    def whole(self) -> tuple[slice, slice]:
        """Return the slices of the whole grid."""
        return slice(0, self.num_cells), slice(0, self.num_cells)

    def window(self, margin: int) -> tuple[slice, slice]:
        """Return slices of the smallest rectangle of known cells, grown by `margin` cells.

        Both sides are even, so that a window can be halved.
        """
        if self.is_empty:
            return slice(0, 0), slice(0, 0)
        low0, high0, low1, high1 = (int(v) for v in self._bounds)
        n = self.num_cells

        def span(low: int, high: int) -> slice:
            low, high = max(0, low - margin) // 2 * 2, min(n, high + 1 + margin)
            return slice(low, min(n, high + (high - low) % 2))

        return span(low0, high0), span(low1, high1)

    def around(self, xy_m: Float64[np.ndarray, "2"], radius_m: float) -> tuple[slice, slice]:
        """Return slices of the square around a point, cut at the border of the grid."""
        cell = self.cells(xy_m[None])[0]
        k = math.ceil(radius_m / self.cell_m)
        n = self.num_cells
        low, high = np.clip(cell - k, 0, n), np.clip(cell + k + 1, 0, n)
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))

    def occupied(self, window: tuple[slice, slice]) -> Bool[np.ndarray, "x y"]:
        """Return where something stands, or the body bumped into something unseen."""
        return (self.log_odds[window] > 0) | self.bumps[window]

    def cells(self, xy_m: Float64[np.ndarray, "n 2"]) -> Int64[np.ndarray, "n 2"]:
        """Return the cells of world points; they may lie outside of the grid."""
        return np.floor((xy_m - np.array(self.origin_m)) / self.cell_m).astype(np.int64)

    def is_state(
        self, xy_m: Float64[np.ndarray, "n 2"]
    ) -> tuple[Bool[np.ndarray, "n"], Bool[np.ndarray, "n"]]:
        """Return whether the cells of world points are free, and whether they are occupied."""
        cells = np.clip(self.cells(xy_m), 0, self.num_cells - 1)
        i, j = cells[:, 0], cells[:, 1]
        occupied = (self.log_odds[i, j] > 0) | self.bumps[i, j]
        return (self.log_odds[i, j] < 0) & ~occupied, occupied

    def update(self, observation: Observation, step: int) -> None:
        """Fold in one observation: hits, free rays, lintels, and the body's own footprint."""
        if not np.isfinite(observation.T_world_camera).all():
            return  # a body that is lost maps nothing
        self._expire_bumps(step)
        pose = body_pose(observation.T_world_camera, self._spec).astype(np.float64)
        if self._origin_m is None:
            half = self.num_cells / 2 * self.cell_m
            low = np.floor((pose[:2] - half) / self.cell_m) * self.cell_m
            self._origin_m = (float(low[0]), float(low[1]))
        camera = observation.T_world_camera[:3, 3].astype(np.float64)
        scan = self._rays.scan(observation.depth_m, camera, float(pose[2]))
        free, passed = self._flat(scan.free_xy_m, scan.free_is_near)
        hits, _ = self._flat(scan.hit_xy_m)
        lintels, _ = self._flat(scan.lintel_xy_m)
        self._apply(free, passed, hits, self._footprint(pose[:2]), step)
        self.lintels.ravel()[lintels] = True

    def mark_bump(self, pose: Float64[np.ndarray, "3"], step: int) -> bool:
        """Remember something unseen right in front of the body.

        A bump that a known obstacle at the front explains leaves no mark: the body grazed it.

        Returns:
            Whether a mark was made.
        """
        ahead = self._spec.radius_m + 0.75 * self.cell_m
        angles = float(pose[2]) + np.linspace(-BUMP_SECTOR_RAD, BUMP_SECTOR_RAD, 15)
        rings = self._spec.radius_m + np.array([0.0, 1.0, 2.0]) * self.cell_m
        ring = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        touched = (pose[:2] + ring[:, None] * rings[:, None]).reshape(-1, 2)
        if self.is_state(touched)[1].any():
            return False
        c, s = math.cos(float(pose[2])), math.sin(float(pose[2]))
        side = np.linspace(-BUMP_HALF_WIDTH_M, BUMP_HALF_WIDTH_M, 5)
        xy = pose[:2] + np.stack([ahead * c - side * s, ahead * s + side * c], axis=-1)
        flat, _ = self._flat(xy)
        self.bumps.ravel()[flat] = True
        self._bump_log.append((step, flat))
        self._grow(flat)
        self.num_changed += flat.size
        return True

    def _expire_bumps(self, step: int) -> None:
        while self._bump_log and step - self._bump_log[0][0] > BUMP_KEEP_STEPS:
            _, flat = self._bump_log.pop(0)
            self.bumps.ravel()[flat] = False
            self.num_changed += flat.size

    def save(self) -> dict[str, np.ndarray]:
        """Return the arrays that `load` takes."""
        origin = np.array(self._origin_m if self._origin_m else [], dtype=np.float64)
        return {
            "map_origin_m": origin,
            "map_cell_m": np.array(self.cell_m),
            "map_log_odds": self.log_odds.copy(),
            "map_lintels": self.lintels.copy(),
            "map_seen_step": self.seen_step.copy(),
        }

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over a saved map.

        Raises:
            ValueError: If the arrays are missing or were saved with another grid.
        """
        missing = [key for key in self.save() if key not in arrays]
        if missing:
            raise ValueError(f"saved map lacks {', '.join(missing)}")
        shape, cell_m = arrays["map_log_odds"].shape, float(arrays["map_cell_m"])
        if shape != self.log_odds.shape or cell_m != self.cell_m:
            raise ValueError(
                f"saved map has {shape} cells of {cell_m} m, but policies.map.size_m and cell_m "
                f"ask for {self.log_odds.shape} cells of {self.cell_m} m"
            )
        self.clear()
        origin = arrays["map_origin_m"]
        if origin.size == 0:
            return
        self._origin_m = (float(origin[0]), float(origin[1]))
        self.log_odds[:] = arrays["map_log_odds"]
        self.lintels[:] = arrays["map_lintels"]
        self.seen_step[:] = arrays["map_seen_step"]
        self._grow(np.flatnonzero(self.log_odds != 0))

    def _apply(
        self,
        free: Int64[np.ndarray, "n"],
        passed: Bool[np.ndarray, "n"],
        hits: Int64[np.ndarray, "m"],
        footprint: Int64[np.ndarray, "k"],
        step: int,
    ) -> None:
        flat = self.log_odds.ravel()
        low, high = self._config.clip
        touched = np.concatenate([free, hits, footprint])
        before = np.sign(flat[touched])
        hit_value = np.minimum(flat[hits] + self._config.log_odds_hit, high)
        # A ray that passes above a cell says nothing about what stands there.
        free = free[~passed | (flat[free] <= SPARED_LOG_ODDS)]
        flat[free] = np.maximum(flat[free] + self._config.log_odds_free, low)
        flat[hits] = hit_value  # a hit outweighs the free rays of the same image
        flat[footprint] = np.maximum(np.minimum(flat[footprint], 0.0) - 1.0, low)
        self.seen_step.ravel()[touched] = step
        self.num_changed += int(np.count_nonzero(np.sign(flat[touched]) != before))
        self._grow(touched)

    def _grow(self, flat: Int64[np.ndarray, "n"]) -> None:
        if flat.size == 0:
            return
        n, b = self.num_cells, self._bounds
        j = flat % n
        b[0], b[1] = min(b[0], flat.min() // n), max(b[1], flat.max() // n)
        b[2], b[3] = min(b[2], j.min()), max(b[3], j.max())

    def _footprint(self, xy_m: Float64[np.ndarray, "2"]) -> Int64[np.ndarray, "n"]:
        flat, _ = self._flat(xy_m + self._rays.footprint_m)
        return flat

    def _flat(
        self, xy_m: Float64[np.ndarray, "n 2"], extra: Bool[np.ndarray, "n"] | None = None
    ) -> tuple[Int64[np.ndarray, "m"], Bool[np.ndarray, "m"]]:
        """Return flat indices of the points inside the grid, and their part of `extra`."""
        if extra is None:
            extra = np.zeros(len(xy_m), dtype=np.bool_)
        cells = self.cells(xy_m)
        n = self.num_cells
        flat = cells[:, 0] * n + cells[:, 1]
        if cells.min(initial=0) < 0 or cells.max(initial=0) >= n:
            inside = ((cells >= 0) & (cells < n)).all(axis=1)
            return flat[inside], extra[inside]
        return flat, extra


class _Scan:
    """What one depth image says about the floor plan, in world coordinates."""

    __slots__ = ("free_is_near", "free_xy_m", "hit_xy_m", "lintel_xy_m")

    def __init__(
        self,
        free_xy_m: Float64[np.ndarray, "n 2"],
        free_is_near: Bool[np.ndarray, "n"],
        hit_xy_m: Float64[np.ndarray, "m 2"],
        lintel_xy_m: Float64[np.ndarray, "k 2"],
    ) -> None:
        self.free_xy_m = free_xy_m
        self.free_is_near = free_is_near
        self.hit_xy_m = hit_xy_m
        self.lintel_xy_m = lintel_xy_m


class _RayTable:
    """Constant geometry of the camera: directions, bearing bins and sampled ranges."""

    def __init__(self, spec: BodySpec, config: MapConfig) -> None:
        directions = pixel_rays(spec) @ spec.T_body_camera[:3, :3].T
        forward, left, up = np.moveaxis(directions, -1, 0)
        horizontal = np.hypot(forward, left)
        self._dx, self._dy = forward.ravel(), left.ravel()
        self._dz = up.astype(np.float32)
        self._horizontal = horizontal.astype(np.float32)
        # Bins are uniform in tan(bearing): exact image columns for a level camera.
        tangent = left / np.maximum(forward, 1e-6)
        low, high = float(tangent.min()), float(tangent.max())
        self._num_bins = spec.width_px
        scale = (self._num_bins - 1) / max(high - low, 1e-9)
        self._bins = np.rint((tangent - low) * scale).astype(np.intp)
        num_sub = (self._num_bins - 1) * SUB_RAYS + 1
        bearing = np.arctan(np.linspace(low, high, num_sub))
        self._sub_cos, self._sub_sin = np.cos(bearing), np.sin(bearing)
        self._steps_m = np.arange(0.0, FREE_RANGE_M, 0.9 * config.cell_m)
        self._depth_max_m = 0.99 * spec.depth_max_m
        self._low_m, self._high_m = config.band_low_m, spec.height_m + 0.05
        self._lintel_m = (spec.height_m + LINTEL_BAND_M[0], spec.height_m + LINTEL_BAND_M[1])
        self._cell_m = config.cell_m
        self._steepest = float(np.minimum(up / horizontal, -1e-6).min())
        reach = spec.radius_m
        offsets = np.arange(-reach, reach + 1e-9, config.cell_m / 2)
        X, Y = np.meshgrid(offsets, offsets)
        self.footprint_m = np.stack([X, Y], axis=-1)[np.hypot(X, Y) <= reach]

    def scan(
        self,
        depth_m: Float32[np.ndarray, "h w"],
        camera_m: Float64[np.ndarray, "3"],
        yaw_rad: float,
    ) -> _Scan:
        """Return free cells, hits and lintels as world points."""
        valid = (depth_m > 0.05) & (depth_m < self._depth_max_m)  # False where nothing returned
        depth = np.where(valid, depth_m, np.float32(0.0))
        range_m = depth * self._horizontal
        z = np.float32(camera_m[2]) + depth * self._dz
        below = valid & (z < self._high_m)
        obstacle = below & (z > self._low_m)
        near = range_m < HIT_RANGE_M
        hit = obstacle & near & ~_hanging(depth)
        lintel = near & (z > self._lintel_m[0]) & (z < self._lintel_m[1])
        c, s = math.cos(yaw_rad), math.sin(yaw_rad)
        R = np.array([[c, s], [-s, c]])
        hits_m = self._points(hit, depth) @ R + camera_m[:2]
        lintels_m = self._points(lintel, depth) @ R + camera_m[:2]
        reach = self._reach(range_m, below, obstacle)
        ray, k = np.nonzero(self._steps_m < reach[:, None])
        steps = self._steps_m[k]
        x = (c * self._sub_cos - s * self._sub_sin)[ray] * steps + camera_m[0]
        y = (s * self._sub_cos + c * self._sub_sin)[ray] * steps + camera_m[1]
        # Nearer than this the image does not reach down to the floor.
        blind_m = self._high_floor(float(camera_m[2])) / -self._steepest
        return _Scan(np.stack([x, y], axis=-1), steps < blind_m, hits_m, lintels_m)

    def _points(
        self, mask: Bool[np.ndarray, "h w"], depth: Float32[np.ndarray, "h w"]
    ) -> Float64[np.ndarray, "n 2"]:
        """Return forward and left of the chosen pixels, from the camera."""
        flat = np.flatnonzero(mask)
        d = depth.ravel()[flat].astype(np.float64)
        return np.stack([d * self._dx[flat], d * self._dy[flat]], axis=-1)

    def _high_floor(self, camera_height_m: float) -> float:
        return max(camera_height_m - 2 * self._low_m, 0.0)

    def _reach(
        self,
        range_m: Float32[np.ndarray, "h w"],
        below: Bool[np.ndarray, "h w"],
        obstacle: Bool[np.ndarray, "h w"],
    ) -> Float32[np.ndarray, "r"]:
        """Return how far each sub-ray is free: to the nearest obstacle or the farthest floor."""
        # One dtype throughout: ufunc.at is ten times slower when it has to cast.
        nearest = np.full(self._num_bins, np.inf, dtype=np.float32)
        farthest = np.zeros(self._num_bins, dtype=np.float32)
        np.minimum.at(nearest, self._bins[obstacle], range_m[obstacle])
        np.maximum.at(farthest, self._bins[below], range_m[below])
        reach = np.minimum(nearest - np.float32(0.75 * self._cell_m), farthest)
        both = np.minimum(reach[:-1], reach[1:])
        sub = np.repeat(both, SUB_RAYS)
        sub[::SUB_RAYS] = reach[:-1]
        return np.append(sub, reach[-1])


def _hanging(depth: Float32[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return pixels that lie between a nearer and a farther neighbour of their row.

    A thin pole is nearer than both neighbours and stays.
    """
    hanging = np.zeros(depth.shape, dtype=np.bool_)
    left, middle, right = depth[:, :-2], depth[:, 1:-1], depth[:, 2:]
    jump = EDGE_JUMP * middle
    rises = (middle - left > jump) & (right - middle > jump)
    falls = (left - middle > jump) & (middle - right > jump)
    hanging[:, 1:-1] = rises | falls
    return hanging
