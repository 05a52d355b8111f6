"""A house on paper: rooms, doors and placed pieces, and their plane geometry."""

import math
from dataclasses import dataclass, field
from typing import Literal

from agentd.worlds.house.parts import Piece, Vec3

WALL_M = 0.06
"""Thickness of a wall on each side of its centre line: every room owns its own half."""
WALL_HEIGHT_M = 2.55
DOOR_WIDTH_M = 0.95
DOOR_HEIGHT_M = 2.05
ROBOT_RADIUS_M = 0.18
OPEN_RAD = 1.62
"""Angle of a leaf that stands open: a little past square, so that it clears the doorway."""

Rect = tuple[float, float, float, float]
"""x0, y0, x1, y1 in metres."""
WallAxis = Literal["x", "y"]
"""`x`: the wall lies at constant x and runs along y."""


@dataclass(frozen=True, slots=True)
class Room:
    """A rectangle of the plan with its own paint and floor."""

    name: str
    kind: str
    rect: Rect
    wall_rgb: Vec3
    floor_rgb: Vec3
    floor_texture: str

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the floor."""
        x0, y0, x1, y1 = self.rect
        return (x0 + x1) / 2, (y0 + y1) / 2

    @property
    def area_m2(self) -> float:
        """Floor area up to the wall centre lines."""
        x0, y0, x1, y1 = self.rect
        return (x1 - x0) * (y1 - y0)


@dataclass(frozen=True, slots=True)
class Door:
    """An opening between two rooms, with a hinged leaf or as an open arch.

    Attributes:
        rooms: Indices of the two rooms.
        x: Centre of the opening.
        y: Centre of the opening.
        axis: Direction that the wall is constant in.
        width_m: Width of the opening.
        has_leaf: False for an arch.
        swing_room: Which of the rooms the leaf opens into.
        hinge: Jamb that carries the leaf: +1 at the larger coordinate along the wall, -1 at the
            smaller.
    """

    rooms: tuple[int, int]
    x: float
    y: float
    axis: WallAxis
    width_m: float
    has_leaf: bool
    swing_room: int
    hinge: int

    @property
    def leaf_m(self) -> float:
        """Length of the leaf."""
        return self.width_m - 0.12

    @property
    def hinge_xy(self) -> tuple[float, float]:
        """Where the leaf turns."""
        off = self.hinge * (self.width_m / 2 - 0.055)
        return (self.x, self.y + off) if self.axis == "x" else (self.x + off, self.y)

    @property
    def closed_yaw_rad(self) -> float:
        """Direction from the hinge along the closed leaf."""
        if self.axis == "x":
            return -self.hinge * math.pi / 2
        return math.pi if self.hinge > 0 else 0.0

    def along(self, half_m: float, reach_m: float) -> Rect:
        """Return the rectangle of half width along the wall and half depth through it."""
        if self.axis == "x":
            return self.x - reach_m, self.y - half_m, self.x + reach_m, self.y + half_m
        return self.x - half_m, self.y - reach_m, self.x + half_m, self.y + reach_m


@dataclass(frozen=True, slots=True)
class Placed:
    """A piece at its place; `yaw_rad` turns its front."""

    piece: Piece
    x: float
    y: float
    yaw_rad: float
    room: int

    def rect(self, grow_m: float = 0.0) -> Rect:
        """Return the axis-aligned footprint, grown on all sides."""
        hx, hy = half_footprint(self.piece, self.yaw_rad)
        return (
            self.x - hx - grow_m,
            self.y - hy - grow_m,
            self.x + hx + grow_m,
            self.y + hy + grow_m,
        )

    def at(self, forward_m: float, left_m: float) -> tuple[float, float]:
        """Return the world position of a point given in the frame of the piece."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return self.x + c * forward_m - s * left_m, self.y + s * forward_m + c * left_m


@dataclass(frozen=True, slots=True)
class House:
    """A furnished plan; the smallest corner lies at the origin of the world frame."""

    seed: int
    size_m: tuple[float, float]
    rooms: tuple[Room, ...]
    doors: tuple[Door, ...]
    objects: tuple[Placed, ...] = field(repr=False)

    def room_at(self, x: float, y: float) -> int:
        """Return the index of the room that holds a point, -1 outside."""
        for i, room in enumerate(self.rooms):
            if room.rect[0] <= x < room.rect[2] and room.rect[1] <= y < room.rect[3]:
                return i
        return -1

    def swing_sign(self, door: Door) -> int:
        """Return the sign of the hinge angle that opens the leaf into its room."""
        cx, cy = self.rooms[door.swing_room].centre
        normal = (cx - door.x, 0.0) if door.axis == "x" else (0.0, cy - door.y)
        leaf = math.cos(door.closed_yaw_rad), math.sin(door.closed_yaw_rad)
        return 1 if leaf[0] * normal[1] - leaf[1] * normal[0] > 0 else -1

    def leaf_end(self, door: Door, angle_rad: float) -> tuple[float, float]:
        """Return the free end of a leaf at a hinge angle."""
        x, y = door.hinge_xy
        yaw = door.closed_yaw_rad + angle_rad
        return x + door.leaf_m * math.cos(yaw), y + door.leaf_m * math.sin(yaw)


def half_footprint(piece: Piece, yaw_rad: float) -> tuple[float, float]:
    """Return the half extents along world x and y of a piece turned by `yaw_rad`."""
    if piece.is_round:
        return piece.depth_m / 2, piece.width_m / 2
    c, s = abs(math.cos(yaw_rad)), abs(math.sin(yaw_rad))
    hx = (piece.depth_m * c + piece.width_m * s) / 2
    return hx, (piece.depth_m * s + piece.width_m * c) / 2


def rects_meet(a: Rect, b: Rect) -> bool:
    """Return whether two rectangles share area."""
    return a[0] < b[2] and a[2] > b[0] and a[1] < b[3] and a[3] > b[1]
