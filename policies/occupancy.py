"""Log-odds occupancy grid from depth and pose.

Axis letters: h w image, n cells or points, x y the grid (axis 0 is world x, axis 1 is world y).
"""

import math

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int8, Int64

from memory.frames import body_pose
from memory.records import BodySpec, Observation
from policies.compiled import Kernels, load_kernels
from policies.config import MapConfig
from policies.scan import SUB_RAYS, RayTable

UNKNOWN, FREE, OCCUPIED = -1, 0, 1
SPARED_LOG_ODDS = 0.0
"""Free rays that pass over a cell without seeing its floor clear only what is below this."""
BUMP_KEEP_STEPS = 200
"""Bump marks expire: they say where something was touched, not what."""
FADE_EVERY_STEPS = 100
"""Steps between two passes in which what was not seen fades."""
LEAST_LOG_ODDS = 0.1
"""What was once seen never fades to unknown."""
SURE_SHARE = 0.75
"""Share of the largest log-odds from which the map is sure that something stands in a cell."""
BUMP_HALF_WIDTH_M = 0.08
BUMP_SECTOR_RAD = 1.2
"""Obstacles within this angle of the heading explain a bump."""


class OccupancyMap:
    """Occupancy, doorways and the time of the last look, on one square grid.

    The grid is centred on the first pose. Cells are unknown until something was measured there.

    Attributes:
        kernels: Compiled inner loops for what works on this map, None without numba.
        rays: Geometry of the camera.
    """

    def __init__(self, spec: BodySpec, config: MapConfig) -> None:
        self._spec = spec
        self._config = config
        self.kernels = load_kernels()
        self.cell_m = config.cell_m
        self.num_cells = 2 * math.ceil(config.size_m / config.cell_m / 2)
        self.rays = RayTable(spec, config)
        self._marks = np.zeros(self.num_cells**2, dtype=np.int32)
        self._touched = np.zeros(self.num_cells**2, dtype=np.int32)
        low, high = config.clip
        self._weights = np.array(
            [config.log_odds_hit, config.log_odds_free, low, high], dtype=np.float32
        )
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
        self._faded_step = 0

    @property
    def origin_m(self) -> tuple[float, float]:
        """World position of the corner of cell (0, 0)."""
        return self._origin_m or (0.0, 0.0)

    @property
    def size_m(self) -> float:
        """Side of the square."""
        return self.num_cells * self.cell_m

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
        if step - self._faded_step >= FADE_EVERY_STEPS:
            self._fade(step)
        pose = body_pose(observation.T_world_camera, self._spec).astype(np.float64)
        if self._origin_m is None:
            half = self.num_cells / 2 * self.cell_m
            low = np.floor((pose[:2] - half) / self.cell_m) * self.cell_m
            self._origin_m = (float(low[0]), float(low[1]))
        camera = observation.T_world_camera[:3, 3].astype(np.float64)
        if self.kernels is not None:
            self._fold(self.kernels, observation.depth_m, camera, pose, step)
            return
        scan = self.rays.scan(observation.depth_m, camera, float(pose[2]))
        free, passed = self._flat(scan.free_xy_m, scan.free_is_near)
        hits, _ = self._flat(scan.hit_xy_m)
        lintels, _ = self._flat(scan.lintel_xy_m)
        self.lintels.ravel()[lintels] = True
        self._apply(free, passed, hits, self._footprint(pose[:2]), step)

    def _fold(
        self,
        kernels: Kernels,
        depth_m: Float32[np.ndarray, "h w"],
        camera_m: Float64[np.ndarray, "3"],
        pose: Float64[np.ndarray, "3"],
        step: int,
    ) -> None:
        """Do what `scan` and `_apply` do, compiled."""
        grid_kernels, rays, n = kernels.grid, self.rays, self.num_cells
        depth = np.require(depth_m, np.float32, ("C", "W"))
        image, marked = (depth, rays.horizontal, rays.dz), (self._marks, self._touched)
        turn = math.cos(float(pose[2])), math.sin(float(pose[2]))
        grid = np.array([*self.origin_m, self.cell_m])
        flat, blind_m = self.log_odds.ravel(), rays.blind_m(float(camera_m[2]))
        free = grid_kernels.reach(
            *image, rays.bins, camera_m[2], rays.limits, rays.margin_m, SUB_RAYS
        )
        fan = (rays.sub_cos, rays.sub_sin, rays.steps_m)
        count = grid_kernels.touch_rays(
            free, *fan, camera_m, *turn, blind_m, grid, n, flat, SPARED_LOG_ODDS, *marked, 0
        )
        count = grid_kernels.touch_pixels(
            *(*image, rays.dx, rays.dy, camera_m, rays.limits),
            *(*turn, grid, n, self.lintels.ravel(), *marked, count),
        )
        count = grid_kernels.touch_footprint(rays.footprint_m, pose, grid, n, *marked, count)
        seen, weights, bounds = self.seen_step.ravel(), self._weights, self._bounds
        lintels = self.lintels.ravel()
        changed = grid_kernels.settle(flat, seen, lintels, *marked, count, weights, step, bounds, n)
        self.num_changed += int(changed)

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

    def forget(self, cells: Int64[np.ndarray, "n 2"]) -> None:
        """Make cells unknown again."""
        self.log_odds[cells[:, 0], cells[:, 1]] = 0.0
        self.num_changed += len(cells)

    def forget_bumps(self, before_step: int) -> bool:
        """Drop the bump marks of before a step; return whether there were any."""
        dropped = False
        while self._bump_log and self._bump_log[0][0] < before_step:
            _, flat = self._bump_log.pop(0)
            self.bumps.ravel()[flat] = False
            self.num_changed += flat.size
            dropped = True
        return dropped

    def put(self, cells: Int64[np.ndarray, "n 2"], log_odds: Float32[np.ndarray, "n"]) -> None:
        """Set cells to what they were."""
        self.log_odds[cells[:, 0], cells[:, 1]] = log_odds
        self.num_changed += len(cells)

    def low_cells(
        self, before_step: int, body_m: Float64[np.ndarray, "2"], blind_m: float
    ) -> Int64[np.ndarray, "n 2"]:
        """Return occupied cells above which nothing was seen at the height of a lintel.

        Walls that were seen whole are none of them. Those last seen before a step or of which the
        map is not sure, and within `blind_m` of the body (on either axis) all.
        """
        window = self.window(0)
        low = (self.log_odds[window] > 0) & ~self.lintels[window]
        near = np.zeros_like(self.bumps)
        near[self.around(body_m, blind_m)] = True
        unsure = self.log_odds[window] < SURE_SHARE * self._config.clip[1]
        low &= near[window] | unsure | (self.seen_step[window] < before_step)
        return np.argwhere(low) + np.array([w.start for w in window])

    def _expire_bumps(self, step: int) -> None:
        self.forget_bumps(step - BUMP_KEEP_STEPS)

    def _fade(self, step: int) -> None:
        """Let the belief in what was not seen for a while fade: L <- L exp(-dt / tau).

        A change there is then believed after a look or two. Walls stay: what reaches above the
        body does not move. Passes are few and touch only what is known, so that a tick costs the
        same in an old life as in a young one.
        """
        since, self._faded_step = self._faded_step, step
        if self._config.fade_steps is None or since == 0:
            return
        window = self.window(0)
        odds, size = self.log_odds[window], np.abs(self.log_odds[window])
        fades = (self.seen_step[window] < since) & ~(self.lintels[window] & (odds > 0))
        kept = np.float32(math.exp((since - step) / self._config.fade_steps))
        faded = np.minimum(size, np.maximum(size * kept, np.float32(LEAST_LOG_ODDS)))
        np.copyto(odds, np.copysign(faded, odds), where=fades & (odds != 0))

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
        self._faded_step = max(int(self.seen_step.max()), 0)
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
        stood = touched[before > 0]
        hit_value = np.minimum(flat[hits] + self._config.log_odds_hit, high)
        # A ray that passes above a cell says nothing about what stands there.
        free = free[~passed | (flat[free] <= SPARED_LOG_ODDS)]
        flat[free] = np.maximum(flat[free] + self._config.log_odds_free, low)
        flat[hits] = hit_value  # a hit outweighs the free rays of the same image
        flat[footprint] = np.maximum(np.minimum(flat[footprint], 0.0) - 1.0, low)
        self.seen_step.ravel()[touched] = step
        self.num_changed += int(np.count_nonzero(np.sign(flat[touched]) != before))
        # Something tall that went was no doorway: a lintel that is still there is seen again.
        self.lintels.ravel()[stood[flat[stood] < 0]] = False
        self._grow(touched)

    def _grow(self, flat: Int64[np.ndarray, "n"]) -> None:
        if flat.size == 0:
            return
        n, b = self.num_cells, self._bounds
        j = flat % n
        b[0], b[1] = min(b[0], flat.min() // n), max(b[1], flat.max() // n)
        b[2], b[3] = min(b[2], j.min()), max(b[3], j.max())

    def _footprint(self, xy_m: Float64[np.ndarray, "2"]) -> Int64[np.ndarray, "n"]:
        flat, _ = self._flat(xy_m + self.rays.footprint_m)
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
