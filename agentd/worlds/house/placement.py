"""Where furniture goes: a search that keeps every room and every object within reach."""

import math

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from agentd.worlds.house.furniture import make_piece
from agentd.worlds.house.parts import Piece, pick
from agentd.worlds.house.plan import (
    OPEN_RAD,
    ROBOT_RADIUS_M,
    WALL_M,
    Door,
    House,
    Placed,
    Rect,
    Room,
    half_footprint,
    rects_meet,
)

CELL_M = 0.05
CLEAR_M = ROBOT_RADIUS_M + 0.07
"""Distance that the robot's centre keeps from everything solid, so that a coarse path fits."""
APPROACH_M = 0.55
"""How near the robot must get to every object, from inside the object's room."""
_MIN_FREE_M2 = 0.5
_GAP_M = 0.03
_CROSS = ndimage.generate_binary_structure(2, 1)
_HALO_CELLS = 3
"""Cells around a room that are looked at with it: enough to hold the doorways' centres."""


def cells(rect: Rect) -> tuple[slice, slice]:
    """Return the grid cells that a rectangle touches."""
    x0, y0, x1, y1 = (v / CELL_M for v in rect)
    low_x, low_y = max(0, math.floor(x0 + 1e-6)), max(0, math.floor(y0 + 1e-6))
    return slice(low_x, max(0, math.ceil(x1 - 1e-6))), slice(low_y, max(0, math.ceil(y1 - 1e-6)))


class FloorPlan:
    """The empty plan on a grid: where the robot's centre fits and what the doors keep free."""

    def __init__(self, plan: House) -> None:
        self.plan = plan
        self.keep_out: list[Rect] = []
        blocked = np.zeros([round(s / CELL_M) for s in plan.size_m], dtype=bool)
        for room in plan.rooms:
            x0, y0, x1, y1 = room.rect
            blocked[cells((x0 - WALL_M, y0, x0 + WALL_M, y1))] = True
            blocked[cells((x1 - WALL_M, y0, x1 + WALL_M, y1))] = True
            blocked[cells((x0, y0 - WALL_M, x1, y0 + WALL_M))] = True
            blocked[cells((x0, y1 - WALL_M, x1, y1 + WALL_M))] = True
        for door in plan.doors:
            blocked[cells(door.along(door.width_m / 2, 0.15))] = False
        for door in plan.doors:
            self.keep_out.append(door.along(door.width_m / 2 + 0.05, 0.75))
            if door.has_leaf:
                leaf = open_leaf(plan, door)
                blocked[cells(leaf)] = True
                self.keep_out.append(_union(leaf, door.along(door.width_m / 2, 0.05)))
        distance = ndimage.distance_transform_edt(np.pad(~blocked, 1))[1:-1, 1:-1] * CELL_M
        self.clear: Bool[np.ndarray, "x y"] = distance > CLEAR_M


class RoomPlacer:
    """Places pieces in one room; a piece that would cut anything off is not placed."""

    def __init__(self, floor: FloorPlan, index: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.index = index
        self.room: Room = floor.plan.rooms[index]
        self.size_m = floor.plan.size_m
        self.objects: list[Placed] = []
        self.keep_out = floor.keep_out
        x0, y0, x1, y1 = self.room.rect
        halo = _HALO_CELLS * CELL_M
        window = cells((x0 - halo, y0 - halo, x1 + halo, y1 + halo))
        self._origin = (window[0].start, window[1].start)
        self._clear = floor.clear[window].copy()
        nx, ny = self._clear.shape
        self._x = (np.arange(nx)[:, None] + self._origin[0] + 0.5) * CELL_M
        self._y = (np.arange(ny)[None, :] + self._origin[1] + 0.5) * CELL_M
        doors = [d for d in floor.plan.doors if index in d.rooms]
        self._doorways = [self._cell(d.x, d.y) for d in doors]

    def piece(self, kind: str) -> Piece:
        """Return a new piece of a kind."""
        return make_piece(kind, self.rng)

    def place(self, piece: Piece, x: float, y: float, yaw_rad: float) -> Placed | None:
        """Put a piece at a pose if it fits and cuts nothing off."""
        placed = Placed(piece, float(x), float(y), float(yaw_rad), self.index)
        if not self.accepts(placed):
            return None
        self.adopt(placed)
        return placed

    def accepts(self, placed: Placed) -> bool:
        """Return whether a piece fits at its pose and cuts nothing off."""
        if not self._fits(placed.rect()):
            return False
        clear = self._clear & ~self._near(placed.rect(), CLEAR_M)
        return self._connected(clear, [*self.objects, placed])

    def adopt(self, placed: Placed) -> None:
        """Add a piece that stands where it is."""
        self.objects.append(placed)
        if not placed.piece.flat:
            self._clear &= ~self._near(placed.rect(), CLEAR_M)

    def lay(self, piece: Piece, x: float, y: float, yaw_rad: float) -> Placed | None:
        """Put a flat piece on the floor if it lies inside the room."""
        placed = Placed(piece, x, y, yaw_rad, self.index)
        if not self._inside(placed.rect(), WALL_M + 0.02):
            return None
        self.objects.append(placed)
        return placed

    def against_wall(self, piece: Piece, tries: int = 40, *, corner: bool = False) -> Placed | None:
        """Put a piece with its back to a wall, half of the time (or always) in a corner."""
        placed = self.find_against_wall(piece, tries, corner=corner)
        if placed is not None:
            self.adopt(placed)
        return placed

    def find_against_wall(
        self, piece: Piece, tries: int = 40, *, corner: bool = False
    ) -> Placed | None:
        """Return a free place at a wall."""
        for _ in range(tries):
            side = pick(self.rng, "WESN")
            low, high = self.wall_span(side)
            margin = piece.width_m / 2 + WALL_M + 0.02
            if high - low < 2 * margin:
                continue
            if corner or self.rng.random() < 0.5:
                along = pick(self.rng, (low + margin, high - margin))
            else:
                along = float(self.rng.uniform(low + margin, high - margin))
            placed = Placed(piece, *self.wall_pose(piece, side, along), self.index)
            if self.accepts(placed):
                return placed
        return None

    def find_anywhere(self, piece: Piece, tries: int = 30) -> Placed | None:
        """Return a free place somewhere on the floor."""
        x0, y0, x1, y1 = self.room.rect
        for _ in range(tries):
            x, y = self.rng.uniform(x0 + 0.5, x1 - 0.5), self.rng.uniform(y0 + 0.5, y1 - 0.5)
            yaw = int(self.rng.integers(4)) * math.pi / 2
            placed = Placed(piece, float(x), float(y), yaw, self.index)
            if self.accepts(placed):
                return placed
        return None

    def wall_span(self, side: str) -> tuple[float, float]:
        """Return both ends of a wall (W, E, S or N) along its axis."""
        x0, y0, x1, y1 = self.room.rect
        return (y0, y1) if side in "WE" else (x0, x1)

    def wall_pose(
        self, piece: Piece, side: str, along_m: float, gap_m: float = 0.01
    ) -> tuple[float, float, float]:
        """Return x, y, yaw of a piece that stands with its back to a wall."""
        x0, y0, x1, y1 = self.room.rect
        off = piece.depth_m / 2 + WALL_M + gap_m
        poses = {
            "W": (x0 + off, along_m, 0.0),
            "E": (x1 - off, along_m, math.pi),
            "S": (along_m, y0 + off, math.pi / 2),
            "N": (along_m, y1 - off, -math.pi / 2),
        }
        return poses[side]

    def is_outer_wall(self, side: str) -> bool:
        """Return whether a wall of the room faces the garden."""
        k = "WSEN".index(side)
        border = (0.0, 0.0, *self.size_m)[k]
        return abs(self.room.rect[k] - border) < 1e-6

    def _cell(self, x: float, y: float) -> tuple[int, int]:
        return int(x / CELL_M) - self._origin[0], int(y / CELL_M) - self._origin[1]

    def _inside(self, rect: Rect, margin_m: float) -> bool:
        x0, y0, x1, y1 = self.room.rect
        low = rect[0] >= x0 + margin_m and rect[1] >= y0 + margin_m
        return low and rect[2] <= x1 - margin_m and rect[3] <= y1 - margin_m

    def _fits(self, rect: Rect) -> bool:
        if not self._inside(rect, WALL_M - 0.005):
            return False
        if any(rects_meet(rect, k) for k in self.keep_out):
            return False
        return not any(rects_meet(rect, o.rect(_GAP_M)) for o in self.objects if not o.piece.flat)

    def _near(self, rect: Rect, reach_m: float) -> Bool[np.ndarray, "x y"]:
        """Return the cells whose centre lies within `reach_m` of a rectangle."""
        dx = np.maximum(np.maximum(rect[0] - self._x, self._x - rect[2]), 0.0)
        dy = np.maximum(np.maximum(rect[1] - self._y, self._y - rect[3]), 0.0)
        return dx * dx + dy * dy <= reach_m * reach_m

    def _connected(self, clear: Bool[np.ndarray, "x y"], objects: list[Placed]) -> bool:
        """Return whether doorways, floor and objects of the room stay in one piece."""
        labels, _ = ndimage.label(clear, structure=_CROSS)
        main = labels[self._doorways[0]]
        if main == 0 or any(labels[c] != main for c in self._doorways):
            return False
        reach = labels == main
        if int(reach.sum()) * CELL_M**2 < _MIN_FREE_M2:
            return False
        return all(o.piece.flat or bool(reach[self._approach(o)].any()) for o in objects)

    def _approach(self, placed: Placed) -> tuple[slice, slice]:
        """Return the part of the window from which an object counts as reached."""
        a, b = placed.rect(APPROACH_M), self.room.rect
        clipped = (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
        sx, sy = cells(clipped)
        ox, oy = self._origin
        return slice(sx.start - ox, sx.stop - ox), slice(sy.start - oy, sy.stop - oy)


def open_leaf(plan: House, door: Door) -> Rect:
    """Return the floor that the wide open leaf of a door stands on."""
    hx, hy = door.hinge_xy
    ex, ey = plan.leaf_end(door, plan.swing_sign(door) * OPEN_RAD)
    grow = 0.03
    return min(hx, ex) - grow, min(hy, ey) - grow, max(hx, ex) + grow, max(hy, ey) + grow


def is_reachable(house: House) -> bool:
    """Return whether the robot can drive to every room and object of a furnished house."""
    clear = FloorPlan(house).clear
    x = (np.arange(clear.shape[0])[:, None] + 0.5) * CELL_M
    y = (np.arange(clear.shape[1])[None, :] + 0.5) * CELL_M
    solid = [o for o in house.objects if not o.piece.flat]
    for placed in solid:
        hx, hy = half_footprint(placed.piece, placed.yaw_rad)
        dx, dy = np.maximum(abs(x - placed.x) - hx, 0), np.maximum(abs(y - placed.y) - hy, 0)
        clear &= dx * dx + dy * dy > CLEAR_M**2
    labels, _ = ndimage.label(clear, structure=_CROSS)
    first = house.doors[0]
    main = labels[int(first.x / CELL_M), int(first.y / CELL_M)]
    reach = (labels == main) & (main > 0)
    if not all(reach[int(d.x / CELL_M), int(d.y / CELL_M)] for d in house.doors):
        return False
    for placed in solid:
        a, b = placed.rect(APPROACH_M), house.rooms[placed.room].rect
        near = cells((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
        if not reach[near].any():
            return False
    return True


def _union(a: Rect, b: Rect) -> Rect:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
