"""All slots as arrays, so that one step of the control loop touches them at once.

Axis letters: n slots, p kept points of a slot, m detections.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int8, Int64

from memory.existence import STATES
from memory.records import Slot

NUM_POINTS = 32
"""Surface points kept per slot."""

NUM_EXTREMES = 6
"""The first of them are the outermost along -x, +x, -y, +y, -z, +z."""

FRESH_POINTS = 4
"""Inner points replaced at each sighting."""

STRIDE = 11
"""Sightings start their fresh points so many further, to cover the object evenly."""

MIN_VARIANCE_M2 = 1e-4
"""Floor of the position's variance: a centimetre."""

NUM_INNER = NUM_POINTS - NUM_EXTREMES

_FRESH = np.arange(FRESH_POINTS)
_EXTREMES = np.arange(NUM_EXTREMES)
_AXIS = np.array([0, 0, 1, 1, 2, 2])
_SIGN = np.array([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0])

_COLUMNS: dict[str, tuple[tuple[int, ...], type]] = {
    "slot_id": ((), np.int64),
    "label_code": ((), np.int64),
    "state": ((), np.int8),
    "existence": ((), np.float64),
    "num_hits": ((), np.int64),
    "first_seen_ns": ((), np.int64),
    "last_seen_ns": ((), np.int64),
    "first_seen_step": ((), np.int64),
    "last_seen_step": ((), np.int64),
    "points_m": ((NUM_POINTS, 3), np.float32),
    "low_m": ((3,), np.float64),
    "high_m": ((3,), np.float64),
    "mean_seen_m": ((3,), np.float64),
    "scatter_m2": ((3, 3), np.float64),
    "area_px_m2": ((), np.float64),
}


class SlotArrays:
    """Columns of all slots; row numbers change when slots are removed, ids do not."""

    slot_id: Int64[np.ndarray, "n"]
    label_code: Int64[np.ndarray, "n"]
    state: Int8[np.ndarray, "n"]
    existence: Float64[np.ndarray, "n"]
    num_hits: Int64[np.ndarray, "n"]
    first_seen_ns: Int64[np.ndarray, "n"]
    last_seen_ns: Int64[np.ndarray, "n"]
    first_seen_step: Int64[np.ndarray, "n"]
    last_seen_step: Int64[np.ndarray, "n"]
    points_m: Float32[np.ndarray, "n p 3"]
    low_m: Float64[np.ndarray, "n 3"]
    high_m: Float64[np.ndarray, "n 3"]
    mean_seen_m: Float64[np.ndarray, "n 3"]
    scatter_m2: Float64[np.ndarray, "n 3 3"]
    area_px_m2: Float64[np.ndarray, "n"]

    def __init__(self) -> None:
        for name, (size, kind) in _COLUMNS.items():
            setattr(self, name, np.zeros((0, *size), dtype=kind))
        self.votes: list[dict[str, float]] = []
        self.seen_beside: list[set[int]] = []
        self._codes: dict[str, int] = {}
        self._labels: list[str] = []
        self._row_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.slot_id)

    def row(self, slot_id: int) -> int | None:
        """Return the row of a slot, None if it does not exist."""
        return self._row_of.get(slot_id)

    def code(self, label: str) -> int:
        """Return the number of a label."""
        if label not in self._codes:
            self._codes[label] = len(self._labels)
            self._labels.append(label)
        return self._codes[label]

    def labels(self) -> tuple[str, ...]:
        """Return the labels by their number."""
        return tuple(self._labels)

    def label(self, row: int) -> str:
        """Return the label of a slot."""
        return self._labels[self.label_code[row]]

    def centre_m(self) -> Float64[np.ndarray, "n 3"]:
        """Return the middle of every slot's box."""
        return (self.low_m + self.high_m) / 2

    def add(self, slot_ids: Sequence[int]) -> Int64[np.ndarray, "m"]:
        """Append empty slots; return their rows."""
        first = len(self)
        for name, (size, kind) in _COLUMNS.items():
            fresh: np.ndarray = np.zeros((len(slot_ids), *size), dtype=kind)
            setattr(self, name, np.concatenate([getattr(self, name), fresh]))
        self.slot_id[first:] = slot_ids
        self.points_m[first:] = np.nan
        for i, slot_id in enumerate(slot_ids):
            self._row_of[slot_id] = first + i
            self.votes.append({})
            self.seen_beside.append(set())
        return np.arange(first, len(self))

    def remove(self, rows: Sequence[int]) -> None:
        """Remove slots."""
        keep = np.ones(len(self), dtype=bool)
        keep[list(rows)] = False
        gone = {int(i) for i in self.slot_id[~keep]}
        for name in _COLUMNS:
            setattr(self, name, getattr(self, name)[keep])
        kept = np.flatnonzero(keep)
        self.votes = [self.votes[i] for i in kept]
        self.seen_beside = [self.seen_beside[i] - gone for i in kept]
        self._row_of = {int(slot_id): i for i, slot_id in enumerate(self.slot_id)}

    def vote(self, row: int, label: str, score: float) -> None:
        """Count a label for a slot; the label with the largest sum names it."""
        votes = self.votes[row]
        votes[label] = votes.get(label, 0.0) + score
        best = label if len(votes) == 1 else max(votes, key=lambda name: votes[name])
        self.label_code[row] = self.code(best)

    def take_in_points(
        self, rows: Int64[np.ndarray, "m"], seen_m: Float64[np.ndarray, "m p 3"]
    ) -> None:
        """Merge the points of sightings and update boxes and running means."""
        if len(rows) == 0:
            return
        extremes = outermost(seen_m)
        kept = self.points_m[rows]
        wide = kept[:, _EXTREMES, _AXIS] * _SIGN
        better = ~(extremes[:, _EXTREMES, _AXIS] * _SIGN <= wide)
        kept[:, :NUM_EXTREMES] = np.where(better[..., None], extremes, kept[:, :NUM_EXTREMES])
        hits = self.num_hits[rows]
        num_seen = seen_m.shape[1]
        which = (hits[:, None] * STRIDE + _FRESH * (num_seen // FRESH_POINTS)) % num_seen
        at = NUM_EXTREMES + (hits[:, None] * FRESH_POINTS + _FRESH) % NUM_INNER
        each = np.arange(len(rows))[:, None]
        kept[each, at] = seen_m[each, which]
        young = hits == 0
        if young.any():
            all_inner = np.arange(NUM_INNER) * num_seen // NUM_INNER
            kept[young, NUM_EXTREMES:] = seen_m[young][:, all_inner]
        self.points_m[rows] = kept
        self._set_boxes(rows, kept)
        hits = hits + 1
        self.num_hits[rows] = hits
        centres = seen_m.mean(axis=1)
        delta = centres - self.mean_seen_m[rows]
        mean = self.mean_seen_m[rows] + delta / hits[:, None]
        self.mean_seen_m[rows] = mean
        self.scatter_m2[rows] += delta[:, :, None] * (centres - mean)[:, None, :]

    def forget_points(self, rows: Int64[np.ndarray, "m"], gone: Bool[np.ndarray, "m p"]) -> None:
        """Drop points that nothing stands at any more, of slots that keep at least a quarter.

        The outermost of the points that are left take over as the extremes.
        """
        left = np.isfinite(self.points_m[rows, :, 0]) & ~gone
        chosen = gone.any(axis=1) & (left.sum(axis=1) >= NUM_POINTS // 4)
        if not chosen.any():
            return
        for row, keep in zip(rows[chosen], left[chosen], strict=True):
            points = self.points_m[row]
            points[~keep] = np.nan
            inner = points[keep]
            for j in range(NUM_EXTREMES):
                points[j] = inner[np.argmax(inner[:, _AXIS[j]] * _SIGN[j])]
        self.fit_boxes(rows[chosen])

    def fit_boxes(self, rows: Int64[np.ndarray, "m"]) -> None:
        """Set boxes to hold all kept points."""
        self._set_boxes(rows, self.points_m[rows])

    def _set_boxes(
        self, rows: Int64[np.ndarray, "m"], points_m: Float32[np.ndarray, "m p 3"]
    ) -> None:
        # The outermost points come first and are always there: no need to look at the others.
        ends = points_m[:, _EXTREMES, _AXIS]
        self.low_m[rows], self.high_m[rows] = ends[:, 0::2], ends[:, 1::2]

    def absorb(self, row: int, other: int) -> None:
        """Let one slot take over what another one knows; the other is to be removed."""
        points = self.points_m[other]
        points = points[np.isfinite(points[:, 0])].astype(np.float64)
        hits = int(self.num_hits[row]) + int(self.num_hits[other])
        self.take_in_points(np.array([row]), points[None])
        self.num_hits[row] = hits
        for label, score in self.votes[other].items():
            self.vote(row, label, score)
        self.seen_beside[row] |= self.seen_beside[other]
        self.existence[row] = max(self.existence[row], self.existence[other])
        for name in ("first_seen_ns", "first_seen_step"):
            column = getattr(self, name)
            column[row] = min(column[row], column[other])
        for name in ("last_seen_ns", "last_seen_step", "area_px_m2"):
            column = getattr(self, name)
            column[row] = max(column[row], column[other])

    def record(self, row: int) -> Slot:
        """Return a slot as a record."""
        low, high = self.low_m[row], self.high_m[row]
        hits = int(self.num_hits[row])
        covariance = self.scatter_m2[row] / max(hits, 1) / max(hits, 1)
        return Slot(
            slot_id=int(self.slot_id[row]),
            label=self.label(row),
            votes=dict(self.votes[row]),
            xyz_m=(low + high) / 2,
            cov_m2=covariance + MIN_VARIANCE_M2 * np.eye(3),
            extent_m=high - low,
            existence=float(self.existence[row]),
            state=STATES[self.state[row]],
            num_hits=hits,
            first_seen_ns=int(self.first_seen_ns[row]),
            last_seen_ns=int(self.last_seen_ns[row]),
            first_seen_step=int(self.first_seen_step[row]),
            last_seen_step=int(self.last_seen_step[row]),
        )


def outermost(points_m: Float64[np.ndarray, "m p 3"]) -> Float64[np.ndarray, "m e 3"]:
    """Return the outermost points along -x, +x, -y, +y, -z, +z.

    A stray among them is dropped once a frame looks through it, see `forget_points`.
    """
    ends = np.stack([points_m.argmin(axis=1), points_m.argmax(axis=1)], axis=2)
    return np.take_along_axis(points_m, ends.reshape(len(points_m), -1, 1), axis=1)
