"""Which slot each detection of a frame is a sighting of, and which are a detector's errors.

Axis letters: m detections, k slots near the frame.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from memory.objects.association import MARGIN_M, associate, inside_others, taken_together
from memory.objects.existence import ARCHIVED, SUSPECT, ExistenceFilter
from memory.objects.slot_arrays import SlotArrays
from memory.objects.visibility import PinholeSight
from memory.records import Detection, Observation

JOINED, MISNAMED = "several known things in one", "a known thing under another name"
"""Reasons to ignore a detection."""


def rows_near(
    arrays: SlotArrays,
    sight: PinholeSight,
    observation: Observation,
    low_m: Float64[np.ndarray, "m 3"],
    high_m: Float64[np.ndarray, "m 3"],
    gate_m: float,
) -> Int64[np.ndarray, "k"]:
    """Return the rows of all slots that a frame can say something about, by id."""
    reach = gate_m + 2 * MARGIN_M
    view_low, view_high = sight.floor_of_view(observation)
    ids = arrays.near(
        np.concatenate([view_low[None], low_m[:, :2] - reach]),
        np.concatenate([view_high[None], high_m[:, :2] + reach]),
    )
    return arrays.rows(ids)


class Matcher:
    """Matches the detections of one frame with slots.

    Args:
        arrays: All slots.
        near: Rows that the frame can say something about.
        detections: Of the frame.
        low_m: Smallest corner of the box of each, world frame.
        high_m: Largest corner.
    """

    def __init__(
        self,
        arrays: SlotArrays,
        near: Int64[np.ndarray, "k"],
        detections: Sequence[Detection],
        low_m: Float64[np.ndarray, "m 3"],
        high_m: Float64[np.ndarray, "m 3"],
    ) -> None:
        self._arrays, self._near = arrays, near
        self._low_m, self._high_m = low_m, high_m
        self._codes = np.array([arrays.code(d.label) for d in detections], dtype=np.int64)

    def slots(self, gate_m: float) -> Int64[np.ndarray, "m"]:
        """Return the row of each detection's slot, -1 for none; see `associate`."""
        arrays, near = self._arrays, self._near
        found = associate(
            self._low_m,
            self._high_m,
            arrays.low_m[near],
            arrays.high_m[near],
            self._codes[:, None] == arrays.label_code[near],
            arrays.state[near] != ARCHIVED,
            arrays.state[near] == SUSPECT,
            gate_m,
        )
        rows = np.full(len(found), -1, dtype=np.int64)
        rows[found >= 0] = near[found[found >= 0]]
        return rows

    def taken_together(
        self, beliefs: ExistenceFilter
    ) -> tuple[Bool[np.ndarray, "m"], Int64[np.ndarray, "n"]]:
        """Return which detections are several trusted things of a kind, and the rows of those."""
        trusted = self._trusted(beliefs)
        low, high = self._arrays.low_m[trusted], self._arrays.high_m[trusted]
        same = self._codes[:, None] == self._arrays.label_code[trusted]
        together = taken_together(self._low_m, self._high_m, low, high, same)
        for i in np.flatnonzero(together.any(axis=1)).tolist():
            together[i] &= self._seen_apart(trusted[together[i]])
        return np.asarray(together.any(axis=1)), trusted[together.any(axis=0)]

    def misnamed(
        self,
        slots: Int64[np.ndarray, "m"],
        beliefs: ExistenceFilter,
        sight: PinholeSight,
        observation: Observation,
    ) -> Bool[np.ndarray, "m"]:
        """Return which detections are a trusted thing under another name, and no news.

        A detector that calls a known thing by another name does not detect it under its own. So
        what lies in a thing that the frame shows a part of and that was not detected is that
        thing; it is news once both are seen, or once the thing is not believed in any more. To ask
        that the thing be wholly in view would name its parts anew at every close look.

        Args:
            slots: What `slots` returned.
            beliefs: Says which slots are trusted.
            sight: Says which slots the frame shows.
            observation: The frame.
        """
        arrays, new = self._arrays, slots < 0
        trusted = np.setdiff1d(self._trusted(beliefs), slots) if new.any() else slots[:0]
        other = self._codes[:, None] != arrays.label_code[trusted]
        low, high = arrays.low_m[trusted], arrays.high_m[trusted]
        inside = inside_others(self._low_m, self._high_m, low, high, other) & new[:, None]
        holds = inside.any(axis=0)
        if not holds.any():
            return np.zeros(len(slots), dtype=np.bool_)
        shown = sight.shows(observation, arrays.points_m[trusted[holds]])
        return np.asarray(inside[:, holds][:, shown].any(axis=1))

    def _trusted(self, beliefs: ExistenceFilter) -> Int64[np.ndarray, "n"]:
        arrays, near = self._arrays, self._near
        return near[beliefs.is_settled(arrays.state[near], arrays.existence[near])]

    def _seen_apart(self, rows: Int64[np.ndarray, "n"]) -> bool:
        """Return whether a frame showed two of these slots as two; else they may be one."""
        ids = self._arrays.slot_id[rows].tolist()
        return any(set(ids) & set(self._arrays.beside.of(slot_id)) for slot_id in ids)
