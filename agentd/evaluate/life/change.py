"""What happens in a home between two phases, and when the camera first shows it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from agentd.evaluate.life.place import HomePlace
from agentd.evaluate.life.rows import Vain
from agentd.evaluate.life.scenario import Phase
from agentd.evaluate.sight import CLEAR_M, CLEAR_PX, place_in_sight
from agentd.evaluate.slot_changes import Claim, Fact, FactKind, is_at
from agentd.evaluate.slots import MATCH_M
from agentd.worlds.oracle import TrueObject
from configs.worlds import ScenarioAction, ScenarioEvent
from memory.records import BodySpec, Detection, Observation

_DIM_LEVEL = 0.2
_SHOWN_S, _KNOWN_S = 1.0, 2.2
"""A fact counts as shown after so long in clear view, and a thing as known before after so long."""


@dataclass(slots=True)
class _Pending:
    kind: FactKind
    thing: TrueObject
    step: int
    known: bool
    frames: int = 0
    visible_step: int | None = None


class Facts:
    """What really changed, and the step at which the camera had shown it clearly.

    What was moved by less than a sighting is off is no fact. That something went may be claimed by
    any robot, but is expected only of one that was shown that it was there.
    """

    def __init__(self, spec: BodySpec) -> None:
        self._spec = spec
        self._shown_frames = math.ceil(_SHOWN_S / spec.tick_s)
        self._known_frames = math.ceil(_KNOWN_S / spec.tick_s)
        self._pending: list[_Pending] = []
        self._shown: dict[str, list[Float64[np.ndarray, "3"]]] = {}

    def note(
        self,
        before: Mapping[int, TrueObject],
        after: Mapping[int, TrueObject],
        offset_m: Float64[np.ndarray, "3"],
        step: int,
    ) -> set[int]:
        """Take in what changed in a home; return the objects that were moved.

        Args:
            before: Objects by their id, in the house's frame.
            after: The same, afterwards.
            offset_m: Place of that frame in the world frame.
            step: Step of the life.
        """
        moved = set()
        for number in sorted(before.keys() | after.keys()):
            old, new = before.get(number), after.get(number)
            if old is not None and new is not None:
                if np.linalg.norm(old.xyz_m - new.xyz_m) < MATCH_M:
                    continue
                moved.add(number)
            for kind, thing in ((FactKind.GONE, old), (FactKind.CAME, new)):
                if thing is None:
                    continue
                there = replace(thing, xyz_m=thing.xyz_m + offset_m)
                known = kind is FactKind.CAME or self._was_shown(there)
                self._pending.append(_Pending(kind, there, step, known))
        return moved

    def _was_shown(self, thing: TrueObject) -> bool:
        places = self._shown.get(thing.label, [])
        frames = sum(is_at(place, thing.xyz_m, thing.extent_m) for place in places)
        return frames >= self._known_frames

    def why_vain(self, label: str, xy_m: Float64[np.ndarray, "2"], begun_step: int) -> Vain:
        """Return why nothing of a category stands at a place that a goal led to.

        Args:
            label: The category.
            xy_m: The place, world frame.
            begun_step: Step at which the goal was given.
        """
        why: Vain = "misnamed"
        for fact in self._pending:
            thing = fact.thing
            if fact.kind is not FactKind.GONE or thing.label != label:
                continue
            if is_at(np.append(xy_m, thing.xyz_m[2]), thing.xyz_m, thing.extent_m):
                if fact.visible_step is not None and fact.visible_step < begun_step:
                    return "shown"
                why = "unforeseen"
        return why

    def look(self, observation: Observation, seen: Sequence[Detection], step: int) -> None:
        """Note what an observation shows.

        Args:
            observation: As sensed, without the detector's errors.
            seen: What perfect masks show in it.
            step: Step of the life.
        """
        clear = [d for d in seen if d.num_px >= CLEAR_PX and d.range_m <= CLEAR_M[1]]
        for d in clear:
            self._shown.setdefault(d.label, []).append(d.xyz_m)
        for fact in self._pending:
            if fact.visible_step is None and self._shows(fact, observation, clear):
                fact.frames += 1
                if fact.frames >= self._shown_frames:
                    fact.visible_step = step

    def _shows(self, fact: _Pending, observation: Observation, clear: Sequence[Detection]) -> bool:
        if fact.kind is FactKind.GONE:
            return place_in_sight(observation, self._spec, fact.thing)
        thing = fact.thing
        return any(
            d.label == thing.label and is_at(d.xyz_m, thing.xyz_m, thing.extent_m) for d in clear
        )

    def facts(self) -> list[Fact]:
        """Return everything that happened; what nobody could know of counts as not shown."""
        return [
            Fact(
                kind=f.kind,
                label=f.thing.label,
                xyz_m=f.thing.xyz_m,
                step=f.step,
                visible_step=f.visible_step if f.known else None,
                extent_m=f.thing.extent_m,
            )
            for f in self._pending
        ]


def without_discoveries(
    claims: Sequence[Claim], before: Sequence[Claim], unchanged: Sequence[TrueObject]
) -> list[Claim]:
    """Return the claims of change, without first sightings of what stood there all along.

    Of each unchanged thing that was not known before one claim is left out, the first: that it came
    is no claim of a change, that it came again is a false one.

    Args:
        claims: What the memory's log says since the change.
        before: What it said until then.
        unchanged: Objects that nothing happened to, in the world frame.
    """

    def is_of(claim: Claim, thing: TrueObject) -> bool:
        at = is_at(claim.xyz_m, thing.xyz_m, thing.extent_m)
        return claim.kind is FactKind.CAME and claim.label == thing.label and at

    unknown = [t for t in unchanged if not any(is_of(claim, t) for claim in before)]
    kept = []
    for claim in claims:
        found = next((thing for thing in unknown if is_of(claim, thing)), None)
        if found is None:
            kept.append(claim)
        else:
            unknown.remove(found)
    return kept


def objects_by_id(home: HomePlace) -> dict[int, TrueObject]:
    """Return what stands in a home."""
    return {thing.object_id: thing for thing in home.oracle.objects()}


def change_home(home: HomePlace, phase: Phase, rng: np.random.Generator) -> list[str]:
    """Make happen what comes before a phase; return what happened, in words.

    What is drawn depends on the generator and the home alone: the robot is put at the same place
    first, because things are not put down where it stands.
    """
    _park(home, rng)
    lines = [
        *_change_objects(home, phase, rng),
        *_several(home, "set_door", phase.doors_closed, 0.0, rng),
        *_several(home, "set_light", phase.lamps_dimmed, _DIM_LEVEL, rng),
    ]
    for event in phase.events:
        lines.append(home.changeable.happen(event, rng) or f"{event.action} could not happen")
    return lines


def _change_objects(home: HomePlace, phase: Phase, rng: np.random.Generator) -> list[str]:
    standing = sorted(objects_by_id(home))
    count = round(phase.share_changed * len(standing))
    chosen = [int(i) for i in rng.permutation(standing)[:count]]
    removed = set(chosen[: round(phase.share_removed * count)])
    lines = []
    for number in chosen:
        action: ScenarioAction = "remove_object" if number in removed else "move_object"
        event = ScenarioEvent(at_step=0, action=action, target=str(number))
        lines.append(home.changeable.happen(event, rng) or f"object {number} could not be moved")
    return lines


def _several(
    home: HomePlace, action: ScenarioAction, count: int, value: float, rng: np.random.Generator
) -> list[str]:
    """Make an event happen some times; a house without such a thing is left as it is."""
    lines = []
    for _ in range(count):
        try:
            line = home.changeable.happen(ScenarioEvent(at_step=0, action=action, value=value), rng)
        except ValueError as error:
            line = str(error)
        lines.append(line or f"{action} had to wait for the robot")
    return lines


def _park(home: HomePlace, rng: np.random.Generator) -> None:
    """Put the robot where it can reach most of the home."""
    true_map = home.oracle.true_map()
    cells = np.argwhere(true_map.navigable)
    x, y = (cells[int(rng.integers(len(cells)))] + 0.5) * true_map.cell_m
    x0, y0 = true_map.origin_m
    home.oracle.place(np.array([x + x0, y + y0, 0.0]))
