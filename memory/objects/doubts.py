"""Doubt in remembered objects that a frame should have shown.

Axis letters: n slots.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from memory.objects.existence import TENTATIVE, ExistenceFilter
from memory.objects.slot_arrays import SlotArrays
from memory.objects.visibility import Sight

MOVED_M = 0.25
"""A camera that moved less sees the same side."""

SAME_SIDE_MISSES = 2
"""Misses from one side that count against a thing that was seen well: it is doubted, never gone."""

SEEN_WELL = 40
"""Sightings from which a thing is no error of the detector."""


class Doubts:
    """Lowers the existence of what was not seen.

    Where the camera looks through a place, or does not detect a young slot, every frame counts.
    Where it sees something in the place that is not detected as the slot, a frame counts only some
    time after the last that did, and few count from one place against a thing that was seen well: a
    detector's errors last, and what it misses from one side it misses for ever to a body that
    stands still.

    Args:
        beliefs: How much a miss weighs.
        wait_s: That time.
    """

    def __init__(self, beliefs: ExistenceFilter, wait_s: float) -> None:
        self._beliefs = beliefs
        self._wait_ns = wait_s * 1e9
        self._counted: dict[int, _Counted] = {}

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
        well = arrays.num_hits[hidden] >= SEEN_WELL
        due = [
            self._count(i, is_well, eye_m, now_ns)
            for i, is_well in zip(arrays.slot_id[hidden].tolist(), well.tolist(), strict=True)
        ]
        hidden = hidden[np.array(due, dtype=np.bool_)]
        through = arrays.state[missed] != TENTATIVE
        existence, beliefs = arrays.existence, self._beliefs
        for row, doubt in (
            (missed[through], beliefs.looked_through),
            (missed[~through], beliefs.missed),
            (hidden, beliefs.missed),
        ):
            existence[row] = doubt(existence[row])
        return np.concatenate([missed, hidden])

    def _count(
        self, slot_id: int, is_seen_well: bool, eye_m: Float64[np.ndarray, "3"], now_ns: int
    ) -> bool:
        """Return whether a miss counts, and note it."""
        last, times = self._counted.get(slot_id), 0
        if last is not None:
            moved_m = float(np.linalg.norm(eye_m - last.eye_m))
            times = last.times if moved_m < MOVED_M else 0
            if now_ns - last.stamp_ns < self._wait_ns:
                return False
            if is_seen_well and times >= SAME_SIDE_MISSES:
                return False
        # The first place stays: many small steps lead to another side, too.
        eye_m = eye_m.copy() if last is None or times == 0 else last.eye_m
        self._counted[slot_id] = _Counted(now_ns, eye_m, times + 1)
        return True

    def forget(self, slot_id: int) -> None:
        """A slot is no more."""
        self._counted.pop(slot_id, None)

    def clear(self) -> None:
        """No slot is any more."""
        self._counted.clear()


class _Counted(NamedTuple):
    """The newest miss of a slot that counted: when, from where, and how many from there."""

    stamp_ns: int
    eye_m: Float64[np.ndarray, "3"]
    times: int
