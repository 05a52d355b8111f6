"""Where furniture goes: a search that keeps every room and every object within reach."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from agentd.worlds.house.layout import (
    OPEN_RAD,
    ROBOT_RADIUS_M,
    WALL_M,
    House,
    Placed,
    Rect,
    half_footprint,
    rects_meet,
)
from agentd.worlds.house.parts import Piece, pick

CELL_M = 0.05
_CLEAR_M = ROBOT_RADIUS_M + 0.07
"""Distance that the robot's centre keeps from everything solid."""
_APPROACH_M = 0.55
"""How near the robot must get to every object, from inside the object's room."""
_MIN_FLOOR_M2 = (0.5, 0.9)
"""Free floor that a small and a larger room must keep."""
_ROOM_TRIES = 12
_REQUIRED: dict[str, frozenset[str]] = {
    "bedroom": frozenset({"bed"}),
    "kitchen": frozenset({"refrigerator", "oven"}),
    "bathroom": frozenset({"toilet", "sink"}),
    "living_room": frozenset({"couch", "tv"}),
    "office": frozenset({"desk"}),
    "dining_room": frozenset({"table"}),
    "laundry": frozenset({"washer"}),
}
"""What makes a room recognisable: without it the room is furnished anew."""
SIDES = "WESN"


def furnish(plan: House, rng: np.random.Generator) -> list[Placed] | None:
    """Return the furniture of all rooms of an empty plan, None if a room cannot be furnished."""
    from agentd.worlds.house.room_rules import decorate_room, furnish_room

    floor = FloorPlan(plan)
    objects: list[Placed] = []
    for index, room in enumerate(plan.rooms):
        for _ in range(_ROOM_TRIES):
            placer = RoomPlacer(floor, index, rng)
            furnish_room(placer)
            have = {o.piece.category for o in placer.objects}
            if have >= _REQUIRED[room.kind] and placer.is_reachable():
                break
        else:
            return None
        decorate_room(placer)
        objects += placer.objects
    return objects


class FloorPlan:
    """The empty plan on a grid: where the robot's centre fits, and what doors keep free."""

    def __init__(self, plan: House) -> None:
        self.plan = plan
        shape = tuple(round(s / CELL_M) for s in plan.size_m)
        blocked = np.zeros(shape, dtype=bool)
        for room in plan.rooms:
            x0, y0, x1, y1 = room.rect
            blocked[cells((x0 - WALL_M, y0, x0 + WALL_M, y1))] = True
            blocked[cells((x1 - WALL_M, y0, x1 + WALL_M, y1))] = True
            blocked[cells((x0, y0 - WALL_M, x1, y0 + WALL_M))] = True
            blocked[cells((x0, y1 - WALL_M, x1, y1 + WALL_M))] = True
        for door in plan.doors:
            blocked[cells(door.along(door.width_m / 2, 0.15))] = False
        self.keep_out: list[Rect] = []
        for door in plan.doors:
            self.keep_out.append(door.along(door.width_m / 2 + 0.05, 0.75))
            if door.has_leaf:
                leaf = self._open_leaf(door)
                blocked[cells(leaf)] = True
                self.keep_out.append(_union(leaf, door.along(door.width_m / 2, 0.05)))
        padded = ndimage.distance_transform_edt(np.pad(~blocked, 1))
        self.clear: Bool[np.ndarray, "x y"] = padded[1:-1, 1:-1] * CELL_M > _CLEAR_M

    def _open_leaf(self, door) -> Rect:  # noqa: ANN001 (set below)
        return (0.0, 0.0, 0.0, 0.0)
