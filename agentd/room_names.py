"""What people call the rooms that a memory tells apart, guessed from what stands in them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

_TELLS = {
    "kitchen": ("refrigerator", "fridge", "oven", "stove", "dishwasher", "counter"),
    "bedroom": ("bed", "nightstand", "wardrobe"),
    "bathroom": ("toilet", "bathtub", "shower"),
    "living room": ("couch", "sofa", "tv", "television"),
    "study": ("desk",),
}
_ROOM_OF = {label: room for room, labels in _TELLS.items() for label in labels}
RoomsOf = Callable[[Float64[np.ndarray, "m 2"]], Int64[np.ndarray, "m"]]
MAX_SLOTS = 5000
"""Objects that are looked at to name the rooms."""


class RoomNames:
    """Names places on the floor: by room where rooms are known, else by coordinates.

    Args:
        rooms_of: Returns the room of points, 0 for none.
        objects: Label and place of what is remembered.
    """

    def __init__(
        self, rooms_of: RoomsOf | None = None, objects: Sequence[tuple[str, Sequence[float]]] = ()
    ) -> None:
        self._rooms_of = rooms_of
        self._names = self._named(objects) if rooms_of is not None else {}

    @classmethod
    def of_memory(cls, folder: Path) -> "RoomNames":
        """Return the names by the tables of a life; coordinates alone where they cannot be read."""
        from memory.errors import StoreError
        from memory.search.home import SlotSearch
        from memory.search.query import SlotQuery

        try:
            search = SlotSearch(folder)
            if search.is_empty or len(search.rooms()) == 0:
                return cls()
            found = search.find(SlotQuery(limit=MAX_SLOTS))
            return cls(search.rooms_of, [(row["label"], row["xyz_m"]) for row in found])
        except (StoreError, OSError, KeyError):
            return cls()

    def place(self, xy_m: Sequence[float]) -> str:
        """Return how people call a place, as in "the kitchen"; coordinates where it has no name."""
        room = self._room(xy_m)
        if room == 0:
            return f"({xy_m[0]:.1f}, {xy_m[1]:.1f})"
        return self._names.get(room) or f"room {room}"

    def _room(self, xy_m: Sequence[float]) -> int:
        if self._rooms_of is None:
            return 0
        return int(self._rooms_of(np.array([xy_m[:2]], dtype=np.float64))[0])

    def _named(self, objects: Sequence[tuple[str, Sequence[float]]]) -> dict[int, str]:
        votes: defaultdict[int, Counter[str]] = defaultdict(Counter)
        for label, xyz_m in objects:
            if label in _ROOM_OF and (room := self._room(xyz_m)) > 0:
                votes[room][_ROOM_OF[label]] += 1
        kinds: defaultdict[str, list[int]] = defaultdict(list)
        for room, counts in sorted(votes.items()):
            (best, most), *rest = counts.most_common(2)
            if not rest or rest[0][1] < most:
                kinds[best].append(room)
        return {
            room: f"the {kind}" if len(rooms) == 1 else f"{kind} {number}"
            for kind, rooms in kinds.items()
            for number, room in enumerate(rooms, start=1)
        }
