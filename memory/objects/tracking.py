"""From detections to slots, frame by frame: what `memory.objects` does in the control loop.

Axis letters: n slots, m detections, k slots near the frame, p points.
"""

from collections import Counter, deque
from collections.abc import Sequence, Set

import numpy as np
from jaxtyping import Float64, Int8, Int64

from memory.config import ObjectConfig
from memory.frames import body_pose
from memory.objects.association import (
    box_overlap,
    is_one_thing,
)
from memory.objects.changes import Change, ChangeKind
from memory.objects.doubts import Doubts
from memory.objects.existence import (
    ARCHIVED,
    CONFIRMED,
    DROPPED,
    SUSPECT,
    TENTATIVE,
    ExistenceFilter,
)
from memory.objects.faults import usable_of
from memory.objects.masks import with_masks
from memory.objects.matching import JOINED, MISNAMED, Matcher, rows_near
from memory.objects.news import News, Told
from memory.objects.pieces import largest_pieces, overlapping, rejoin
from memory.objects.slot_arrays import SlotArrays, box_of, outermost
from memory.objects.unwritten import Unwritten
from memory.objects.views import ViewBook, direction_bins
from memory.objects.visibility import PinholeSight
from memory.records import BodySpec, Detection, Observation

MERGE_EVERY = 50
"""Frames between two looks for slots that are parts of one object."""

KEPT_CHANGES = 1000
"""Entries of the change log kept in RAM."""

AREA_MEMORY = 20
"""Sightings over which the size in the image is averaged."""

_NAMED = {
    CONFIRMED: ChangeKind.CONFIRMED,
    SUSPECT: ChangeKind.SUSPECT,
    ARCHIVED: ChangeKind.ARCHIVED,
    DROPPED: ChangeKind.DROPPED,
}


class SlotTracker:
    """Slots, their views and the log of their changes. Not thread-safe.

    Args:
        config: Settings.
        spec: Body that carries the camera.

    Attributes:
        refused: How many detections were ignored, by reason.
        reunion: Slots whose state or views changed since `memory.objects.reunion` looked at them.
        news: Of the newest frame.
    """

    def __init__(self, config: ObjectConfig, spec: BodySpec) -> None:
        self.arrays = SlotArrays()
        self.views = ViewBook(config)
        self.changes: deque[Change] = deque(maxlen=KEPT_CHANGES)
        self.unwritten = Unwritten()
        self.stale_records: set[int] = set()
        self.reunion: set[int] = set()
        self.refused: Counter[str] = Counter()
        self.news = News()
        self.next_slot_id = 1
        self.next_event_id = 1
        self._config = config
        self._spec = spec
        self._sight = PinholeSight(spec)
        self._filter = ExistenceFilter(config)
        self._num_frames = 0
        self._now = (0, 0)
        self._unsettled: set[int] = set()
        self._grown: set[int] = set()
        self._told = Told(self._filter)
        self._doubts = Doubts(self._filter, config.confirm_s)

    def take_in(
        self, observation: Observation, detections: Sequence[Detection], step: int
    ) -> list[int]:
        """Associate detections and update what was and was not seen; return a slot id for each."""
        self.news = News()
        if not np.isfinite(observation.T_world_camera).all():
            self.refused["camera pose that is not finite"] += len(detections)
            return [0] * len(detections)
        usable = usable_of(observation, detections, self.refused)
        kept = [d for d, chosen in zip(detections, usable, strict=True) if chosen]
        self._now = (step, observation.stamp_ns)
        self._num_frames += 1
        ids = iter(self._take_in(with_masks(observation, kept), kept))
        return [next(ids) if chosen else 0 for chosen in usable]

    def _take_in(
        self,
        observation: Observation,
        detections: Sequence[Detection],
        spare: Set[int] = frozenset(),
    ) -> list[int]:
        seen = self._sight.object_points(observation, detections)
        extremes = outermost(seen)
        low, high = box_of(extremes)
        near = rows_near(self.arrays, self._sight, observation, low, high, self._config.gate_m)
        matcher = Matcher(self.arrays, near, detections, low, high)
        slots = matcher.slots(self._config.gate_m)
        together, spared = matcher.taken_together(self._filter)
        misnamed = matcher.misnamed(slots, self._filter, self._sight, observation) & ~together
        held = together | misnamed
        if held.any():
            self.refused += Counter({JOINED: int(together.sum()), MISNAMED: int(misnamed.sum())})
            left = [d for d, is_held in zip(detections, held.tolist(), strict=True) if not is_held]
            found = iter(self._take_in(observation, left, {*spare, *spared.tolist()}))
            return [0 if is_held else next(found) for is_held in held.tolist()]
        whole = largest_pieces(detections, slots)
        if not whole.all():
            observation = rejoin(observation, detections, slots, whole)
            detections = [detections[i] for i in np.flatnonzero(whole).tolist()]
            seen = self._sight.object_points(observation, detections)
            extremes = outermost(seen)
        rows = slots[whole]
        looked_for = near[~np.isin(near, sorted(spare))] if spare else near
        missed_nats = self._note_misses(observation, detections, rows, looked_for)
        fresh = np.flatnonzero(rows < 0)
        self.news = News(missed_nats, seen[fresh])
        rows[fresh] = self._create(len(fresh))
        slots[whole] = rows
        if len(rows):
            arrays = self.arrays
            arrays.existence[rows] = self._filter.seen(arrays.existence[rows], arrays.state[rows])
            arrays.take_in_points(rows, seen, extremes)
            self._note_hits(observation, detections, rows)
        ids = self.arrays.slot_id[slots].tolist()
        for i in fresh:
            self._log(ChangeKind.CREATED, int(rows[i]))
        self._advance_states()
        if self._num_frames % MERGE_EVERY == 0:
            self._merge_parts()
        return [slot_id if self.arrays.row(slot_id) is not None else 0 for slot_id in ids]

    def clear(self) -> None:
        """Forget all slots and views; ids go on."""
        self.unwritten.removed_slots.update(self.arrays.slot_id.tolist())
        self.drop_views(self.views.ids().tolist())
        self.unwritten.slots.clear()
        self._unsettled.clear()
        self._grown.clear()
        self._told.clear()
        self._doubts.clear()
        self.reunion.clear()
        next_view_id = self.views.next_view_id
        self.arrays = SlotArrays()
        self.views = ViewBook(self._config)
        self.views.next_view_id = next_view_id

    def _note_misses(
        self,
        observation: Observation,
        detections: Sequence[Detection],
        rows: Int64[np.ndarray, "m"],
        near: Int64[np.ndarray, "k"],
    ) -> float:
        """Doubt slots that should have been matched; forget points that matched ones left.

        Returns:
            See `News.missed_nats`; slots that were never confirmed do not count.
        """
        arrays = self.arrays
        present = near[arrays.state[near] != ARCHIVED]
        inside = self._sight.in_view(observation, arrays.low_m[present], arrays.high_m[present])
        look_at = present[inside]
        if len(look_at) == 0:
            return 0.0
        number = {
            row: d.instance for row, d in zip(rows.tolist(), detections, strict=True) if row >= 0
        }
        instance = np.array([number.get(row, 0) for row in look_at.tolist()], dtype=np.int64)
        here = np.array([row in number for row in look_at.tolist()])
        points_m, area_px_m2 = arrays.points_m[look_at], arrays.area_px_m2[look_at]
        young = arrays.state[look_at] == TENTATIVE
        sight = self._sight.look(observation, points_m, area_px_m2, instance, young)
        arrays.forget_points(look_at[here], sight.open_points[here])
        vanished = look_at[~here & sight.vanished & ~young]
        nats = self._told.nats(arrays.slot_id[vanished], arrays.existence[vanished])
        now_ns = self._now[1]
        eye_m = observation.T_world_camera[:3, 3]
        self._touch(self._doubts.doubt(arrays, look_at, ~here, sight, eye_m, now_ns))
        return nats

    def _create(self, count: int) -> Int64[np.ndarray, "m"]:
        if count == 0:
            return np.empty(0, dtype=np.int64)
        ids = list(range(self.next_slot_id, self.next_slot_id + count))
        self.next_slot_id += count
        rows = self.arrays.add(ids)
        self.arrays.first_seen_step[rows], self.arrays.first_seen_ns[rows] = self._now
        return rows

    def _note_hits(
        self,
        observation: Observation,
        detections: Sequence[Detection],
        rows: Int64[np.ndarray, "m"],
    ) -> None:
        arrays = self.arrays
        arrays.last_seen_step[rows], arrays.last_seen_ns[rows] = self._now
        area = np.array([d.num_px * d.range_m**2 for d in detections])
        share = 1.0 / np.minimum(arrays.num_hits[rows], AREA_MEMORY)
        arrays.area_px_m2[rows] += (area - arrays.area_px_m2[rows]) * share
        beside: dict[str, set[int]] = {}
        ids = arrays.slot_id[rows].tolist()
        for row, slot_id, detection in zip(rows.tolist(), ids, detections, strict=True):
            arrays.vote(row, detection.label, detection.score)
            beside.setdefault(detection.label, set()).add(slot_id)
            self._told.forget(slot_id)
        for together in beside.values():
            if len(together) > 1:
                arrays.beside.join(together)
        self._note_apart(rows)
        self._keep_views(observation, detections, rows)
        self._touch(rows)

    def _note_apart(self, rows: Int64[np.ndarray, "m"]) -> None:
        """Note which of the things seen now could be taken for one another, and are two."""
        arrays = self.arrays
        low, high = arrays.low_m[rows], arrays.high_m[rows]
        for i, j in np.argwhere(np.triu(is_one_thing(*box_overlap(low, high, low, high)), 1)):
            arrays.beside.put(int(arrays.slot_id[rows[i]]), [int(arrays.slot_id[rows[j]])])

    def _keep_views(
        self,
        observation: Observation,
        detections: Sequence[Detection],
        rows: Int64[np.ndarray, "m"],
    ) -> None:
        eye_m = observation.T_world_camera[:3, 3]
        sides = direction_bins(self.arrays.centre_m(rows), eye_m).tolist()
        ids = self.arrays.slot_id[rows].tolist()
        for slot_id, side, detection in zip(ids, sides, detections, strict=True):
            if not self.views.wants(slot_id, side, detection.num_px):
                continue
            pose = body_pose(observation.T_world_camera, self._spec)
            view_id, displaced = self.views.keep(slot_id, side, observation, detection, pose)
            self.unwritten.views.add(view_id)
            self.drop_views(displaced)
            self.reunion.add(slot_id)

    def _advance_states(self) -> None:
        """Bring the states of slots whose log-odds changed up to date."""
        arrays = self.arrays
        rows = arrays.rows(self._unsettled)
        self._unsettled.clear()
        rows = rows[~self._filter.is_settled(arrays.state[rows], arrays.existence[rows])]
        if len(rows) == 0:
            return
        after = self._next_states(rows)
        arriving = rows[(arrays.state[rows] == TENTATIVE) & (after == CONFIRMED)]
        if len(arriving):
            # What is about to be believed may be a part of what is known, seen from elsewhere.
            ids = arrays.slot_id[rows].tolist()
            joined = self._join(arriving)
            if joined:
                rows = arrays.rows(set(ids) - joined)
                after = self._next_states(rows)
        changed = np.flatnonzero(after != arrays.state[rows])
        dropped = []
        for row, state in zip(rows[changed].tolist(), after[changed].tolist(), strict=True):
            self._log(_NAMED[state], row)
            if state == DROPPED:
                dropped.append(row)
                continue
            arrays.state[row] = state
            self.reunion.add(int(arrays.slot_id[row]))
        # One that changed may change again: what an archived slot absorbed may make it trusted.
        self._touch(rows[changed])
        self._remove(dropped)

    def _next_states(self, rows: Int64[np.ndarray, "n"]) -> Int8[np.ndarray, "n"]:
        arrays = self.arrays
        seen_ns = arrays.last_seen_ns[rows] - arrays.first_seen_ns[rows]
        proven = self._filter.is_proven(arrays.num_hits[rows], arrays.vote_score[rows], seen_ns)
        return self._filter.next_state(arrays.state[rows], arrays.existence[rows], proven)

    def _merge_parts(self) -> None:
        """Join slots of a kind whose boxes overlap, and others that fill one box.

        If a frame showed them side by side, they must be of a kind and one must lie inside the
        other: a detector may take an object for two, but things of a kind do not stand in each
        other.

        Only slots that were seen since the last time can have come to overlap any other.
        """
        grown = self.arrays.rows(self._grown)
        self._grown.clear()
        if len(grown):
            self._join(grown)

    def _join(self, rows: Int64[np.ndarray, "n"]) -> set[int]:
        """Merge slots with what they are a part of; return the ids that are no more."""
        arrays = self.arrays
        gone: set[int] = set()
        for a, b, is_inside in overlapping(arrays, rows):
            apart = b in arrays.beside.of(a) and not is_inside
            if a not in gone and b not in gone and not apart:
                gone.add(self._merge(a, b))
        self._remove(arrays.rows(gone).tolist())
        return gone

    def _merge(self, a: int, b: int) -> int:
        """Let the surer of two slots take over the other; return the id of the other."""
        arrays = self.arrays
        row_a, row_b = self.arrays.rows((a, b)).tolist()
        trust = [(arrays.state[r] == CONFIRMED, int(arrays.num_hits[r])) for r in (row_a, row_b)]
        kept, other = (row_a, row_b) if trust[0] >= trust[1] else (row_b, row_a)
        self._log(ChangeKind.MERGED, other, other_id=int(arrays.slot_id[kept]))
        arrays.absorb(kept, other)
        self._hand_over_views(other, kept)
        self._touch(np.array([kept]))
        return int(arrays.slot_id[other])

    def move(self, old_id: int, new_id: int) -> bool:
        """Give the slot of an object that was found elsewhere its old identity.

        Returns:
            Whether both slots are still there and in the states that this is about.
        """
        arrays = self.arrays
        old, new = arrays.row(old_id), arrays.row(new_id)
        if old is None or new is None:
            return False
        if arrays.state[old] not in (SUSPECT, ARCHIVED) or arrays.state[new] != CONFIRMED:
            return False
        from_m = arrays.centre_m(np.array([old]))[0]
        arrays.move(old, new)
        self._hand_over_views(new, old)
        self._log(ChangeKind.MOVED, old, from_m, other_id=new_id)
        self._touch(np.array([old]))
        self._remove([new])
        return True

    def _hand_over_views(self, from_row: int, to_row: int) -> None:
        arrays = self.arrays
        ids = int(arrays.slot_id[from_row]), int(arrays.slot_id[to_row])
        kept, lost = self.views.move_slot(*ids, arrays.centre_m(np.array([to_row]))[0])
        self.unwritten.moved_views.update(set(kept) - self.unwritten.views)
        self.drop_views(lost)

    def _remove(self, rows: Sequence[int]) -> None:
        if not rows:
            return
        for row in rows:
            slot_id = int(self.arrays.slot_id[row])
            self.drop_views(self.views.drop_slot(slot_id))
            self.unwritten.slots.discard(slot_id)
            self.unwritten.removed_slots.add(slot_id)
            self._told.forget(slot_id)
            self._doubts.forget(slot_id)
            self.stale_records.add(slot_id)
        self.arrays.remove(rows)

    def drop_views(self, view_ids: Sequence[int]) -> None:
        """Note that views are not kept any more."""
        self.unwritten.views.difference_update(view_ids)
        self.unwritten.moved_views.difference_update(view_ids)
        self.unwritten.removed_views.update(view_ids)

    def _touch(self, rows: Int64[np.ndarray, "m"]) -> None:
        touched = self.arrays.slot_id[rows].tolist()
        self.unwritten.slots.update(touched)
        self.stale_records.update(touched)
        self._unsettled.update(touched)
        self._grown.update(touched)

    def _log(
        self,
        kind: ChangeKind,
        row: int,
        from_m: Float64[np.ndarray, "3"] | None = None,
        other_id: int | None = None,
    ) -> None:
        arrays, xyz_m = self.arrays, self.arrays.centre_m(np.array([row]))[0]
        self.enter(kind, int(arrays.slot_id[row]), arrays.label(row), xyz_m, from_m, other_id)

    def enter(
        self,
        kind: ChangeKind,
        slot_id: int,
        label: str,
        xyz_m: Float64[np.ndarray, "3"],
        from_xyz_m: Float64[np.ndarray, "3"] | None = None,
        other_id: int | None = None,
    ) -> None:
        """Put an entry of the newest frame into the log; see `Change`."""
        step, stamp_ns = self._now
        change = Change(
            event_id=self.next_event_id,
            step=step,
            stamp_ns=stamp_ns,
            kind=kind,
            slot_id=slot_id,
            label=label,
            xyz_m=xyz_m,
            from_xyz_m=from_xyz_m,
            other_id=other_id,
        )
        self.next_event_id += 1
        self.changes.append(change)
        self.unwritten.changes.append(change)
