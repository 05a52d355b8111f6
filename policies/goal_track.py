"""What was learned about one object goal while it was pursued: sightings and disappointments.

Axis letters: n points.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from memory.frames import wrap_rad
from memory.records import Detection, Slot, SlotState
from policies.goals import SAME_M, Candidate, box_gap_m, middle_gap_m
from policies.why import MAX_REFUSED, Refused
from policies.words import same_thing

JOIN_M = 0.12
"""Two sightings this close are the same thing, seen from elsewhere."""
NEAR_SIGHTING_M = 2.5
"""A sighting from within this range counts for verification."""
KEPT_BOXES = 9
"""Sightings that the box of one thing is judged by: it is right if most of them are."""
FEW_BOXES = 3
"""With fewer, what the memory has is the better box."""
KEPT_NEAR = 128
"""Sightings from close by that are kept of one thing."""
MAX_VISITS = 2
"""Visits to one place for one goal before it is given up for good."""
VIEW_APART_M = 0.25
VIEW_APART_RAD = 0.3
"""Two looks are two views if the body moved or turned so far between them."""
CERTAIN_SCORE = 0.95
"""A detector that is this sure needs no second viewpoint."""
CERTAIN_CHANCE = 0.9
"""What the memory is this sure of needs none either."""
LASTS_STEPS = 14
"""An error of a detector goes on for a second or two; what is seen for longer is there."""
MIN_VOTE = 0.25
"""Share of its votes with which something that is called otherwise may be what is looked for."""


class NearLook(NamedTuple):
    """A sighting from close by: when, from where, how sure, how far from the body its box was."""

    step: int
    x_m: float
    y_m: float
    yaw_rad: float
    score: float
    gap_m: float


@dataclass(slots=True, kw_only=True)
class Sighting:
    """Something with the goal's label that the body saw itself since the goal was given."""

    low_m: Float64[np.ndarray, "2"]
    high_m: Float64[np.ndarray, "2"]
    last_step: int
    num_seen: int
    boxes_m: list[Float64[np.ndarray, "2 2"]] = field(default_factory=list)
    """Its corners in the latest sightings."""
    near: list[NearLook] = field(default_factory=list)
    against: list[int] = field(default_factory=list)
    """Steps in which it was called something else from close by."""

    @property
    def box_m(self) -> Float64[np.ndarray, "2 2"]:
        """Lower and upper corner as most of the latest sightings have it."""
        middle: Float64[np.ndarray, "2 2"] = np.median(self.boxes_m, axis=0)
        return middle


class GoalTrack:
    """Sightings, disappointments and what was ruled out, of one object goal.

    Args:
        label: Category.
        also: Other labels that mean the same.
        means: Tells whether two words name the same thing.
    """

    def __init__(
        self,
        label: str,
        also: Sequence[str] = (),
        means: Callable[[str, str], bool] = same_thing,
    ) -> None:
        self.label = label
        self.sightings: list[Sighting] = []
        self.refused: list[Refused] = []
        self._means = means
        self._is_goal = dict.fromkeys((label, *also), True)
        self._refused: list[tuple[int | None, Float64[np.ndarray, "2"], int]] = []

    @property
    def num_refused(self) -> int:
        """Places that turned out not to hold the object."""
        return len(self._refused)

    @property
    def names(self) -> list[str]:
        """Labels that are known to mean the goal."""
        return [label for label, is_goal in self._is_goal.items() if is_goal]

    def is_goal(self, label: str) -> bool:
        """Return whether a label names what is looked for."""
        known = self._is_goal.get(label)
        if known is None:
            known = self._is_goal[label] = self._means(self.label, label)
        return known

    def see(
        self,
        detections: Sequence[Detection],
        step: int,
        pose: Float64[np.ndarray, "3"] | None = None,
    ) -> bool:
        """Note what has the goal's label; return whether something new came into view.

        Args:
            detections: What is seen.
            step: Now.
            pose: x_m, y_m, yaw_rad of the body; without it all looks are from one place.
        """
        is_new = False
        x, y, yaw = (0.0, 0.0, 0.0) if pose is None else (float(v) for v in pose)
        free = list(self.sightings)  # one image shows each thing once
        for d in detections:
            if not self.is_goal(d.label):
                continue
            low, high = (d.xyz_m - d.extent_m / 2)[:2], (d.xyz_m + d.extent_m / 2)[:2]
            match = [s for s in free if box_gap_m(low, high, s.low_m, s.high_m) < JOIN_M]
            if match:
                s = min(match, key=lambda s: middle_gap_m(low, high, s.low_m, s.high_m))
                free = [other for other in free if other is not s]
                s.low_m, s.high_m = np.minimum(s.low_m, low), np.maximum(s.high_m, high)
                s.last_step, s.num_seen = step, s.num_seen + 1
            else:
                s = Sighting(low_m=low, high_m=high, last_step=step, num_seen=1)
                self.sightings.append(s)
                is_new = True
            s.boxes_m = [*s.boxes_m[1 - KEPT_BOXES :], np.stack([low, high])]
            if d.range_m <= NEAR_SIGHTING_M:
                gap = np.maximum(np.maximum(low - (x, y), (x, y) - high), 0.0)
                look = NearLook(step, x, y, yaw, d.score, float(np.hypot(*gap)))
                s.near = [*s.near[1 - KEPT_NEAR :], look]
        if free:
            self._note_other_names(detections, step, free)
        return is_new

    def _note_other_names(
        self, detections: Sequence[Detection], step: int, unseen: Sequence[Sighting]
    ) -> None:
        """Note what is called otherwise now where something with the goal's label was seen."""
        for d in detections:
            if self.is_goal(d.label) or d.range_m > NEAR_SIGHTING_M or d.touches_border:
                continue
            low, high = (d.xyz_m - d.extent_m / 2)[:2], (d.xyz_m + d.extent_m / 2)[:2]
            for s in unseen:
                size, other = np.maximum(s.high_m - s.low_m, 0.1), np.maximum(high - low, 0.1)
                alike = bool((np.maximum(size / other, other / size) < 1.6).all())
                if alike and middle_gap_m(low, high, s.low_m, s.high_m) < SAME_M / 2:
                    s.against = [*s.against[1 - KEPT_NEAR :], step]

    def near_sightings(self, candidate: Candidate, since_step: int) -> int:
        """Return how often the candidate was seen from close by since a step."""
        return len(self._near(candidate, since_step))

    def views(self, candidate: Candidate, since_step: int) -> int:
        """Return from how many viewpoints it was seen from close by since a step."""
        apart: list[NearLook] = []
        for look in self._near(candidate, since_step):
            if all(
                math.hypot(look.x_m - a.x_m, look.y_m - a.y_m) >= VIEW_APART_M
                or abs(wrap_rad(look.yaw_rad - a.yaw_rad)) >= VIEW_APART_RAD
                for a in apart
            ):
                apart.append(look)
        return len(apart)

    def is_certain(self, candidate: Candidate, since_step: int) -> bool:
        """Return whether the detector is so sure that it needs no second look."""
        looks = self._near(candidate, since_step)
        return bool(looks) and min(look.score for look in looks) >= CERTAIN_SCORE

    def lasts(self, candidate: Candidate, since_step: int, within_m: float) -> bool:
        """Return whether it was seen from close by for longer than a detector errs in one go.

        Args:
            candidate: What is looked at.
            since_step: Older sightings do not count.
            within_m: It must have been seen this near to the body, whatever its remembered box.
        """
        looks = self._near(candidate, since_step)
        steps = [look.step for look in looks]
        is_here = sum(look.gap_m <= within_m for look in looks) >= 2
        return is_here and max(steps) - min(steps) >= LASTS_STEPS

    def doubt(self, candidate: Candidate, since_step: int) -> float:
        """Return the share of looks from close by that called it something else, 0 to 1."""
        against = sum(s >= since_step for own in self._at(candidate) for s in own.against)
        total = against + self.near_sightings(candidate, since_step)
        return against / total if total else 0.0

    def _at(self, candidate: Candidate) -> list[Sighting]:
        low, high = candidate.low_m, candidate.high_m
        return [s for s in self.sightings if box_gap_m(low, high, s.low_m, s.high_m) < SAME_M]

    def _near(self, candidate: Candidate, since_step: int) -> list[NearLook]:
        return [n for s in self._at(candidate) for n in s.near if n.step >= since_step]

    def refuse(self, candidate: Candidate, step: int, why: str = "it was not there") -> None:
        """Remember that the object was not there, and forget older sightings at that place."""
        self._refused.append((candidate.slot_id, candidate.middle_m, step))
        self.refused = [
            *self.refused[1 - MAX_REFUSED :],
            Refused(name=candidate.name, reason=f"{why} (step {step})"),
        ]
        gone = {id(s) for s in self._at(candidate)}
        self.sightings = [s for s in self.sightings if id(s) not in gone]

    def is_refused(self, candidate: Candidate, step: int) -> bool:
        """Return whether a candidate disappointed before and was not seen again since."""
        at_place = [
            refused_step
            for slot_id, middle, refused_step in self._refused
            if (slot_id is not None and slot_id == candidate.slot_id)
            or float(np.hypot(*(middle - candidate.middle_m))) < SAME_M
        ]
        if len(at_place) >= MAX_VISITS or (at_place and candidate.kind == "past"):
            return True
        return bool(at_place) and step - candidate.steps_ago <= max(at_place)

    def candidates(
        self,
        slots: Sequence[Slot],
        stamp_ns: int,
        tick_s: float,
        step: int,
        *,
        shares: dict[int, float] | None = None,
    ) -> list[Candidate]:
        """Return where the object may be: remembered slots and own sightings, refused ones out.

        Args:
            slots: Remembered objects.
            stamp_ns: Now.
            tick_s: Duration of a step.
            step: Now.
            shares: Share of the label votes for the goal, of slots that are called otherwise.
        """
        found = [
            self._of_slot(slot, stamp_ns, tick_s, step, (shares or {}).get(slot.slot_id, 1.0))
            for slot in slots
            if slot.state != SlotState.ARCHIVED
        ]
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
                    age_s=(step - s.last_step) * tick_s,
                )
            )
        return [c for c in found if not self.is_refused(c, step)]

    def _of_slot(
        self, slot: Slot, stamp_ns: int, tick_s: float, step: int, share: float
    ) -> Candidate:
        low, high = (slot.xyz_m - slot.extent_m / 2)[:2], (slot.xyz_m + slot.extent_m / 2)[:2]
        # Seen twenty times as something else and once as the goal, it hardly is the goal.
        votes = sum(slot.votes.values())
        if share == 1.0 and votes > 0:
            share = sum(score for name, score in slot.votes.items() if self.is_goal(name)) / votes
        chance = share / (1.0 + math.exp(-slot.existence))
        if slot.state == SlotState.TENTATIVE:
            chance *= 0.8
        elif slot.last_seen_ns - slot.first_seen_ns < LASTS_STEPS * tick_s * 1e9:
            chance *= 0.85
        age_s = max(0, stamp_ns - slot.last_seen_ns) / 1e9
        near = [s for s in self.sightings if box_gap_m(low, high, s.low_m, s.high_m) < SAME_M]
        own = min(near, key=lambda s: middle_gap_m(low, high, s.low_m, s.high_m), default=None)
        steps_ago = step - own.last_step if own else round(age_s / tick_s)
        return Candidate(
            label=self.label if self.is_goal(slot.label) else slot.label,
            slot_id=slot.slot_id,
            low_m=own.box_m[0] if own and len(own.boxes_m) >= FEW_BOXES else low,
            high_m=own.box_m[1] if own and len(own.boxes_m) >= FEW_BOXES else high,
            chance=chance,
            steps_ago=steps_ago,
            state=str(slot.state),
            age_s=steps_ago * tick_s if own else age_s,
        )
