"""Slots of a label in order, kept up to date one slot at a time."""

import math
from bisect import bisect_left

import numpy as np
from jaxtyping import Float64

from memory.records import Slot

Rank = tuple[float, int, int]
Rect = tuple[float, float, float, float]
"""x0, y0, x1, y1 of a part of the floor, in metres."""
Tile = tuple[int, int]
TILE_M = 16.0
"""Side of the squares of the floor that slots are sorted into: a home spans a few."""


class RankedSlots:
    """Slots sorted by falling existence, then falling number of sightings, then id."""

    def __init__(self) -> None:
        self._ranks: list[Rank] = []
        self._slots: list[Slot] = []
        self._rank_of: dict[int, Rank] = {}
        self._tile_of: dict[int, Tile] = {}
        self._tiles: dict[Tile, dict[int, Slot]] = {}

    def fill(self, slots: list[Slot]) -> None:
        """Replace all."""
        self._slots = sorted(slots, key=rank_of)
        self._ranks = [rank_of(slot) for slot in self._slots]
        self._rank_of = {slot.slot_id: rank_of(slot) for slot in slots}
        self._tile_of, self._tiles = {}, {}
        for slot in slots:
            self._lay(slot)

    def put(self, slot: Slot) -> None:
        """Add a slot, or move it to where it belongs now."""
        self.discard(slot.slot_id)
        rank = rank_of(slot)
        at = bisect_left(self._ranks, rank)
        self._ranks.insert(at, rank)
        self._slots.insert(at, slot)
        self._rank_of[slot.slot_id] = rank
        self._lay(slot)

    def discard(self, slot_id: int) -> None:
        """Remove a slot if it is there."""
        rank = self._rank_of.pop(slot_id, None)
        if rank is not None:
            at = bisect_left(self._ranks, rank)
            del self._ranks[at], self._slots[at]
            self._tiles[self._tile_of.pop(slot_id)].pop(slot_id)

    def slots(self) -> list[Slot]:
        """Return them in order."""
        return self._slots.copy()

    def within(self, rect_m: Rect) -> list[Slot]:
        """Return those with their middle in a rectangle, in order; the others cost nothing."""
        x0, y0, x1, y1 = rect_m
        (i0, j0), (i1, j1) = tile_of((x0, y0)), tile_of((x1, y1))
        tiles = (self._tiles.get((i, j), {}) for i in range(i0, i1 + 1) for j in range(j0, j1 + 1))
        found = [slot for tile in tiles for slot in tile.values()]
        inside = [s for s in found if x0 <= s.xyz_m[0] < x1 and y0 <= s.xyz_m[1] < y1]
        return sorted(inside, key=rank_of)

    def _lay(self, slot: Slot) -> None:
        tile = tile_of(slot.xyz_m)
        self._tile_of[slot.slot_id] = tile
        self._tiles.setdefault(tile, {})[slot.slot_id] = slot


def tile_of(xyz_m: Float64[np.ndarray, "n"] | tuple[float, float]) -> Tile:
    """Return the square of the floor that holds a point."""
    return math.floor(xyz_m[0] / TILE_M), math.floor(xyz_m[1] / TILE_M)


def rank_of(slot: Slot) -> Rank:
    """Return the key that `RankedSlots` sorts by."""
    return (-slot.existence, -slot.num_hits, slot.slot_id)
