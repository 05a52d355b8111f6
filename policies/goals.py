"""From a goal to the things that the body may go for, and the choice among them.

Axis letters: n points or cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from policies.geodesic import Field, Terrain
from policies.occupancy import OccupancyMap
from policies.standing import stand_cells
from policies.why import MAX_OTHERS, Option

SAME_M = 0.3
"""A sighting this close to a slot's box is that slot."""
LIKELIER = 0.02
"""Chances closer than this are told as equal."""
MISS_COST_M = 6.0
"""Price of going to an object that turns out to be gone, as a way to drive."""
KEEP_M = 0.5
PAST_STOP_M = 1.5
"""A place where something stood before is looked at from within this range."""


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
        state: Of the slot; "seen" for something that has no slot yet, "past" for a place where
            such a thing stood before.
        age_s: The same as `steps_ago`, in seconds.
    """

    label: str
    slot_id: int | None
    low_m: Float64[np.ndarray, "2"]
    high_m: Float64[np.ndarray, "2"]
    chance: float
    steps_ago: int
    state: str
    age_s: float = 0.0

    @property
    def name(self) -> str:
        """How the log calls it."""
        if self.state == "past":
            x, y = self.middle_m
            return f"the place of a {self.label} at ({x:.1f}, {y:.1f})"
        return f"{self.label} #{self.slot_id}" if self.slot_id else f"{self.label} (new)"

    @property
    def middle_m(self) -> Float64[np.ndarray, "2"]:
        """Middle of its box."""
        return (self.low_m + self.high_m) / 2

    @property
    def kind(self) -> Literal["slot", "seen", "past"]:
        """What kind of option it is."""
        if self.state == "past":
            return "past"
        return "seen" if self.slot_id is None else "slot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The candidate to go for, where to stand, why this one, and what else there was."""

    candidate: Candidate
    stand_cells: Int64[np.ndarray, "n 2"]
    nearest_cell: Int64[np.ndarray, "2"]
    distance_m: float
    reason: str
    option: Option
    others: tuple[Option, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Priced:
    candidate: Candidate
    cells: Int64[np.ndarray, "n 2"]
    best: int
    distance_m: float
    price_m: float
    bonus_m: float

    def option(self, note: str = "") -> Option:
        return option_of(self.candidate, self.distance_m, self.price_m, note)


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
    priced: list[_Priced] = []
    unreachable = []
    for candidate in candidates:
        near_m = max(stop_m, PAST_STOP_M) if candidate.kind == "past" else stop_m
        cells = stand_cells(occupancy, terrain, candidate.low_m, candidate.high_m, near_m)
        distances = from_body.at_cells(cells)
        if len(cells) == 0 or not np.isfinite(distances).any():
            unreachable.append(candidate)
            continue
        best = int(np.argmin(distances))
        distance_m = float(distances[best])
        priced.append(
            _Priced(
                candidate=candidate,
                cells=cells,
                best=best,
                distance_m=distance_m,
                price_m=distance_m + (1.0 - candidate.chance) * MISS_COST_M,
                bonus_m=KEEP_M if keep is not None and is_same(candidate, keep) else 0.0,
            )
        )
    if not priced:
        return None, unreachable
    priced.sort(key=lambda item: item.price_m - item.bonus_m)
    first, rest = priced[0], priced[1:]
    others = [item.option(_why_not(item, first)) for item in rest[:MAX_OTHERS]]
    others += [option_of(c, None, None, "there is no way to it") for c in unreachable]
    choice = Choice(
        candidate=first.candidate,
        stand_cells=first.cells,
        nearest_cell=first.cells[first.best],
        distance_m=first.distance_m,
        reason=_reason(first, rest),
        option=first.option(),
        others=tuple(others[:MAX_OTHERS]),
    )
    return choice, unreachable


def option_of(
    candidate: Candidate, distance_m: float | None, price_m: float | None, note: str = ""
) -> Option:
    """Return a candidate as what an explanation shows."""
    x, y = candidate.middle_m
    return Option(
        kind=candidate.kind,
        name=candidate.name,
        xy_m=(float(x), float(y)),
        distance_m=distance_m,
        price_m=price_m,
        chance=candidate.chance,
        slot_id=candidate.slot_id,
        age_s=candidate.age_s,
        note=note,
    )


def _why_not(item: _Priced, first: _Priced) -> str:
    """Return why an alternative was not chosen."""
    farther_m = item.distance_m - first.distance_m
    likely = f"{item.candidate.chance:.0%} against {first.candidate.chance:.0%}"
    if item.price_m < first.price_m:
        return "hardly cheaper, and the other was in hand"
    less = item.candidate.chance < first.candidate.chance - LIKELIER
    if farther_m >= 0.05:
        return f"{farther_m:.1f} m farther" + (f" and less likely there ({likely})" if less else "")
    if not less:
        return "as near and as likely"
    nearer = f"{-farther_m:.1f} m nearer" if farther_m <= -0.05 else "as near"
    return f"{nearer}, but less likely there ({likely})"


def _reason(first: _Priced, rest: Sequence[_Priced]) -> str:
    candidate, distance_m = first.candidate, first.distance_m
    if candidate.kind == "past":
        text = f"{candidate.name}: it stood there before, {distance_m:.1f} m of way"
    elif candidate.steps_ago <= 1:
        text = f"{candidate.name} is in view, {distance_m:.1f} m of way"
    elif candidate.slot_id is None:
        text = f"{candidate.name} seen {candidate.steps_ago} steps ago, {distance_m:.1f} m of way"
    else:
        text = (
            f"{candidate.name} remembered {distance_m:.1f} m away, "
            f"seen {candidate.steps_ago} steps ago"
        )
    if not rest:
        return text
    other = rest[0]
    if other.distance_m > distance_m:
        return f"{text}; nearer than {other.candidate.name}"
    if other.candidate.chance >= candidate.chance - LIKELIER:
        return f"{text}; {other.candidate.name} is as near and as likely"
    chances = f"{candidate.chance:.0%} against {other.candidate.chance:.0%}"
    return f"{text}; surer than {other.candidate.name} ({chances})"


def box_gap_m(
    low_a: Float64[np.ndarray, "2"],
    high_a: Float64[np.ndarray, "2"],
    low_b: Float64[np.ndarray, "2"],
    high_b: Float64[np.ndarray, "2"],
) -> float:
    """Return the distance between two upright boxes on the floor plan, 0 if they overlap."""
    gap = np.maximum(np.maximum(low_a - high_b, low_b - high_a), 0.0)
    return float(np.hypot(gap[0], gap[1]))


def is_same(a: Candidate, b: Candidate) -> bool:
    """Return whether two candidates are the same thing."""
    if a.slot_id is not None and a.slot_id == b.slot_id:
        return True
    return middle_gap_m(a.low_m, a.high_m, b.low_m, b.high_m) < SAME_M


def is_at_one_place(a: Candidate, b: Candidate) -> bool:
    """Return whether a look at one candidate is a look at the other, too."""
    return is_same(a, b) or box_gap_m(a.low_m, a.high_m, b.low_m, b.high_m) < SAME_M


def middle_gap_m(
    low_a: Float64[np.ndarray, "2"],
    high_a: Float64[np.ndarray, "2"],
    low_b: Float64[np.ndarray, "2"],
    high_b: Float64[np.ndarray, "2"],
) -> float:
    """Return the distance between the middles of two boxes on the floor plan."""
    gap = (low_a + high_a - low_b - high_b) / 2
    return float(np.hypot(gap[0], gap[1]))
