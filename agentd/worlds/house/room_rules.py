"""What each kind of room holds and how it is arranged."""

import math
from collections.abc import Callable

import numpy as np

from agentd.worlds.house.parts import Piece
from agentd.worlds.house.placement import FloorPlan, RoomPlacer, is_reachable
from agentd.worlds.house.plan import House, Placed, Rect, rects_meet

_ROOM_TRIES = 5
_BIG_M2 = 12.0
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


def furnish(plan: House, rng: np.random.Generator) -> House | None:
    """Return the plan with furniture, None if a room cannot hold what it must.

    Only the room that failed is tried again, because rooms do not depend on each other.
    """
    floor = FloorPlan(plan)
    objects: list[Placed] = []
    for index in range(len(plan.rooms)):
        placed = _furnish_room(floor, index, rng)
        if placed is None:
            return None
        objects += placed
    house = House(plan.seed, plan.size_m, plan.rooms, plan.doors, tuple(objects))
    return house if is_reachable(house) else None


def _furnish_room(floor: FloorPlan, index: int, rng: np.random.Generator) -> list[Placed] | None:
    kind = floor.plan.rooms[index].kind
    for _ in range(_ROOM_TRIES):
        placer = RoomPlacer(floor, index, rng)
        _RULES[kind](placer)
        if {o.piece.category for o in placer.objects} >= _REQUIRED[kind]:
            _decorate(placer)
            return placer.objects
    return None


def _is_big(room: RoomPlacer) -> bool:
    return room.room.area_m2 > _BIG_M2


def _corner(room: RoomPlacer, kind: str) -> None:
    room.against_wall(room.piece(kind), corner=True)


def _living_room(room: RoomPlacer) -> None:
    screen = room.against_wall(room.piece("tv"), 80)
    if screen is not None:
        _couch_facing(room, screen)
    if _is_big(room):
        room.against_wall(room.piece("couch"), 30)
    room.against_wall(room.piece("bookcase"))
    _corner(room, "plant")
    _corner(room, "lamp")
    if room.room.area_m2 > 16:
        _table_with_chairs(room, 2)
        _corner(room, "plant")
    ball = room.find_anywhere(room.piece("ball"))
    if ball is not None:
        room.adopt(ball)


def _couch_facing(room: RoomPlacer, screen: Placed) -> None:
    couch = room.piece("couch")
    placed = None
    for distance in (2.6, 2.3, 2.9, 2.0, 3.2, 3.6):
        x, y = screen.at(distance, float(room.rng.uniform(-0.2, 0.2)))
        placed = placed or room.place(couch, x, y, screen.yaw_rad + math.pi)
    placed = placed or room.against_wall(couch)
    if placed is not None:
        room.place(room.piece("coffee_table"), *placed.at(1.05, 0.0), placed.yaw_rad)
        room.lay(room.piece("rug"), *placed.at(0.95, 0.0), placed.yaw_rad)


def _bedroom(room: RoomPlacer) -> None:
    bed = room.against_wall(room.piece("bed"), 120)
    if bed is not None:
        for side in (-1, 1):
            left = side * (bed.piece.width_m / 2 + 0.28)
            spot = bed.at(-bed.piece.depth_m / 2 + 0.24, left)
            room.place(room.piece("nightstand"), *spot, bed.yaw_rad)
        room.lay(room.piece("rug"), *bed.at(0.55, 0.0), bed.yaw_rad + math.pi / 2)
    room.against_wall(room.piece("wardrobe"), 60)
    if room.rng.random() < 0.6:
        _desk_with_chair(room)
    if room.rng.random() < 0.5:
        room.against_wall(room.piece("tv"))
    _corner(room, "plant" if room.rng.random() < 0.5 else "lamp")


def _kitchen(room: RoomPlacer) -> None:
    room.against_wall(room.piece("refrigerator"), 60, corner=True)
    room.against_wall(room.piece("oven"), 60)
    room.against_wall(room.piece("counter"), 60)
    room.against_wall(room.piece("counter"), 40)
    if room.room.area_m2 > 8:
        _table_with_chairs(room, 4 if _is_big(room) else 2)
    _corner(room, "trashcan")


def _bathroom(room: RoomPlacer) -> None:
    room.against_wall(room.piece("toilet"), 80)
    room.against_wall(room.piece("sink"), 80)
    room.against_wall(room.piece("bathtub"), 60, corner=True)
    if room.rng.random() < 0.5:
        _corner(room, "trashcan")
    if room.room.area_m2 > 9:
        room.against_wall(room.piece("washer"))


def _office(room: RoomPlacer) -> None:
    _desk_with_chair(room)
    room.against_wall(room.piece("bookcase"), 60)
    if _is_big(room):
        room.against_wall(room.piece("bookcase"))
    for kind in ("plant", "lamp", "trashcan"):
        _corner(room, kind)
    if room.room.area_m2 > 10:
        room.against_wall(room.piece("couch"), 20)


def _dining_room(room: RoomPlacer) -> None:
    _table_with_chairs(room, 6 if _is_big(room) else 4)
    room.against_wall(room.piece("bare_counter"))
    _corner(room, "plant")
    _corner(room, "lamp")


def _laundry(room: RoomPlacer) -> None:
    room.against_wall(room.piece("washer"), 60)
    room.against_wall(room.piece("bare_counter"))
    room.against_wall(room.piece("trashcan"))


_RULES: dict[str, Callable[[RoomPlacer], None]] = {
    "living_room": _living_room,
    "bedroom": _bedroom,
    "kitchen": _kitchen,
    "bathroom": _bathroom,
    "office": _office,
    "dining_room": _dining_room,
    "laundry": _laundry,
}


def _desk_with_chair(room: RoomPlacer) -> None:
    desk = room.against_wall(room.piece("desk"), 60)
    if desk is not None:
        chair = room.piece("office_chair" if room.rng.random() < 0.7 else "dining_chair")
        spot = desk.at(desk.piece.depth_m / 2 + 0.38, 0.15)
        room.place(chair, *spot, desk.yaw_rad + math.pi)


def _table_with_chairs(room: RoomPlacer, num_chairs: int) -> None:
    table = _place_table(room)
    if table is None:
        return
    out, side = table.piece.depth_m / 2 + 0.26, table.piece.width_m / 2
    spots = [(out, -side / 2, math.pi), (-out, side / 2, 0.0)]
    spots += [(out, side / 2, math.pi), (-out, -side / 2, 0.0)]
    spots += [(0.0, side + 0.26, -math.pi / 2), (0.0, -side - 0.26, math.pi / 2)]
    if num_chairs == 2:
        spots = [(out, 0.0, math.pi), (-out, 0.0, 0.0)]
    chair = room.piece("dining_chair")
    for forward, left, yaw in spots[:num_chairs]:
        room.place(chair, *table.at(forward, left), table.yaw_rad + yaw)


def _place_table(room: RoomPlacer) -> Placed | None:
    piece = room.piece("dining_table")
    cx, cy = room.room.centre
    reach = 0.25 * (room.room.rect[2] - room.room.rect[0])
    for k in range(30):
        spread = reach if k else 0.0
        x, y = cx + room.rng.uniform(-spread, spread), cy + room.rng.uniform(-spread, spread)
        placed = room.place(piece, x, y, int(room.rng.integers(2)) * math.pi / 2)
        if placed is not None:
            return placed
    return None


def _decorate(room: RoomPlacer) -> None:
    """Hang windows on outer walls and pictures where nothing tall stands before them."""
    if room.room.kind == "bathroom":
        return
    for side in "WESN":
        if room.is_outer_wall(side) and room.rng.random() < 0.8:
            _hang(room, room.piece("window"), side, lowest_m=0.95)
        if room.rng.random() < 0.7:
            _hang(room, room.piece("picture"), side, lowest_m=1.3)


def _hang(room: RoomPlacer, piece: Piece, side: str, lowest_m: float) -> None:
    low, high = room.wall_span(side)
    margin = piece.width_m / 2 + 0.15
    if high - low < 2 * margin + 0.1:
        return
    taken: list[Rect] = list(room.keep_out)
    for other in room.objects:
        on_wall = other.piece.flat and other.piece.category != "rug"
        if on_wall or (not other.piece.flat and other.piece.height_m > lowest_m):
            taken.append(other.rect(0.05 if on_wall else 0.10))
    for _ in range(12):
        along = float(room.rng.uniform(low + margin, high - margin))
        x, y, yaw = room.wall_pose(piece, side, along, gap_m=0.0)
        placed = Placed(piece, x, y, yaw, room.index)
        if not any(rects_meet(placed.rect(0.05), t) for t in taken):
            room.adopt(placed)
            return
