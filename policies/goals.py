"""From a goal to the places where the body should stand.

Axis letters: n points or cells.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from memory.records import Detection, Slot, SlotState
from policies.geodesic import Field, Terrain
from policies.occupancy import OccupancyMap

SAME_M = 0.3
"""A sighting this close to a slot's box is that slot."""
JOIN_M = 0.12
"""Two sightings this close are the same thing, seen from elsewhere."""
MISS_COST_M = 6.0
"""Price of going to an object that turns out to be gone, as a way to drive."""
INSIDE_M = 0.1
"""Cells nearer to a box than this belong to the object."""
KEEP_M = 0.5
TOUCH_M = 0.08
"""Occupied cells this close to an object's box belong to the object."""
LINE_SAMPLES = 20
NEAR_SIGHTING_M = 2.5
"""A sighting from within this range counts for verification."""
MAX_VISITS = 2
"""Visits to one place for one goal before it is given up for good."""


@dataclass(slots=True, kw_only=True)
class Sighting:
    """Something with the goal's label that the body saw itself since the goal was given."""

    low_m: Float64[np.ndarray, "2"]
    high_m: Float64[np.ndarray, "2"]
    last_step: int
    num_seen: int
    near_steps: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A place where the goal's object should be.

    Attributes:
        label: Category.
        slot_id: Remembered object, None if it was only seen.
        low_m: Lower corner of its box on the floor plan.
        high_m: Upper corner.
        chance: That it is there, 0 to 1.
        steps_ago: Since it was last seen.
        state: Of the slot; "seen" for something that has no slot yet.
    """

    label: str
    slot_id: int | None
    low_m: Float64[np.ndarray, "2"]
    high_m: Float64[np.ndarray, "2"]
    chance: float
    steps_ago: int
    state: str

    @property
    def name(self) -> str:
        """How the log calls it."""
        return f"{self.label} #{self.slot_id}" if self.slot_id else f"{self.label} (new)"

    @property
    def middle_m(self) -> Float64[np.ndarray, "2"]:
        """Middle of its box."""
        return (self.low_m + self.high_m) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The candidate to go for, where to stand, and why this one."""

    candidate: Candidate
    stand_cells: Int64[np.ndarray, "n 2"]
    nearest_cell: Int64[np.ndarray, "2"]
    distance_m: float
    reason: str


class GoalTrack:
    """What was learned about one object goal while pursuing it: sightings and disappointments."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.sightings: list[Sighting] = []
        self._refused: list[tuple[int | None, Float64[np.ndarray, "2"], int]] = []

    @property
    def num_refused(self) -> int:
        """Places that turned out not to hold the object."""
        return len(self._refused)

    def see(self, detections: Sequence[Detection], step: int) -> bool:
        """Note what has the goal's label; return whether something new came into view."""
        is_new = False
        free = list(self.sightings)  # one image shows each thing once
        for d in detections:
            if d.label != self.label:
                continue
            low, high = (d.xyz_m - d.extent_m / 2)[:2], (d.xyz_m + d.extent_m / 2)[:2]
            match = [s for s in free if box_gap_m(low, high, s.low_m, s.high_m) < JOIN_M]
            if match:
                s = min(match, key=lambda s: _middle_gap_m(low, high, s.low_m, s.high_m))
                free = [other for other in free if other is not s]
                s.low_m, s.high_m = np.minimum(s.low_m, low), np.maximum(s.high_m, high)
                s.last_step, s.num_seen = step, s.num_seen + 1
            else:
                s = Sighting(low_m=low, high_m=high, last_step=step, num_seen=1, near_steps=[])
                self.sightings.append(s)
                is_new = True
            if d.range_m <= NEAR_SIGHTING_M:
                s.near_steps.append(step)
        return is_new

    def near_sightings(self, candidate: Candidate, since_step: int) -> int:
        """Return how often the candidate was seen from close by since a step."""
        return sum(
            step >= since_step
            for s in self.sightings
            if box_gap_m(candidate.low_m, candidate.high_m, s.low_m, s.high_m) < SAME_M
            for step in s.near_steps
        )

    def refuse(self, candidate: Candidate, step: int) -> None:
        """Remember that the object was not there, and forget older sightings at that place."""
        self._refused.append((candidate.slot_id, candidate.middle_m, step))
        self.sightings = [
            s
            for s in self.sightings
            if box_gap_m(candidate.low_m, candidate.high_m, s.low_m, s.high_m) >= SAME_M
        ]

    def is_refused(self, candidate: Candidate, step: int) -> bool:
        """Return whether a candidate disappointed before and was not seen again since."""
        at_place = [
            refused_step
            for slot_id, middle, refused_step in self._refused
            if (slot_id is not None and slot_id == candidate.slot_id)
            or float(np.hypot(*(middle - candidate.middle_m))) < SAME_M
        ]
        if len(at_place) >= MAX_VISITS:
            return True
        return bool(at_place) and step - candidate.steps_ago <= max(at_place)

    def candidates(
        self, slots: Sequence[Slot], stamp_ns: int, tick_s: float, step: int
    ) -> list[Candidate]:
        """Return where the object may be: remembered slots and own sightings, refused ones out."""
        found = []
        for slot in slots:
            if slot.state == SlotState.ARCHIVED:
                continue
            low, high = (slot.xyz_m - slot.extent_m / 2)[:2], (slot.xyz_m + slot.extent_m / 2)[:2]
            chance = 1.0 / (1.0 + math.exp(-slot.existence))
            if slot.state == SlotState.TENTATIVE:
                chance *= 0.8
            age_s = max(0, stamp_ns - slot.last_seen_ns) / 1e9
            own = self._own(low, high)
            found.append(
                Candidate(
                    label=self.label,
                    slot_id=slot.slot_id,
                    low_m=own.low_m if own else low,
                    high_m=own.high_m if own else high,
                    chance=chance,
                    steps_ago=step - own.last_step if own else round(age_s / tick_s),
                    state=str(slot.state),
                )
            )
        for s in self.sightings:
            if any(box_gap_m(s.low_m, s.high_m, c.low_m, c.high_m) < SAME_M for c in found):
                continue
            found.append(
                Candidate(
                    label=self.label,
                    slot_id=None,
                    low_m=s.low_m,
                    high_m=s.high_m,
                    chance=0.9 if s.num_seen > 1 else 0.7,
                    steps_ago=step - s.last_step,
                    state="seen",
                )
            )
        return [c for c in found if not self.is_refused(c, step)]

    def _own(
        self, low_m: Float64[np.ndarray, "2"], high_m: Float64[np.ndarray, "2"]
    ) -> Sighting | None:
        near = [s for s in self.sightings if box_gap_m(low_m, high_m, s.low_m, s.high_m) < SAME_M]
        if not near:
            return None
        return min(near, key=lambda s: _middle_gap_m(low_m, high_m, s.low_m, s.high_m))


def choose_candidate(
    candidates: Sequence[Candidate],
    occupancy: OccupancyMap,
    terrain: Terrain,
    from_body: Field,
    stop_m: float,
    *,
    keep: Candidate | None = None,
) -> tuple[Choice | None, list[Candidate]]:
    """Return the cheapest candidate to try, and those that cannot be reached.

    The price of a candidate is the way to it plus the price of finding it gone. The one in hand
    (`keep`) is a little cheaper, so that two equal ones do not take turns.
    """
    scored: list[tuple[float, Candidate, Int64[np.ndarray, "n 2"], int, float]] = []
    unreachable = []
    for candidate in candidates:
        cells = stand_cells(occupancy, terrain, candidate.low_m, candidate.high_m, stop_m)
        distances = from_body.at_cells(cells)
        if len(cells) == 0 or not np.isfinite(distances).any():
            unreachable.append(candidate)
            continue
        best = int(np.argmin(distances))
        price = float(distances[best]) + (1.0 - candidate.chance) * MISS_COST_M
        if keep is not None and _is_same(candidate, keep):
            price -= KEEP_M
        scored.append((price, candidate, cells, best, float(distances[best])))
    if not scored:
        return None, unreachable
    scored.sort(key=lambda item: item[0])
    _, candidate, cells, best, distance = scored[0]
    choice = Choice(
        candidate=candidate,
        stand_cells=cells,
        nearest_cell=cells[best],
        distance_m=distance,
        reason=_reason(candidate, distance, [(c, d) for _, c, _, _, d in scored[1:]]),
    )
    return choice, unreachable


def _reason(
    candidate: Candidate, distance_m: float, others: Sequence[tuple[Candidate, float]]
) -> str:
    if candidate.steps_ago <= 1:
        text = f"{candidate.name} is in view, {distance_m:.1f} m of way"
    elif candidate.slot_id is None:
        text = f"{candidate.name} seen {candidate.steps_ago} steps ago, {distance_m:.1f} m of way"
    else:
        text = (
            f"{candidate.name} remembered {distance_m:.1f} m away, "
            f"seen {candidate.steps_ago} steps ago"
        )
    if not others:
        return text
    other, other_m = others[0]
    if other_m > distance_m:
        return f"{text}; nearer than {other.name}"
    return f"{text}; surer than {other.name} ({candidate.chance:.0%} against {other.chance:.0%})"


def box_gap_m(
    low_a: Float64[np.ndarray, "2"],
    high_a: Float64[np.ndarray, "2"],
    low_b: Float64[np.ndarray, "2"],
    high_b: Float64[np.ndarray, "2"],
) -> float:
    """Return the distance between two upright boxes on the floor plan, 0 if they overlap."""
    gap = np.maximum(np.maximum(low_a - high_b, low_b - high_a), 0.0)
    return float(np.hypot(gap[0], gap[1]))


def _is_same(a: Candidate, b: Candidate) -> bool:
    if a.slot_id is not None and a.slot_id == b.slot_id:
        return True
    return _middle_gap_m(a.low_m, a.high_m, b.low_m, b.high_m) < SAME_M


def _middle_gap_m(
    low_a: Float64[np.ndarray, "2"],
    high_a: Float64[np.ndarray, "2"],
    low_b: Float64[np.ndarray, "2"],
    high_b: Float64[np.ndarray, "2"],
) -> float:
    gap = (low_a + high_a - low_b - high_b) / 2
    return float(np.hypot(gap[0], gap[1]))


def distance_to_box_m(
    xy_m: Float64[np.ndarray, "n 2"],
    low_m: Float64[np.ndarray, "2"],
    high_m: Float64[np.ndarray, "2"],
) -> Float64[np.ndarray, "n"]:
    """Return the distance of points to an upright box on the floor plan."""
    gap = np.maximum(np.maximum(low_m - xy_m, xy_m - high_m), 0.0)
    return np.hypot(gap[:, 0], gap[:, 1])


def stand_cells(
    occupancy: OccupancyMap,
    terrain: Terrain,
    low_m: Float64[np.ndarray, "2"],
    high_m: Float64[np.ndarray, "2"],
    stop_m: float,
) -> Int64[np.ndarray, "n 2"]:
    """Return planning cells within `stop_m` of a box from which it is not behind a wall.

    Where no cell has a line over known free floor (part of it was never seen), cells whose line
    crosses nothing known to stand there serve; and where there are none either (it stands behind
    others), those whose line crosses only what is lower than a wall.
    """
    low = np.maximum(terrain.cells((low_m - stop_m)[None])[0], 0)
    high = np.minimum(terrain.cells((high_m + stop_m)[None])[0] + 1, terrain.free.shape)
    if (high <= low).any():
        return np.empty((0, 2), dtype=np.int64)
    patch = np.s_[low[0] : high[0], low[1] : high[1]]
    cells = np.argwhere(terrain.passable[patch] & ~terrain.occupied[patch]) + low
    centers = terrain.centers_m(cells)
    gap_m = distance_to_box_m(centers, low_m, high_m)
    # What is inside the box is the object, however much of it no ray has met yet.
    near = (gap_m <= stop_m - 0.25 * terrain.cell_m) & (gap_m > INSIDE_M)
    cells, centers = cells[near], centers[near]
    if len(cells) == 0:
        return cells
    for wanted in lines_to_box(occupancy, centers, low_m, high_m):
        if wanted.any():
            return cells[wanted]
    return cells[:0]


class Lines(NamedTuple):
    """What lies on the shortest line from each point to a box, the strictest condition first.

    Attributes:
        over_free: Only floor that was seen free.
        unblocked: Nothing that is known to stand there; some of it may be unseen.
        over_low: No wall and no doorway; low things may stand there.
    """

    over_free: Bool[np.ndarray, "n"]
    unblocked: Bool[np.ndarray, "n"]
    over_low: Bool[np.ndarray, "n"]


def lines_to_box(
    occupancy: OccupancyMap,
    xy_m: Float64[np.ndarray, "n 2"],
    low_m: Float64[np.ndarray, "2"],
    high_m: Float64[np.ndarray, "2"],
) -> Lines:
    """Return what lies between points and an upright box.

    A line that passes below a lintel leaves the room: it is neither free nor unblocked.
    """
    nearest = np.clip(xy_m, low_m, high_m)
    share = np.linspace(0.0, 1.0, LINE_SAMPLES)[:, None]
    points = (xy_m[:, None] + share * (nearest - xy_m)[:, None]).reshape(-1, 2)
    cells = np.clip(occupancy.cells(points), 0, occupancy.num_cells - 1)
    i, j = cells[:, 0], cells[:, 1]
    at_object = distance_to_box_m(points, low_m, high_m) <= TOUCH_M
    log_odds, tall = occupancy.log_odds[i, j], occupancy.lintels[i, j]
    is_free, is_blocked = log_odds < 0, log_odds > 0
    shape = (len(xy_m), LINE_SAMPLES)
    doorway = (tall & is_free).reshape(shape).any(axis=1)
    blocked = (is_blocked & ~at_object).reshape(shape).any(axis=1)
    free = (is_free | at_object).reshape(shape).all(axis=1)
    wall = (tall & ~at_object).reshape(shape).any(axis=1)
    return Lines(free & ~blocked & ~doorway, ~blocked & ~doorway, ~wall & ~doorway)
