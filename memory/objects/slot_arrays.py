"""All slots as arrays, so that one step of the control loop touches them at once.

Axis letters: n slots, p kept points of a slot, m detections.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int8, Int32, Int64

from memory.objects.floor_grid import NOWHERE, Cells, FloorGrid, cells_of
from memory.objects.growing_columns import GrowingColumns
from memory.objects.neighbours import SeenBeside
from memory.objects.slot_extract import SlotExtract
from memory.records import Slot

NUM_POINTS = 32
"""Surface points kept per slot."""

NUM_EXTREMES = 6
"""The first of them are the outermost along -x, +x, -y, +y, -z, +z."""

FRESH_POINTS = 4
"""Inner points replaced at each sighting."""

STRIDE = 11
"""Sightings start their fresh points so many further, to cover the object evenly."""

NUM_INNER = NUM_POINTS - NUM_EXTREMES

NO_LABEL = -1
"""Code of a slot that nothing was voted for yet."""

_OF_PLACE = (
    *("points_m", "existence", "state", "area_px_m2", "mean_seen_m", "scatter_m2"),
    *("last_seen_ns", "last_seen_step"),
)
"""What an object that moved takes over from the slot that it was found as."""

_FRESH = np.arange(FRESH_POINTS)
_EXTREMES = np.arange(NUM_EXTREMES)
_AXIS = np.array([0, 0, 1, 1, 2, 2])
_SIGN = np.array([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0])


class SlotArrays(GrowingColumns):
    """Columns of all slots; row numbers change when slots are removed, ids do not.

    Attributes:
        cells: Cells of the floor that the box reaches into, see `memory.objects.floor_grid`.
        vote_score: Sum of the scores of the label, where a slot was never called anything else.
        beside: Which slots one frame showed together.
    """

    COLUMNS: ClassVar[dict[str, tuple[tuple[int, ...], type]]] = {
        "slot_id": ((), np.int64),
        "label_code": ((), np.int64),
        "vote_score": ((), np.float64),
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
        "cells": ((4,), np.int32),
    }

    slot_id: Int64[np.ndarray, "n"]
    label_code: Int64[np.ndarray, "n"]
    vote_score: Float64[np.ndarray, "n"]
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
    cells: Int32[np.ndarray, "n 4"]

    def __init__(self) -> None:
        super().__init__()
        self.beside = SeenBeside()
        self._ballots: dict[int, dict[str, float]] = {}
        self._codes: dict[str, int] = {}
        self._labels: list[str] = []
        self._row_of: dict[int, int] = {}
        self._grid = FloorGrid()

    def row(self, slot_id: int) -> int | None:
        """Return the row of a slot, None if it does not exist."""
        return self._row_of.get(slot_id)

    def rows(self, slot_ids: Iterable[int]) -> Int64[np.ndarray, "m"]:
        """Return the rows of the slots that exist, by increasing id."""
        found = [self._row_of[i] for i in sorted(slot_ids) if i in self._row_of]
        return np.array(found, dtype=np.int64)

    def near(
        self, low_m: Float64[np.ndarray, "m d"], high_m: Float64[np.ndarray, "m d"]
    ) -> set[int]:
        """Return ids of all slots whose box meets one of the given boxes on the floor, and more."""
        found: set[int] = set()
        for cells in set(map(tuple, cells_of(low_m, high_m).tolist())):
            found |= self._grid.near(cells)
        return found

    def labels(self) -> tuple[str, ...]:
        """Return the labels by their number."""
        return tuple(self._labels)

    def voted(self) -> tuple[Int64[np.ndarray, "m"], Int64[np.ndarray, "m"]]:
        """Return rows and label numbers of all votes."""
        several = [
            (self._row_of[slot_id], self._codes[name])
            for slot_id, ballot in self._ballots.items()
            for name in ballot
        ]
        others = np.array(several, dtype=np.int64).reshape(-1, 2)
        rows = np.concatenate([np.arange(len(self)), others[:, 0]])
        return rows, np.concatenate([self.label_code, others[:, 1]])

    def with_label(self, label: str) -> Int64[np.ndarray, "m"]:
        """Return the rows of the slots of a label."""
        return np.flatnonzero(self.label_code == self._codes.get(label, NO_LABEL))

    def code(self, label: str) -> int:
        """Return the number of a label."""
        if label not in self._codes:
            self._codes[label] = len(self._labels)
            self._labels.append(label)
        return self._codes[label]

    def label(self, row: int) -> str:
        """Return the label of a slot."""
        return self._labels[self.label_code[row]]

    def centre_m(self, rows: Int64[np.ndarray, "m"]) -> Float64[np.ndarray, "m 3"]:
        """Return the middle of the boxes of slots."""
        return (self.low_m[rows] + self.high_m[rows]) / 2

    def add(self, slot_ids: Sequence[int]) -> Int64[np.ndarray, "m"]:
        """Append slots without a label, points or votes; return their rows."""
        rows = self._append(len(slot_ids))
        self.slot_id[rows] = slot_ids
        self.label_code[rows] = NO_LABEL
        self.points_m[rows] = np.nan
        self.cells[rows] = NOWHERE
        self._row_of.update(zip(slot_ids, rows.tolist(), strict=True))
        return rows

    def fill(self, stored: SlotExtract) -> None:
        """Take in stored slots; there must be none yet. Boxes follow from the points."""
        ids = stored.columns["slot_id"]
        rows = self._append(len(ids))
        for name, values in stored.columns.items():
            getattr(self, name)[:] = values
        self._row_of = dict(zip(ids.tolist(), rows.tolist(), strict=True))
        for label in stored.labels:
            self.code(label)
        self._ballots = dict(stored.ballots)
        self.beside.fill(stored.beside, self._row_of)
        ends_m = self.points_m[:, _EXTREMES, _AXIS]
        self.low_m[:], self.high_m[:] = ends_m[:, 0::2], ends_m[:, 1::2]
        self.cells[:] = cells_of(self.low_m, self.high_m)
        self._grid.fill(ids, self.cells)

    def remove(self, rows: Iterable[int]) -> None:
        """Remove slots."""
        for row in sorted(rows, reverse=True):
            slot_id = int(self.slot_id[row])
            self.beside.forget(slot_id)
            self._ballots.pop(slot_id, None)
            self._grid.take_out(slot_id, _cells(self.cells[row]))
            del self._row_of[slot_id]
            if self._drop(row):
                self._row_of[int(self.slot_id[row])] = row

    def votes(self, row: int) -> dict[str, float]:
        """Return the sum of scores of each label that a slot was ever given."""
        ballot = self._ballots.get(int(self.slot_id[row]))
        return {self.label(row): float(self.vote_score[row])} if ballot is None else dict(ballot)

    def vote(self, row: int, label: str, score: float) -> None:
        """Count a label for a slot; the label with the largest sum names it."""
        code, named = self.code(label), int(self.label_code[row])
        slot_id = int(self.slot_id[row])
        ballot = self._ballots.get(slot_id)
        if ballot is None and named in (NO_LABEL, code):
            self.vote_score[row] += score
            best = code
        else:
            if ballot is None:
                ballot = self._ballots[slot_id] = self.votes(row)
            ballot[label] = ballot.get(label, 0.0) + score
            best = self.code(max(ballot, key=lambda name: ballot[name]))
        self.label_code[row] = best

    def take_in_points(
        self,
        rows: Int64[np.ndarray, "m"],
        seen_m: Float64[np.ndarray, "m p 3"],
        extremes: Float64[np.ndarray, "m e 3"],
    ) -> None:
        """Merge the points of sightings and update boxes and running means.

        Args:
            rows: Slot of each sighting.
            seen_m: Points seen, world frame.
            extremes: The `outermost` of them.
        """
        if len(rows) == 0:
            return
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
        centres = np.einsum("mpi->mi", seen_m) / num_seen
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
        ends = points_m[:, _EXTREMES, _AXIS].astype(np.float64)
        low, high = ends[:, 0::2], ends[:, 1::2]
        self.low_m[rows], self.high_m[rows] = low, high
        cells = cells_of(low, high)
        for i in np.flatnonzero((cells != self.cells[rows]).any(axis=1)).tolist():
            row = int(rows[i])
            slot_id = int(self.slot_id[row])
            self._grid.take_out(slot_id, _cells(self.cells[row]))
            self._grid.put(slot_id, _cells(cells[i]))
            self.cells[row] = cells[i]

    def absorb(self, row: int, other: int) -> None:
        """Let one slot take over what another one knows; the other is to be removed."""
        points = self.points_m[other]
        points = points[np.isfinite(points[:, 0])].astype(np.float64)
        hits = int(self.num_hits[row]) + int(self.num_hits[other])
        self.take_in_points(np.array([row]), points[None], outermost(points[None]))
        self.num_hits[row] = hits
        for label, score in self.votes(other).items():
            self.vote(row, label, score)
        self.beside.put(int(self.slot_id[row]), self.beside.of(int(self.slot_id[other])))
        self.existence[row] = max(self.existence[row], self.existence[other])
        for name in ("first_seen_ns", "first_seen_step"):
            column = getattr(self, name)
            column[row] = min(column[row], column[other])
        for name in ("last_seen_ns", "last_seen_step", "area_px_m2"):
            column = getattr(self, name)
            column[row] = max(column[row], column[other])

    def move(self, row: int, to: int) -> None:
        """Let a slot be where another one is, which is to be removed: they are one object."""
        for label, score in self.votes(to).items():
            self.vote(row, label, score)
        self.num_hits[row] += self.num_hits[to]
        slot_id, there = int(self.slot_id[row]), self.beside.of(int(self.slot_id[to]))
        self.beside.forget(slot_id)
        self.beside.put(slot_id, there)
        for name in _OF_PLACE:
            column = getattr(self, name)
            column[row] = column[to]
        self.fit_boxes(np.array([row]))

    def extract(self, rows: Int64[np.ndarray, "m"], *, neighbours: bool = False) -> SlotExtract:
        """Return a copy of slots that may be looked at while these arrays change.

        Args:
            rows: Which slots.
            neighbours: Whether to copy which slots were seen beside them, too.
        """
        ids = self.slot_id[rows].tolist()
        few = len(ids) < len(self._ballots)
        several = (i for i in ids if i in self._ballots) if few else self._ballots
        return SlotExtract(
            columns={name: getattr(self, name)[rows] for name in self.COLUMNS},
            labels=tuple(self._labels),
            ballots={i: dict(self._ballots[i]) for i in several},
            beside={i: sorted(self.beside.of(i)) for i in ids} if neighbours else {},
        )

    def record(self, row: int) -> Slot:
        """Return a slot as a record."""
        return self.extract(np.array([row])).records()[0]


def _cells(row: Int32[np.ndarray, "4"]) -> Cells:
    x0, y0, x1, y1 = row.tolist()
    return x0, y0, x1, y1


def box_of(
    extremes_m: Float64[np.ndarray, "m e 3"],
) -> tuple[Float64[np.ndarray, "m 3"], Float64[np.ndarray, "m 3"]]:
    """Return the corners of the boxes that the outermost points span."""
    ends = extremes_m[:, _EXTREMES, _AXIS]
    return ends[:, 0::2], ends[:, 1::2]


def outermost(points_m: Float64[np.ndarray, "m p 3"]) -> Float64[np.ndarray, "m e 3"]:
    """Return the outermost points along -x, +x, -y, +y, -z, +z.

    A stray among them is dropped once a frame looks through it, see `forget_points`.
    """
    ends = np.empty((len(points_m), NUM_EXTREMES), dtype=np.int64)
    # Along a contiguous axis these are several times faster.
    by_axis = np.ascontiguousarray(points_m.transpose(0, 2, 1))
    ends[:, 0::2], ends[:, 1::2] = by_axis.argmin(axis=2), by_axis.argmax(axis=2)
    found: Float64[np.ndarray, "m e 3"] = points_m[np.arange(len(points_m))[:, None], ends]
    return found
