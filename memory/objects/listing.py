"""Slots of a label in order, kept up to date one slot at a time."""

from bisect import bisect_left

from memory.records import Slot

Rank = tuple[float, int, int]


class RankedSlots:
    """Slots sorted by falling existence, then falling number of sightings, then id."""

    def __init__(self) -> None:
        self._ranks: list[Rank] = []
        self._slots: list[Slot] = []
        self._rank_of: dict[int, Rank] = {}

    def fill(self, slots: list[Slot]) -> None:
        """Replace all."""
        self._slots = sorted(slots, key=rank_of)
        self._ranks = [rank_of(slot) for slot in self._slots]
        self._rank_of = {slot.slot_id: rank_of(slot) for slot in slots}

    def put(self, slot: Slot) -> None:
        """Add a slot, or move it to where it belongs now."""
        self.discard(slot.slot_id)
        rank = rank_of(slot)
        at = bisect_left(self._ranks, rank)
        self._ranks.insert(at, rank)
        self._slots.insert(at, slot)
        self._rank_of[slot.slot_id] = rank

    def discard(self, slot_id: int) -> None:
        """Remove a slot if it is there."""
        rank = self._rank_of.pop(slot_id, None)
        if rank is not None:
            at = bisect_left(self._ranks, rank)
            del self._ranks[at], self._slots[at]

    def slots(self) -> list[Slot]:
        """Return them in order."""
        return self._slots.copy()


def rank_of(slot: Slot) -> Rank:
    """Return the key that `RankedSlots` sorts by."""
    return (-slot.existence, -slot.num_hits, slot.slot_id)
