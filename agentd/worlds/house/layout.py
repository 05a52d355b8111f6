"""Floor plans: rooms by recursive splits, doors on a spanning tree plus some loops."""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from agentd.worlds.house.parts import Vec3, jitter, paint, pick
from agentd.worlds.house.plan import DOOR_WIDTH_M, Door, House, Rect, Room, WallAxis
from agentd.worlds.house.room_rules import furnish

_GRID_M = 0.05
_MIN_SIDE_M = 2.25
_MIN_SHARED_WALL_M = 1.65
_MAX_LAYOUTS = 60

_KINDS: dict[int, tuple[str, ...]] = {
    5: ("living_room", "bedroom", "kitchen", "office", "bathroom"),
    6: ("living_room", "bedroom", "kitchen", "bedroom", "office", "bathroom"),
    7: ("living_room", "dining_room", "bedroom", "kitchen", "bedroom", "office", "bathroom"),
    8: (
        *("living_room", "dining_room", "bedroom", "kitchen"),
        *("bedroom", "office", "laundry", "bathroom"),
    ),
}
"""Room kinds from the largest room to the smallest."""

MAX_ROOMS = 16
_MORE = (
    *("living_room", "bedroom", "office", "bathroom"),
    *("bedroom", "laundry", "dining_room", "office"),
)
"""What a house of more than eight rooms has besides."""
_BY_SIZE = ("living_room", "dining_room", "bedroom", "kitchen", "office", "laundry", "bathroom")
_KINDS |= {
    num: tuple(sorted(_KINDS[8] + _MORE[: num - 8], key=_BY_SIZE.index))
    for num in range(9, MAX_ROOMS + 1)
}

_PUBLIC = frozenset({"living_room", "dining_room", "kitchen"})
_PRIVATE = frozenset({"bedroom", "bathroom", "office", "laundry"})

_WALLS: tuple[Vec3, ...] = (
    (0.90, 0.87, 0.80),
    (0.78, 0.84, 0.88),
    (0.86, 0.80, 0.72),
    (0.80, 0.86, 0.78),
    (0.91, 0.83, 0.80),
    (0.88, 0.88, 0.90),
    (0.93, 0.89, 0.70),
    (0.74, 0.78, 0.80),
)
_FLOORS: dict[str, tuple[tuple[str, Vec3], ...]] = {
    "living_room": (
        ("planks", (0.55, 0.38, 0.24)),
        ("planks", (0.68, 0.52, 0.36)),
        ("planks", (0.42, 0.30, 0.22)),
    ),
    "bedroom": (
        ("carpet", (0.62, 0.57, 0.50)),
        ("planks", (0.68, 0.52, 0.36)),
        ("carpet", (0.45, 0.48, 0.55)),
    ),
    "kitchen": (
        ("tiles", (0.80, 0.78, 0.74)),
        ("checker", (0.82, 0.82, 0.80)),
        ("tiles", (0.62, 0.60, 0.58)),
    ),
    "bathroom": (
        ("tiles", (0.70, 0.80, 0.84)),
        ("checker", (0.85, 0.86, 0.88)),
        ("tiles", (0.85, 0.84, 0.80)),
    ),
    "office": (("planks", (0.42, 0.30, 0.22)), ("carpet", (0.35, 0.40, 0.42))),
    "dining_room": (("planks", (0.55, 0.38, 0.24)), ("planks", (0.68, 0.52, 0.36))),
    "laundry": (("tiles", (0.72, 0.70, 0.68)),),
}


@dataclass(frozen=True, slots=True)
class _SharedWall:
    """A stretch of wall between two rooms, long enough for a door."""

    rooms: tuple[int, int]
    axis: WallAxis
    line_m: float
    low_m: float
    high_m: float


def make_house(seed: int, num_rooms: int | None = None) -> House:
    """Return the furnished house of a seed; the same seed gives the same house.

    Every room and every object can be reached by the robot, and each room holds what its kind
    stands for (a bed, a fridge and an oven, ...).

    Args:
        seed: Which house.
        num_rooms: 5 to 16, of 13 to 16 m2 each; None draws 5 to 8.

    Raises:
        ValueError: If num_rooms is outside 5 to 16.
    """
    if num_rooms is not None and num_rooms not in _KINDS:
        raise ValueError(f"num_rooms is {num_rooms}; a house has 5 to {MAX_ROOMS} rooms")
    rng = np.random.default_rng(seed)
    for _ in range(_MAX_LAYOUTS):
        plan = _draw_plan(rng, seed, num_rooms)
        if plan is not None:
            house = furnish(plan, rng)
            if house is not None:
                return house
    raise RuntimeError(f"no valid house within {_MAX_LAYOUTS} layouts of seed {seed}")


def _draw_plan(rng: np.random.Generator, seed: int, num_rooms: int | None) -> House | None:
    count = num_rooms or int(rng.integers(5, 9))
    area = count * float(rng.uniform(12.5, 16.0))
    ratio = float(rng.uniform(0.7, 1.0))
    width = round(math.sqrt(area / ratio), 1)
    depth = round(math.sqrt(area * ratio), 1)
    rects = _split(rng, (0.0, 0.0, width, depth), count)
    if len(rects) < count:
        return None
    rooms = _name_rooms(rng, rects)
    walls = _choose_openings(rng, rooms, _shared_walls(rects))
    if walls is None:
        return None
    doors = tuple(_cut_door(rng, rooms, wall) for wall in walls)
    return House(seed, (width, depth), rooms, doors, ())


def _split(rng: np.random.Generator, whole: Rect, count: int) -> list[Rect]:
    """Cut mostly the largest rectangle, across its longer side, until there are `count`."""
    rects = [whole]
    for _ in range(40 * count):
        if len(rects) == count:
            break
        by_area = sorted(rects, key=lambda r: (r[0] - r[2]) * (r[3] - r[1]))
        x0, y0, x1, y1 = by_area[0 if rng.random() < 0.75 else min(1, len(rects) - 1)]
        dx, dy = x1 - x0, y1 - y0
        along_x = dx > dy if abs(dx - dy) > 0.4 else rng.random() < 0.5
        side = dx if along_x else dy
        if side < 2 * _MIN_SIDE_M + 0.1:
            continue
        cut = float(np.clip(side * rng.uniform(0.36, 0.64), _MIN_SIDE_M, side - _MIN_SIDE_M))
        cut = round(cut / _GRID_M) * _GRID_M
        rects.remove((x0, y0, x1, y1))
        if along_x:
            rects += [(x0, y0, x0 + cut, y1), (x0 + cut, y0, x1, y1)]
        else:
            rects += [(x0, y0, x1, y0 + cut), (x0, y0 + cut, x1, y1)]
    return rects


def _name_rooms(rng: np.random.Generator, rects: list[Rect]) -> tuple[Room, ...]:
    by_area = sorted(range(len(rects)), key=lambda i: -_area(rects[i]))
    kinds = {i: kind for i, kind in zip(by_area, _KINDS[len(rects)], strict=True)}
    seen: dict[str, int] = {}
    rooms = []
    for i, rect in enumerate(rects):
        kind = kinds[i]
        seen[kind] = seen.get(kind, 0) + 1
        name = kind if seen[kind] == 1 else f"{kind}_{seen[kind]}"
        texture, floor = pick(rng, _FLOORS[kind])
        rooms.append(
            Room(name, kind, rect, paint(rng, _WALLS, 0.03), jitter(rng, floor, 0.03), texture)
        )
    return tuple(rooms)


def _area(rect: Rect) -> float:
    return (rect[2] - rect[0]) * (rect[3] - rect[1])


def _shared_walls(rects: list[Rect]) -> list[_SharedWall]:
    walls = []
    for (i, a), (j, b) in combinations(enumerate(rects), 2):
        for axis, k in (("x", 0), ("y", 1)):
            line = a[k + 2] if abs(a[k + 2] - b[k]) < 1e-6 else a[k]
            if abs(line - b[k]) > 1e-6 and abs(line - b[k + 2]) > 1e-6:
                continue
            low, high = max(a[1 - k], b[1 - k]), min(a[3 - k], b[3 - k])
            if high - low > _MIN_SHARED_WALL_M:
                walls.append(_SharedWall((i, j), axis, line, low, high))  # type: ignore[arg-type]
    return walls


def _choose_openings(
    rng: np.random.Generator, rooms: tuple[Room, ...], walls: list[_SharedWall]
) -> list[_SharedWall] | None:
    """Return a random spanning tree of the rooms plus some loops, None if they do not connect.

    Trees through the living room are preferred and bathrooms stay leaves where possible.
    """
    bonus = {"living_room": -0.8, "dining_room": -0.3, "bathroom": 1.5, "laundry": 0.5}

    def cost(wall: _SharedWall) -> float:
        return float(rng.random()) + sum(
            bonus.get(k, 0.0) for k in {rooms[i].kind for i in wall.rooms}
        )

    group = list(range(len(rooms)))
    chosen = []
    for _, _, wall in sorted((cost(w), k, w) for k, w in enumerate(walls)):
        a, b = (group[i] for i in wall.rooms)
        wet = any(rooms[i].kind == "bathroom" for i in wall.rooms)
        if a != b:
            group = [a if g == b else g for g in group]
            chosen.append(wall)
        elif not wet and rng.random() < 0.30:
            chosen.append(wall)
    return chosen if len(set(group)) == 1 else None


def _cut_door(rng: np.random.Generator, rooms: tuple[Room, ...], wall: _SharedWall) -> Door:
    i, j = wall.rooms
    low, high = wall.low_m, wall.high_m
    arch = rooms[i].kind in _PUBLIC and rooms[j].kind in _PUBLIC and rng.random() < 0.7
    width = min(1.5, high - low - 0.65) if arch else DOOR_WIDTH_M
    margin = 0.30 + width / 2
    if rng.random() < 0.4:
        along = float(rng.uniform(low + margin, high - margin))
    else:
        along = pick(rng, (low + margin, high - margin))
    # The leaf hangs on the jamb nearer to a corner: open, it stands along the side wall.
    hinge = 1 if along - low > high - along else -1
    x, y = (wall.line_m, along) if wall.axis == "x" else (along, wall.line_m)
    swing = i if rooms[i].kind in _PRIVATE else j
    return Door((i, j), x, y, wall.axis, width, not arch, swing, hinge)
