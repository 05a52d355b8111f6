"""Doubt in remembered objects that a frame should have shown.

Axis letters: n slots.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from memory.objects.existence import TENTATIVE, ExistenceFilter
from memory.objects.slot_arrays import SlotArrays
from memory.objects.visibility import Sight

MOVED_M = 0.25
"""A camera that moved less sees the same side."""


class Doubts:
    """Lowers the existence of what was not seen.

    Where the camera looks through a place, or does not detect a young slot, every frame counts.
    Where it sees something in the place that is not detected as the slot, a frame counts only some
    time after the last that did and from another place: a detector's errors last, and what it
    misses from one side it misses for ever to a body that stands still.

    Args:
        beliefs: How much a miss weighs.
        wait_s: That time.
    """

    def __init__(self, beliefs: ExistenceFilter, wait_s: float) -> None:
        self._beliefs = beliefs
        self._wait_ns = wait_s * 1e9
        self._counted: dict[int, tuple[int, Float64[np.ndarray, "3"]]] = {}

    def doubt(
        self,
        arrays: SlotArrays,
        rows: Int64[np.ndarray, "n"],
        unmatched: Bool[np.ndarray, "n"],
        sight: Sight,
        eye_m: Float64[np.ndarray, "3"],
        now_ns: int,
    ) -> Int64[np.ndarray, "k"]:
        """Take in what a frame says of slots; return the rows of those that are doubted more.

        Args:
            arrays: All slots, changed in place.
            rows: Slots that were looked at.
            unmatched: Which of them no detection was matched with.
            sight: What the frame says of each.
            eye_m: Where the camera is, world frame.
            now_ns: Stamp of the frame.
        """
        missed = rows[unmatched & sight.missing]
        hidden = rows[unmatched & sight.undetected]
        due = [self._is_due(i, eye_m, now_ns) for i in arrays.slot_id[hidden].tolist()]
        hidden = hidden[np.array(due, dtype=np.bool_)]
        counted = (now_ns, eye_m.copy())
        self._counted.update(dict.fromkeys(arrays.slot_id[hidden].tolist(), counted))
        through = arrays.state[missed] != TENTATIVE
        existence, beliefs = arrays.existence, self._beliefs
        for row, doubt in (
            (missed[through], beliefs.looked_through),
            (missed[~through], beliefs.missed),
            (hidden, beliefs.missed),
        ):
            existence[row] = doubt(existence[row])
        return np.concatenate([missed, hidden])

    def _is_due(self, slot_id: int, eye_m: Float64[np.ndarray, "3"], now_ns: int) -> bool:
        if slot_id not in self._counted:
            return True
        then_ns, there_m = self._counted[slot_id]
        moved_m = float(np.linalg.norm(eye_m - there_m))
        return now_ns - then_ns >= self._wait_ns and moved_m >= MOVED_M

    def forget(self, slot_id: int) -> None:
        """A slot is no more."""
        self._counted.pop(slot_id, None)

    def clear(self) -> None:
        """No slot is any more."""
        self._counted.clear()
