"""The few crops that are kept of each slot: seen from different sides, and large."""

import math
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Float32, Float64

from memory.config import ObjectConfig
from memory.crops import cut_crop
from memory.records import Detection, Observation, View

NUM_BINS = 8
"""Directions told apart: 45 degrees each."""

BETTER = 1.25
"""A view replaces one of the same direction when it is this much larger."""


class ViewBook:
    """Views by slot.

    Args:
        config: Views kept per slot, and how their crops are cut.
    """

    def __init__(self, config: ObjectConfig) -> None:
        self._max_views = config.max_views
        self._crop_px, self._crop_context = config.crop_px, config.crop_context
        self._views: dict[int, dict[int, View]] = {}
        self._slot_of: dict[int, int] = {}
        self.next_view_id = 1

    def __len__(self) -> int:
        return len(self._slot_of)

    def of_slot(self, slot_id: int) -> list[View]:
        """Return the views of a slot, oldest first."""
        return sorted(self._views.get(slot_id, {}).values(), key=lambda view: view.view_id)

    def all(self) -> list[View]:
        """Return all views."""
        return [view for views in self._views.values() for view in views.values()]

    def get(self, view_id: int) -> View | None:
        """Return a view if it is still kept."""
        slot_id = self._slot_of.get(view_id)
        if slot_id is None:
            return None
        return next(v for v in self._views[slot_id].values() if v.view_id == view_id)

    def wants(self, slot_id: int, side: int, num_px: int) -> bool:
        """Return whether a crop shows the slot from a new side, or better than what is kept."""
        kept = self._views.get(slot_id)
        if not kept:
            return True
        if side in kept:
            return num_px >= BETTER * kept[side].num_px
        if len(kept) < self._max_views:
            return True
        return num_px >= BETTER * min(view.num_px for view in kept.values())

    def keep(
        self,
        slot_id: int,
        side: int,
        observation: Observation,
        detection: Detection,
        pose: Float32[np.ndarray, "3"],
    ) -> tuple[View, list[int]]:
        """Cut and keep a wanted view; return it and the ids of the views that it displaced."""
        kept = self._views.setdefault(slot_id, {})
        displaced = []
        if side in kept:
            displaced.append(kept.pop(side).view_id)
        elif len(kept) >= self._max_views:
            smallest = min(kept, key=lambda k: kept[k].num_px)
            displaced.append(kept.pop(smallest).view_id)
        view = View(
            view_id=self.next_view_id,
            slot_id=slot_id,
            crop=cut_crop(observation.rgb, detection.box, self._crop_px, self._crop_context),
            pose=pose,
            range_m=detection.range_m,
            num_px=detection.num_px,
            stamp_ns=observation.stamp_ns,
        )
        self.next_view_id += 1
        kept[side] = view
        self._slot_of[view.view_id] = slot_id
        for view_id in displaced:
            del self._slot_of[view_id]
        return view, displaced

    def restore(self, views: Iterable[View], xyz_m: dict[int, Float64[np.ndarray, "3"]]) -> None:
        """Take in stored views; `xyz_m` holds the position of every slot."""
        for view in sorted(views, key=lambda v: v.view_id):
            self._place(view, direction_bin(xyz_m[view.slot_id], view.pose))
            self.next_view_id = max(self.next_view_id, view.view_id + 1)

    def drop_slot(self, slot_id: int) -> list[int]:
        """Forget a slot; return the ids of its views."""
        dropped = [view.view_id for view in self._views.pop(slot_id, {}).values()]
        for view_id in dropped:
            del self._slot_of[view_id]
        return dropped

    def move_slot(
        self, from_id: int, to_id: int, xyz_m: Float64[np.ndarray, "3"]
    ) -> tuple[list[View], list[int]]:
        """Give the views of one slot to another; return them and the ids displaced."""
        arriving = [
            View(
                view_id=view.view_id,
                slot_id=to_id,
                crop=view.crop,
                pose=view.pose,
                range_m=view.range_m,
                num_px=view.num_px,
                stamp_ns=view.stamp_ns,
            )
            for view in self.of_slot(from_id)
        ]
        gone = self.drop_slot(from_id)
        before = set(self._slot_of)
        for view in arriving:
            self._place(view, direction_bin(xyz_m, view.pose))
        kept = [view for view in arriving if view.view_id in self._slot_of]
        lost = (before | set(gone)) - set(self._slot_of)
        return kept, sorted(lost)

    def _place(self, view: View, side: int) -> None:
        """Put a known view into its direction, or in any free one if that is taken by a larger."""
        kept = self._views.setdefault(view.slot_id, {})
        old = kept.get(side)
        if old is not None:
            free = [k for k in range(NUM_BINS) if k not in kept]
            if free and len(kept) < self._max_views:
                side = free[0]
            elif old.num_px >= view.num_px:
                return
            else:
                del self._slot_of[old.view_id]
        elif len(kept) >= self._max_views:
            smallest = min(kept, key=lambda k: kept[k].num_px)
            if kept[smallest].num_px >= view.num_px:
                return
            del self._slot_of[kept.pop(smallest).view_id]
        kept[side] = view
        self._slot_of[view.view_id] = view.slot_id


def direction_bin(xyz_m: Float64[np.ndarray, "3"], eye_m: Float[np.ndarray, "3"]) -> int:
    """Return from which of `NUM_BINS` sides a point is seen; heights do not matter.

    Args:
        xyz_m: The point, world frame.
        eye_m: Camera position or body pose; x and y count.
    """
    angle = math.atan2(float(eye_m[1]) - float(xyz_m[1]), float(eye_m[0]) - float(xyz_m[0]))
    return int((angle + math.pi) / (2 * math.pi) * NUM_BINS) % NUM_BINS
