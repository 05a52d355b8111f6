"""Doubt in remembered objects that a frame should have shown.

Axis letters: n slots.
"""

import math

import numpy as np
from jaxtyping import Bool, Int64

from memory.objects.existence import TENTATIVE, ExistenceFilter
from memory.objects.slot_arrays import SlotArrays
from memory.objects.visibility import Sight


class Doubts:
    """Lowers the existence of what was not seen.

    Where the camera looks through a place, or does not detect a young slot, every frame counts.
    Where it sees something in the place that is not detected as the slot, a frame counts only some
    time after the last that did: a detector's errors last, so the next ones say nothing new.

    Args:
        beliefs: How much a miss weighs.
        wait_s: That time.
    """

    def __init__(self, beliefs: ExistenceFilter, wait_s: float) -> None:
        self._beliefs = beliefs
        self._wait_ns = wait_s * 1e9
        self._counted_ns: dict[int, int] = {}

    def doubt(
        self,
        arrays: SlotArrays,
        rows: Int64[np.ndarray, "n"],
        unmatched: Bool[np.ndarray, "n"],
        sight: Sight,
        now_ns: int,
    ) -> Int64[np.ndarray, "k"]:
        """Take in what a frame says of slots; return the rows of those that are doubted more.

        Args:
            arrays: All slots, changed in place.
            rows: Slots that were looked at.
            unmatched: Which of them no detection was matched with.
            sight: What the frame says of each.
            now_ns: Stamp of the frame.
        """
        missed = rows[unmatched & sight.missing]
        hidden = rows[unmatched & sight.undetected]
        ids = arrays.slot_id[hidden].tolist()
        due = [now_ns - self._counted_ns.get(i, -math.inf) >= self._wait_ns for i in ids]
        hidden = hidden[np.array(due, dtype=np.bool_)]
        self._counted_ns.update(dict.fromkeys(arrays.slot_id[hidden].tolist(), now_ns))
        through = arrays.state[missed] != TENTATIVE
        existence, beliefs = arrays.existence, self._beliefs
        for row, doubt in (
            (missed[through], beliefs.looked_through),
            (missed[~through], beliefs.missed),
            (hidden, beliefs.missed),
        ):
            existence[row] = doubt(existence[row])
        return np.concatenate([missed, hidden])

    def forget(self, slot_id: int) -> None:
        """A slot is no more."""
        self._counted_ns.pop(slot_id, None)

    def clear(self) -> None:
        """No slot is any more."""
        self._counted_ns.clear()
