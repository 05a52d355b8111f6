"""Plane maps of the house as it stands: what is occupied, where the robot fits, contact shade."""

import math

import mujoco
import numpy as np
from jaxtyping import Bool, Float32, Int32
from scipy import ndimage

from agentd.worlds.house.mjcf import PARKED_X_M, Scene
from agentd.worlds.house.plan import OPEN_RAD, ROBOT_RADIUS_M, WALL_M, half_footprint

CELL_M = 0.05
_MARGIN_M = 0.03
_SHADE_REACH_M = 0.35
_SHADE_DEEPEST = 0.62
_GIVES_WAY = 0.6
"""An unlatched leaf that is open less than this share of its swing is pushed open, not avoided."""


class HouseMaps:
    """Reads the state of a scene; nothing is kept: callers know when to ask again."""

    def __init__(self, scene: Scene, data: mujoco.MjData) -> None:
        self._scene = scene
        self._data = data
        house, model = scene.house, scene.model
        shape = [round(s / CELL_M) for s in house.size_m]
        self._x = (np.arange(shape[0])[:, None] + 0.5) * CELL_M
        self._y = (np.arange(shape[1])[None, :] + 0.5) * CELL_M
        self._walls = self._draw_walls(shape)
        self._mocap = {
            k: int(model.body(f"obj{k}").mocapid[0])
            for k, placed in enumerate(house.objects)
            if not placed.piece.flat and placed.piece.category != "ball"
        }
        self._doors = [k for k, door in enumerate(house.doors) if door.has_leaf]

    def door_signature(self) -> bytes:
        """Return a key that changes whenever a door is moved or latched."""
        angles = [round(self.door_angle_rad(k), 2) for k in self._doors]
        return np.array([angles, self._latches()]).tobytes()

    def furniture(self) -> Bool[np.ndarray, "x y"]:
        """Return the cells that walls and standing furniture cover."""
        grid = self._walls.copy()
        for k, mocap in self._mocap.items():
            x, y = (float(v) for v in self._data.mocap_pos[mocap][:2])
            if x > PARKED_X_M / 2:
                w, _, _, z = self._data.mocap_quat[mocap]
                self._draw_piece(grid, k, x, y, 2 * math.atan2(float(z), float(w)))
        return grid

    def occupied(self) -> Bool[np.ndarray, "x y"]:
        """Return furniture and walls plus the leaves that do not give way."""
        grid = self.furniture()
        latches = dict(zip(self._doors, self._latches(), strict=True))
        for k in self._doors:
            angle = self.door_angle_rad(k)
            if latches[k] or abs(angle) > _GIVES_WAY * OPEN_RAD:
                self._draw_leaf(grid, k, angle)
        return grid

    def navigable(self) -> Bool[np.ndarray, "x y"]:
        """Return the cells that the robot's centre can stand on."""
        distance = ndimage.distance_transform_edt(np.pad(~self.occupied(), 1))[1:-1, 1:-1]
        return distance * CELL_M > ROBOT_RADIUS_M + _MARGIN_M

    def contact_shade(self) -> Float32[np.ndarray, "x y"]:
        """Return how much light reaches the floor: less beside walls and furniture."""
        distance = ndimage.distance_transform_edt(np.pad(~self.furniture(), 1))[1:-1, 1:-1]
        near = np.clip(distance * CELL_M / _SHADE_REACH_M, 0, 1)
        return (_SHADE_DEEPEST + (1 - _SHADE_DEEPEST) * near).astype(np.float32)

    def door_angle_rad(self, index: int) -> float:
        """Return the hinge angle of a door's leaf, 0 when closed."""
        return float(self._data.qpos[self._scene.model.joint(f"door{index}").qposadr[0]])

    def _latches(self) -> list[float]:
        model = self._scene.model
        ids = [model.equality(f"latch{k}").id for k in self._doors]
        return [float(self._data.eq_active[i]) for i in ids]

    def _draw_walls(self, shape: list[int]) -> Bool[np.ndarray, "x y"]:
        grid = np.zeros(shape, dtype=bool)
        half = CELL_M / 2
        for room in self._scene.house.rooms:
            x0, y0, x1, y1 = room.rect
            in_x, in_y = (self._x > x0) & (self._x < x1), (self._y > y0) & (self._y < y1)
            edge_x = (self._x < x0 + WALL_M + half) | (self._x > x1 - WALL_M - half)
            edge_y = (self._y < y0 + WALL_M + half) | (self._y > y1 - WALL_M - half)
            grid |= in_x & in_y & (edge_x | edge_y)
        for door in self._scene.house.doors:
            # The jambs stand 5 cm into the opening.
            x0, y0, x1, y1 = door.along(door.width_m / 2 - 0.05 - half, 3 * CELL_M)
            grid[(self._x > x0) & (self._x < x1) & (self._y > y0) & (self._y < y1)] = False
        return grid

    def _draw_piece(
        self, grid: Bool[np.ndarray, "x y"], index: int, x: float, y: float, yaw_rad: float
    ) -> None:
        piece = self._scene.house.objects[index].piece
        hx, hy = half_footprint(piece, yaw_rad)
        sx, sy = _window(grid, x - hx, y - hy, x + hx, y + hy)
        dx, dy = self._x[sx] - x, self._y[:, sy] - y
        half = CELL_M / 2
        if piece.is_round:
            grid[sx, sy] |= np.hypot(dx, dy) <= piece.depth_m / 2 + half
            return
        c, s = math.cos(yaw_rad), math.sin(yaw_rad)
        u, v = c * dx + s * dy, c * dy - s * dx
        inside = (abs(u) <= piece.depth_m / 2 + half) & (abs(v) <= piece.width_m / 2 + half)
        grid[sx, sy] |= inside

    def _draw_leaf(self, grid: Bool[np.ndarray, "x y"], index: int, angle_rad: float) -> None:
        door = self._scene.house.doors[index]
        x, y = door.hinge_xy
        ex, ey = self._scene.house.leaf_end(door, angle_rad)
        sx, sy = _window(grid, min(x, ex), min(y, ey), max(x, ex), max(y, ey))
        dx, dy = self._x[sx] - x, self._y[:, sy] - y
        c, s = (ex - x) / door.leaf_m, (ey - y) / door.leaf_m
        u, v = c * dx + s * dy, c * dy - s * dx
        half = CELL_M / 2
        grid[sx, sy] |= (u >= -half) & (u <= door.leaf_m + half) & (abs(v) <= 0.018 + half)


def main_component(navigable: Bool[np.ndarray, "x y"]) -> Bool[np.ndarray, "x y"]:
    """Return the largest connected part of the navigable cells."""
    labels, _ = ndimage.label(navigable)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax() if sizes.size > 1 else navigable


def cell_of(x: float, y: float, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the cell that holds a point, clipped to the grid."""
    i, j = int(x / CELL_M), int(y / CELL_M)
    return min(max(i, 0), shape[0] - 1), min(max(j, 0), shape[1] - 1)


def cell_centres(cells: Int32[np.ndarray, "n 2"] | np.ndarray) -> np.ndarray:
    """Return the world positions of cells."""
    return (cells + 0.5) * CELL_M


def _window(grid: np.ndarray, x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice]:
    low = [max(0, int(v / CELL_M) - 1) for v in (x0, y0)]
    high = [min(n, int(v / CELL_M) + 2) for n, v in zip(grid.shape, (x1, y1), strict=True)]
    return slice(low[0], max(low[0], high[0])), slice(low[1], max(low[1], high[1]))
