"""From detections to slots, frame by frame: what `memory.objects` does in the control loop.

Axis letters: n slots, m detections, p points, o doubted slots.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int64

from memory.association import associate, box_overlap
from memory.changes import Change, ChangeKind
from memory.config import ObjectConfig
from memory.embeddings import EmbeddingBook
from memory.existence import ARCHIVED, CONFIRMED, DROPPED, SUSPECT, TENTATIVE, ExistenceFilter
from memory.frames import body_pose
from memory.records import BodySpec, Detection, Observation
from memory.slot_arrays import SlotArrays
from memory.views import ViewBook, direction_bin
from memory.visibility import PinholeSight

MERGE_EVERY = 50
"""Frames between two looks for slots that are parts of one object."""

MERGE_OVERLAP = 0.5
"""Share of the smaller box inside the larger one at which two slots of a kind are one object."""

UNAMBIGUOUS = 0.02
"""Similarity by which the best candidate for a moved object must beat the next."""

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


@dataclass(slots=True)
class Unwritten:
    """What changed since the tables were written last."""

    slots: set[int] = field(default_factory=set)
    removed_slots: set[int] = field(default_factory=set)
    views: set[int] = field(default_factory=set)
    removed_views: set[int] = field(default_factory=set)
    changes: list[Change] = field(default_factory=list)

    def put_back(self, taken: "Unwritten") -> None:
        """Add what could not be written; what was removed since stays removed."""
        self.slots |= taken.slots - self.removed_slots
        self.views |= taken.views - self.removed_views
        self.removed_slots |= taken.removed_slots
        self.removed_views |= taken.removed_views - self.views
        self.changes[:0] = taken.changes


class SlotTracker:
    """Slots, their views and the log of their changes. Not thread-safe.

    Args:
        config: Settings.
        spec: Body that carries the camera.
    """

    def __init__(self, config: ObjectConfig, spec: BodySpec) -> None:
        self.arrays = SlotArrays()
        self.views = ViewBook(config)
        self.changes: deque[Change] = deque(maxlen=KEPT_CHANGES)
        self.unwritten = Unwritten()
        self.stale_records: set[int] = set()
        self.next_slot_id = 1
        self.next_event_id = 1
        self._config = config
        self._spec = spec
        self._sight = PinholeSight(spec)
        self._filter = ExistenceFilter(config)
        self._num_frames = 0
        self._now = (0, 0)

    def take_in(
        self, observation: Observation, detections: Sequence[Detection], step: int
    ) -> list[int]:
        """Associate detections and update what was and was not seen; return a slot id for each."""
        self._now = (step, observation.stamp_ns)
        self._num_frames += 1
        seen = self._sight.object_points(observation, detections)
        rows = self._match(detections, seen)
        self._note_misses(observation, detections, rows)
        fresh = np.flatnonzero(rows < 0)
        rows[fresh] = self._create(len(fresh))
        self._note_hits(observation, detections, seen, rows)
        ids = [int(i) for i in self.arrays.slot_id[rows]]
        for i in fresh:
            self._log(ChangeKind.CREATED, int(rows[i]))
        self._advance_states()
        if self._num_frames % MERGE_EVERY == 0:
            self._merge_parts()
        return [slot_id if self.arrays.row(slot_id) is not None else 0 for slot_id in ids]

    def reunite_moved(self, book: EmbeddingBook) -> int:
        """Give objects that were found elsewhere their old identity; return how many.

        A doubted or archived slot and a younger confirmed one of the same label are the same
        object if they look alike and neither looks as much like any other candidate: of several
        equal chairs nobody can tell which one moved.
        """
        arrays = self.arrays
        old = np.flatnonzero((arrays.state == SUSPECT) | (arrays.state == ARCHIVED))
        new = np.flatnonzero(arrays.state == CONFIRMED)
        likeness = np.full((len(old), len(new)), -1.0)
        for i, a in enumerate(old):
            later = arrays.first_seen_step[new] > arrays.last_seen_step[a]
            alike = arrays.label_code[new] == arrays.label_code[a]
            for j in np.flatnonzero(later & alike):
                pair = (int(arrays.slot_id[a]), int(arrays.slot_id[new[j]]))
                likeness[i, j] = book.best_pair(*(self.views.of_slot(slot_id) for slot_id in pair))
        pairs = [
            (int(arrays.slot_id[old[i]]), int(arrays.slot_id[new[j]]))
            for i, j in unambiguous_pairs(likeness, book.same_object)
        ]
        for old_id, new_id in pairs:
            self._move(old_id, new_id)
        return len(pairs)

    def clear(self) -> None:
        """Forget all slots and views; ids go on."""
        self.unwritten.removed_slots.update(int(i) for i in self.arrays.slot_id)
        self.unwritten.removed_views.update(view.view_id for view in self.views.all())
        self.unwritten.slots.clear()
        self.unwritten.views.clear()
        next_view_id = self.views.next_view_id
        self.arrays = SlotArrays()
        self.views = ViewBook(self._config)
        self.views.next_view_id = next_view_id

    def _match(
        self, detections: Sequence[Detection], seen: Float64[np.ndarray, "m p 3"]
    ) -> Int64[np.ndarray, "m"]:
        arrays = self.arrays
        low, high = seen.min(axis=1), seen.max(axis=1)
        codes = np.array([arrays.code(d.label) for d in detections], dtype=np.int64)
        same_label = codes[:, None] == arrays.label_code[None]
        gate_m = self._config.gate_m
        present = arrays.state != ARCHIVED
        return associate(low, high, arrays.low_m, arrays.high_m, same_label, present, gate_m)

    def _note_misses(
        self,
        observation: Observation,
        detections: Sequence[Detection],
        rows: Int64[np.ndarray, "m"],
    ) -> None:
        """Doubt slots that should have been matched; forget points that matched ones left."""
        arrays = self.arrays
        instance = np.zeros(len(arrays), dtype=np.int64)
        matched = rows >= 0
        instance[rows[matched]] = [
            d.instance for d, m in zip(detections, matched, strict=True) if m
        ]
        near = self._sight.in_view(observation, arrays.low_m, arrays.high_m)
        look_at = np.flatnonzero(near & (arrays.state != ARCHIVED))
        if len(look_at) == 0:
            return
        here = instance[look_at] > 0
        sight = self._sight.look(
            observation, arrays.points_m[look_at], arrays.area_px_m2[look_at], instance[look_at]
        )
        arrays.forget_points(look_at[here], sight.open_points[here])
        missed = look_at[~here & sight.missing]
        arrays.existence[missed] = self._filter.missed(arrays.existence[missed])
        self._touch(missed)

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
        seen: Float64[np.ndarray, "m p 3"],
        rows: Int64[np.ndarray, "m"],
    ) -> None:
        arrays = self.arrays
        arrays.existence[rows] = self._filter.seen(arrays.existence[rows], arrays.state[rows])
        arrays.last_seen_step[rows], arrays.last_seen_ns[rows] = self._now
        arrays.take_in_points(rows, seen)
        area = np.array([d.num_px * d.range_m**2 for d in detections])
        share = 1.0 / np.minimum(arrays.num_hits[rows], AREA_MEMORY)
        arrays.area_px_m2[rows] += (area - arrays.area_px_m2[rows]) * share
        beside: dict[str, set[int]] = {}
        ids = arrays.slot_id[rows].tolist()
        for row, slot_id, detection in zip(rows.tolist(), ids, detections, strict=True):
            arrays.vote(row, detection.label, detection.score)
            beside.setdefault(detection.label, set()).add(slot_id)
        for row, slot_id, detection in zip(rows.tolist(), ids, detections, strict=True):
            if len(beside[detection.label]) > 1:
                arrays.seen_beside[row] |= beside[detection.label] - {slot_id}
        self._keep_views(observation, detections, rows)
        self._touch(rows)

    def _keep_views(
        self,
        observation: Observation,
        detections: Sequence[Detection],
        rows: Int64[np.ndarray, "m"],
    ) -> None:
        eye_m = observation.T_world_camera[:3, 3]
        centres, ids = self.arrays.centre_m()[rows], self.arrays.slot_id[rows].tolist()
        for slot_id, centre, detection in zip(ids, centres, detections, strict=True):
            side = direction_bin(centre, eye_m)
            if not self.views.wants(slot_id, side, detection.num_px):
                continue
            pose = body_pose(observation.T_world_camera, self._spec)
            view, displaced = self.views.keep(slot_id, side, observation, detection, pose)
            self.unwritten.views.add(view.view_id)
            self._drop_views(displaced)

    def _advance_states(self) -> None:
        arrays = self.arrays
        after = self._filter.next_state(arrays.state, arrays.existence, arrays.num_hits)
        changed = np.flatnonzero(after != arrays.state)
        if len(changed) == 0:
            return
        for row in changed:
            self._log(_NAMED[int(after[row])], int(row))
        self._touch(changed)
        dropped = [int(row) for row in changed if after[row] == DROPPED]
        arrays.state[changed] = np.where(after[changed] == DROPPED, TENTATIVE, after[changed])
        self._remove(dropped)

    def _merge_parts(self) -> None:
        """Join slots of a kind whose boxes overlap and that no frame ever showed side by side."""
        arrays = self.arrays
        low, high = arrays.low_m, arrays.high_m
        overlap, _ = box_overlap(low, high, low, high)
        alike = arrays.label_code[:, None] == arrays.label_code[None]
        gone: set[int] = set()
        for a, b in np.argwhere(np.triu(alike & (overlap >= MERGE_OVERLAP), k=1)).tolist():
            if a in gone or b in gone or int(arrays.slot_id[b]) in arrays.seen_beside[a]:
                continue
            trust = [(arrays.state[r] == CONFIRMED, int(arrays.num_hits[r])) for r in (a, b)]
            kept, other = (a, b) if trust[0] >= trust[1] else (b, a)
            self._log(ChangeKind.MERGED, other, other_id=int(arrays.slot_id[kept]))
            arrays.absorb(kept, other)
            self._hand_over_views(other, kept)
            self._touch(np.array([kept]))
            gone.add(other)
        self._remove(sorted(gone))

    def _move(self, old_id: int, new_id: int) -> None:
        arrays = self.arrays
        old, new = arrays.row(old_id), arrays.row(new_id)
        if old is None or new is None:
            return
        from_m = arrays.centre_m()[old]
        for label, score in arrays.votes[new].items():
            arrays.vote(old, label, score)
        arrays.num_hits[old] += arrays.num_hits[new]
        arrays.seen_beside[old] = set(arrays.seen_beside[new])
        for name in ("points_m", "low_m", "high_m", "existence", "state", "area_px_m2"):
            column = getattr(arrays, name)
            column[old] = column[new]
        for name in ("mean_seen_m", "scatter_m2", "last_seen_ns", "last_seen_step"):
            column = getattr(arrays, name)
            column[old] = column[new]
        self._hand_over_views(new, old)
        self._log(ChangeKind.MOVED, old, from_m, other_id=new_id)
        self._touch(np.array([old]))
        self._remove([new])

    def _hand_over_views(self, from_row: int, to_row: int) -> None:
        arrays = self.arrays
        ids = int(arrays.slot_id[from_row]), int(arrays.slot_id[to_row])
        kept, lost = self.views.move_slot(*ids, arrays.centre_m()[to_row])
        self.unwritten.views.update(view.view_id for view in kept)
        self._drop_views(lost)

    def _remove(self, rows: Sequence[int]) -> None:
        if not rows:
            return
        for row in rows:
            slot_id = int(self.arrays.slot_id[row])
            self._drop_views(self.views.drop_slot(slot_id))
            self.unwritten.slots.discard(slot_id)
            self.unwritten.removed_slots.add(slot_id)
            self.stale_records.add(slot_id)
        self.arrays.remove(rows)

    def _drop_views(self, view_ids: Sequence[int]) -> None:
        self.unwritten.views.difference_update(view_ids)
        self.unwritten.removed_views.update(view_ids)

    def _touch(self, rows: Int64[np.ndarray, "m"]) -> None:
        touched = self.arrays.slot_id[rows].tolist()
        self.unwritten.slots.update(touched)
        self.stale_records.update(touched)

    def _log(
        self,
        kind: ChangeKind,
        row: int,
        from_m: Float64[np.ndarray, "3"] | None = None,
        other_id: int | None = None,
    ) -> None:
        step, stamp_ns = self._now
        change = Change(
            event_id=self.next_event_id,
            step=step,
            stamp_ns=stamp_ns,
            kind=kind,
            slot_id=int(self.arrays.slot_id[row]),
            label=self.arrays.label(row),
            xyz_m=self.arrays.centre_m()[row],
            from_xyz_m=from_m,
            other_id=other_id,
        )
        self.next_event_id += 1
        self.changes.append(change)
        self.unwritten.changes.append(change)


def unambiguous_pairs(
    likeness: Float64[np.ndarray, "o n"], threshold: float
) -> list[tuple[int, int]]:
    """Return pairs that exceed the threshold and beat every rival of either side clearly."""
    pairs = []
    for i, j in np.argwhere(likeness >= threshold):
        rivals = np.concatenate([np.delete(likeness[i], j), np.delete(likeness[:, j], i)])
        if likeness[i, j] - rivals.max(initial=-1.0) >= UNAMBIGUOUS:
            pairs.append((int(i), int(j)))
    return pairs
