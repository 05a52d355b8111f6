"""The few views that are kept of each slot: from different sides, and large.

Pixels stay on disk. In RAM are the measures of every view, and the crops that no table holds yet.
Axis letters: n slots, k sides, m views.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64, UInt8

from memory.config import ObjectConfig
from memory.objects.crops import cut_crop
from memory.objects.growing_columns import GrowingColumns
from memory.records import Detection, Observation

NUM_BINS = 8
"""Directions told apart: 45 degrees each."""

BETTER = 1.25
"""A view replaces one of the same direction when it is this much larger."""


_Source = tuple[UInt8[np.ndarray, "h w 3"], tuple[float, float, float, float]]
"""A frame and the box in it that a view shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewMeta:
    """A view without its pixels; see `memory.records.View`."""

    view_id: int
    slot_id: int
    pose: Float32[np.ndarray, "3"]
    range_m: float
    num_px: int
    stamp_ns: int


class ViewBook(GrowingColumns):
    """Views by slot and side. Row numbers change when slots are removed.

    Args:
        config: Views kept per slot, and how their crops are cut.

    Attributes:
        view_id: 0 where a side has no view.
    """

    COLUMNS: ClassVar[dict[str, tuple[tuple[int, ...], type]]] = {
        "slot_id": ((), np.int64),
        "view_id": ((NUM_BINS,), np.int64),
        "num_px": ((NUM_BINS,), np.int32),
        "pose": ((NUM_BINS, 3), np.float32),
        "range_m": ((NUM_BINS,), np.float64),
        "stamp_ns": ((NUM_BINS,), np.int64),
    }

    slot_id: Int64[np.ndarray, "n"]
    view_id: Int64[np.ndarray, "n k"]
    num_px: Int32[np.ndarray, "n k"]
    pose: Float32[np.ndarray, "n k 3"]
    range_m: Float64[np.ndarray, "n k"]
    stamp_ns: Int64[np.ndarray, "n k"]

    def __init__(self, config: ObjectConfig) -> None:
        super().__init__()
        self._max_views = config.max_views
        self._crop_px, self._crop_context = config.crop_px, config.crop_context
        self._row_of: dict[int, int] = {}
        self._slot_of: dict[int, int] = {}
        self._crops: dict[int, UInt8[np.ndarray, "s s 3"]] = {}
        self._uncut: dict[int, _Source] = {}
        self.next_view_id = 1

    def num_views(self, slot_id: int | None = None) -> int:
        """Return how many views are kept, of all slots or of one."""
        if slot_id is None:
            return len(self._slot_of)
        row = self._row_of.get(slot_id)
        return 0 if row is None else int(np.count_nonzero(self.view_id[row]))

    def ids(self) -> Int64[np.ndarray, "m"]:
        """Return the ids of all views, sorted."""
        return self.ids_and_slots()[0]

    def ids_and_slots(self) -> tuple[Int64[np.ndarray, "m"], Int64[np.ndarray, "m"]]:
        """Return the ids of all views, sorted, and the slot of each."""
        there = self.view_id > 0
        ids, slot_ids = self.view_id[there], np.repeat(self.slot_id, there.sum(axis=1))
        order = np.argsort(ids)
        return ids[order], slot_ids[order]

    def ids_of(self, slot_ids: Iterable[int]) -> Int64[np.ndarray, "m k"]:
        """Return the view ids of several slots, 0 where a side has no view."""
        rows = [self._row_of.get(slot_id, -1) for slot_id in slot_ids]
        at = np.array(rows, dtype=np.int64)
        if len(self) == 0:
            return np.zeros((len(at), NUM_BINS), dtype=np.int64)
        ids: Int64[np.ndarray, "m k"] = self.view_id[at] * (at >= 0)[:, None]
        return ids

    def slot_of(self, view_id: int) -> int | None:
        """Return the slot of a view, None if it is not kept any more."""
        return self._slot_of.get(view_id)

    def of_slot(self, slot_id: int) -> list[ViewMeta]:
        """Return the views of a slot, oldest first."""
        row = self._row_of.get(slot_id)
        if row is None:
            return []
        sides = [k for k in range(NUM_BINS) if self.view_id[row, k]]
        return sorted((self._meta(row, k) for k in sides), key=lambda view: view.view_id)

    def get(self, view_id: int) -> ViewMeta | None:
        """Return a view if it is still kept."""
        slot_id = self._slot_of.get(view_id)
        if slot_id is None:
            return None
        row = self._row_of[slot_id]
        return self._meta(row, self.view_id[row].tolist().index(view_id))

    def wants(self, slot_id: int, side: int, num_px: int) -> bool:
        """Return whether a view shows the slot from a new side, or better than what is kept."""
        row = self._row_of.get(slot_id)
        if row is None:
            return True
        ids, sizes = self.view_id[row].tolist(), self.num_px[row].tolist()
        if ids[side]:
            return bool(num_px >= BETTER * sizes[side])
        kept = [size for size, view_id in zip(sizes, ids, strict=True) if view_id]
        return len(kept) < self._max_views or num_px >= BETTER * min(kept)

    def keep(
        self,
        slot_id: int,
        side: int,
        observation: Observation,
        detection: Detection,
        pose: Float32[np.ndarray, "3"],
    ) -> tuple[int, list[int]]:
        """Keep a wanted view; return its id and the ids of the views that it displaced.

        Its crop is cut when somebody asks for it: most views are displaced by a better one before.
        """
        row = self._row(slot_id)
        displaced = []
        if self.view_id[row, side]:
            displaced.append(self._take_out(row, side))
        elif np.count_nonzero(self.view_id[row]) >= self._max_views:
            displaced.append(self._take_out(row, self._smallest(row)))
        view = ViewMeta(
            view_id=self.next_view_id,
            slot_id=slot_id,
            pose=pose,
            range_m=detection.range_m,
            num_px=detection.num_px,
            stamp_ns=observation.stamp_ns,
        )
        self._uncut[view.view_id] = (observation.rgb, detection.box)
        self.next_view_id += 1
        self._enter(row, side, view)
        return view.view_id, displaced

    def fill(self, stored: "StoredViews", centre_m: Float64[np.ndarray, "m 3"]) -> list[int]:
        """Take in stored views; there must be none yet.

        Args:
            stored: The views; their crops stay on disk.
            centre_m: Position of the slot of each.

        Returns:
            Ids of views that a slot has too many of by now, the smallest of its.
        """
        order = np.argsort(stored.view_id, kind="stable")
        side = direction_bins(centre_m, stored.pose)[order]
        slot_ids, of = np.unique(stored.slot_id[order], return_inverse=True)
        self._append(len(slot_ids))
        self.slot_id[:] = slot_ids
        self._row_of = dict(zip(slot_ids.tolist(), range(len(slot_ids)), strict=True))
        count = np.bincount(of, minlength=len(slot_ids))
        _, first, taken = np.unique(of * NUM_BINS + side, return_index=True, return_counts=True)
        simple = count <= self._max_views
        simple[of[first[taken > 1]]] = False
        at_once = simple[of]
        rows, sides, which = of[at_once], side[at_once], order[at_once]
        for name in ("view_id", "num_px", "pose", "range_m", "stamp_ns"):
            getattr(self, name)[rows, sides] = getattr(stored, name)[which]
        owners = slot_ids.tolist()
        self._slot_of = {
            view_id: owners[row]
            for view_id, row in zip(stored.view_id[which].tolist(), rows.tolist(), strict=True)
        }
        lost = []
        for i in np.flatnonzero(~at_once).tolist():
            view = stored.meta(int(order[i]))
            lost += self._place(view, int(side[i]))
        self.next_view_id = int(stored.view_id.max(initial=0)) + 1
        return lost

    def crop(self, view_id: int) -> UInt8[np.ndarray, "s s 3"] | None:
        """Return the pixels of a view, None if they are on disk only."""
        source = self._uncut.pop(view_id, None)
        if source is not None:
            self._crops[view_id] = cut_crop(*source, self._crop_px, self._crop_context)
        return self._crops.get(view_id)

    def forget_crops(self, view_ids: Iterable[int]) -> None:
        """Let go of the pixels of views that a table holds now."""
        for view_id in view_ids:
            self._crops.pop(view_id, None)
            self._uncut.pop(view_id, None)

    def drop_slot(self, slot_id: int) -> list[int]:
        """Forget a slot; return the ids of its views."""
        row = self._row_of.get(slot_id)
        if row is None:
            return []
        sides = np.flatnonzero(self.view_id[row]).tolist()
        dropped = [self._take_out(row, side) for side in sides]
        del self._row_of[slot_id]
        if self._drop(row):
            self._row_of[int(self.slot_id[row])] = row
        return dropped

    def move_slot(
        self, from_id: int, to_id: int, xyz_m: Float64[np.ndarray, "3"]
    ) -> tuple[list[int], list[int]]:
        """Give the views of one slot to another; return the ids that moved and those displaced."""
        arriving = self.of_slot(from_id)
        crops = {view.view_id: self.crop(view.view_id) for view in arriving}
        self.drop_slot(from_id)
        displaced = []
        for view in arriving:
            moved = ViewMeta(
                view_id=view.view_id,
                slot_id=to_id,
                pose=view.pose,
                range_m=view.range_m,
                num_px=view.num_px,
                stamp_ns=view.stamp_ns,
            )
            side = direction_bin(xyz_m, view.pose)
            displaced += self._place(moved, side)
        for view_id, crop in crops.items():
            if view_id in self._slot_of and crop is not None:
                self._crops[view_id] = crop
        return [view.view_id for view in arriving if view.view_id in self._slot_of], displaced

    def _place(self, view: ViewMeta, side: int) -> list[int]:
        """Put a known view into its direction, or in any free one if that is taken.

        Returns:
            Ids of what there is no room for: the view itself or a smaller one.
        """
        row = self._row(view.slot_id)
        taken = self.view_id[row] > 0
        displaced = []
        if taken.sum() >= self._max_views:
            smallest = side if taken[side] else self._smallest(row)
            if self.num_px[row, smallest] >= view.num_px:
                return [view.view_id]
            displaced.append(self._take_out(row, smallest))
        elif taken[side]:
            side = int(np.argmin(taken))
        self._enter(row, side, view)
        return displaced

    def _row(self, slot_id: int) -> int:
        row = self._row_of.get(slot_id)
        if row is None:
            row = self._row_of[slot_id] = int(self._append(1)[0])
            self.slot_id[row] = slot_id
        return row

    def _meta(self, row: int, side: int) -> ViewMeta:
        return ViewMeta(
            view_id=int(self.view_id[row, side]),
            slot_id=int(self.slot_id[row]),
            pose=self.pose[row, side].copy(),
            range_m=float(self.range_m[row, side]),
            num_px=int(self.num_px[row, side]),
            stamp_ns=int(self.stamp_ns[row, side]),
        )

    def _enter(self, row: int, side: int, view: ViewMeta) -> None:
        for name in ("view_id", "num_px", "pose", "range_m", "stamp_ns"):
            getattr(self, name)[row, side] = getattr(view, name)
        self._slot_of[view.view_id] = view.slot_id

    def _take_out(self, row: int, side: int) -> int:
        view_id = int(self.view_id[row, side])
        self.view_id[row, side] = 0
        del self._slot_of[view_id]
        self.forget_crops([view_id])
        return view_id

    def _smallest(self, row: int) -> int:
        sizes = np.where(self.view_id[row] > 0, self.num_px[row], np.iinfo(np.int32).max)
        return int(np.argmin(sizes))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredViews:
    """Views as read from their table, without pixels."""

    view_id: Int64[np.ndarray, "m"]
    slot_id: Int64[np.ndarray, "m"]
    pose: Float32[np.ndarray, "m 3"]
    range_m: Float64[np.ndarray, "m"]
    num_px: Int64[np.ndarray, "m"]
    stamp_ns: Int64[np.ndarray, "m"]

    def only(self, chosen: Bool[np.ndarray, "m"] | Int64[np.ndarray, "m"]) -> "StoredViews":
        """Return some of them."""
        return StoredViews(**{name: getattr(self, name)[chosen] for name in self.__slots__})

    def meta(self, at: int) -> ViewMeta:
        """Return one of them."""
        return ViewMeta(
            view_id=int(self.view_id[at]),
            slot_id=int(self.slot_id[at]),
            pose=self.pose[at],
            range_m=float(self.range_m[at]),
            num_px=int(self.num_px[at]),
            stamp_ns=int(self.stamp_ns[at]),
        )


def direction_bins(
    xyz_m: Float[np.ndarray, "m 3"], eye_m: Float[np.ndarray, "*m 3"]
) -> Int64[np.ndarray, "m"]:
    """Return from which of `NUM_BINS` sides points are seen; heights do not matter.

    Args:
        xyz_m: The points, world frame.
        eye_m: Camera positions or body poses; x and y count.
    """
    away = np.asarray(eye_m, dtype=np.float64)[..., :2] - xyz_m[:, :2]
    angle = np.arctan2(away[:, 1], away[:, 0])
    bins: Int64[np.ndarray, "m"] = ((angle + math.pi) / (2 * math.pi) * NUM_BINS).astype(np.int64)
    return bins % NUM_BINS


def direction_bin(xyz_m: Float64[np.ndarray, "3"], eye_m: Float[np.ndarray, "3"]) -> int:
    """Return from which of `NUM_BINS` sides a point is seen; see `direction_bins`."""
    return int(direction_bins(xyz_m[None], eye_m)[0])
