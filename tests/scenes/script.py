"""Scripts of what happens in a place, and what a memory makes of it.

A script is a list of phases: drive along poses, change the place, restart the memory. The place
knows the truth; the memory gets observations and detections, perfect or spoilt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from scenes.noise import Noise, Spoiler

from agentd.evaluate.sight import CLEAR_M, CLEAR_PX, place_in_sight
from agentd.evaluate.slot_changes import (
    ChangeScore,
    Fact,
    FactKind,
    claims_of,
    score_changes,
)
from agentd.evaluate.slot_tracks import TrackScore, TrackScorer, announced_same
from agentd.evaluate.slots import SlotScore, score_slots, stands_for
from agentd.worlds.oracle import TrueObject
from memory.config import ObjectConfig
from memory.objects.changes import Change, ChangeKind
from memory.objects.memory import SlotMemory
from memory.records import BodySpec, Observation, Slot, SlotState
from policies.config import PerceptionConfig
from policies.detectors.instances import InstanceDetector

PERCEPTION = PerceptionConfig()

FLUSH_EVERY = 5
"""Frames between two flushes, as the recorder's thread makes them."""


class Place(Protocol):
    """Where a script is played; it knows the truth."""

    spec: BodySpec

    def observe(self, pose: np.ndarray, step: int) -> tuple[Observation, dict[int, int]]:
        """Return what is seen from a pose, and the object of each instance in it."""
        ...

    def truth(self) -> list[TrueObject]:
        """Return the objects that are there."""
        ...

    def change(self, what: object) -> None:
        """Carry out a change."""
        ...


@dataclass(frozen=True, kw_only=True)
class Drive:
    """Look from a sequence of poses; `passing` puts something in the way of each of them."""

    poses: Sequence[np.ndarray]
    passing: Callable[[int], object] | None = None


@dataclass(frozen=True)
class Restart:
    """Close the memory and open it again from its folder."""


Phase = object
"""A Drive, a Restart, or anything that the place can change by."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a script.

    Attributes:
        slots: Confirmed slots at the end against what is there and was shown often enough.
        tracks: Identity and belief, over all frames.
        changes: Claims from the first change on (without one: after the first drive) against facts.
        num_false_doubts: Times that an object was doubted or archived while it stood there.
        moved_kept: Share of moved objects whose slot at the end is the one from before; NaN
            without any.
        memory: The memory as it is at the end.
        log: Everything that it announced.
    """

    slots: SlotScore
    tracks: TrackScore
    changes: ChangeScore
    num_false_doubts: int
    moved_kept: float
    memory: SlotMemory
    log: list[Change]


@dataclass
class _Pending:
    """A fact that the camera has not shown yet."""

    kind: FactKind
    thing: TrueObject
    step: int
    visible_step: int | None = None


class Play:
    """One run of a script.

    Args:
        place: Where; it is changed by the run.
        noise: What goes wrong.
        seed: Of what goes wrong.
        folder: Where the memory keeps its tables; None for RAM only.
    """

    def __init__(self, place: Place, noise: Noise, seed: int, folder: Path | None = None) -> None:
        self._place = place
        self._folder = folder
        self._detector = InstanceDetector(place.spec, PERCEPTION)
        labels = [thing.label for thing in place.truth()]
        self._spoiler = Spoiler(noise, place.spec, labels, seed)
        self._tracks = TrackScorer()
        self._facts: list[_Pending] = []
        self._moved: dict[int, int | None] = {}
        self._log: list[Change] = []
        self._num_false_doubts = 0
        self._num_shown: dict[int, int] = {}
        self._learned: int | None = None
        self._changed = False
        self.step = 0
        self.memory = self._open()

    def run(self, phases: Sequence[Phase]) -> Outcome:
        """Play all phases."""
        for phase in phases:
            if isinstance(phase, Drive):
                self._drive(phase)
            elif isinstance(phase, Restart):
                self.memory.flush()
                self.memory = self._open()
            else:
                self._change(phase)
        return self._outcome()

    def _open(self) -> SlotMemory:
        return SlotMemory(self._folder, ObjectConfig(), self._place.spec)

    def _drive(self, drive: Drive) -> None:
        for i, pose in enumerate(drive.poses):
            if drive.passing is not None:
                self._place.change(drive.passing(i))
            self._look(pose)
        self._learned = self.step if self._learned is None else self._learned

    def _look(self, pose: np.ndarray) -> None:
        clean, objects = self._place.observe(pose, self.step)
        self._note_visible(clean, objects)
        self._note_shown(clean, objects)
        observation, behind = self._spoiler.spoil(clean, objects)
        detections = self._detector.detect(observation)
        slots = self._by_id()
        ids = self.memory.update(observation, detections, self.step)
        slots = self._note_log(slots)
        if self.step % FLUSH_EVERY == 0:
            self.memory.flush()
            slots = self._note_log(slots)
        self._tracks.note_sightings([behind.get(d.instance) for d in detections], ids)
        self._tracks.note_beliefs(list(slots.values()), self._place.truth())
        self.step += 1

    def _by_id(self) -> dict[int, Slot]:
        return {slot.slot_id: slot for slot in self.memory.slots(archived=True)}

    def _note_log(self, before: dict[int, Slot]) -> dict[int, Slot]:
        """Take in what was announced since `before`; return the slots as they are now."""
        after = self._by_id()
        fresh = self.memory.changes(since=self._log[-1].event_id if self._log else 0)
        self._log += fresh
        for gone, heir in announced_same(before, after, fresh):
            self._tracks.note_same(gone, heir)
        doubted = [
            before[c.slot_id]
            for c in fresh
            if c.kind in (ChangeKind.SUSPECT, ChangeKind.ARCHIVED) and c.slot_id in before
        ]
        self._num_false_doubts += int(
            stands_for(doubted, self._place.truth()).any(axis=1).sum() if doubted else 0
        )
        return after

    def _change(self, what: object) -> None:
        if not self._changed:
            self._changed, self._learned = True, self.step
        before = {thing.object_id: thing for thing in self._place.truth()}
        self._place.change(what)
        after = {thing.object_id: thing for thing in self._place.truth()}
        for object_id in sorted(before.keys() | after.keys()):
            old, new = before.get(object_id), after.get(object_id)
            if old is not None and new is not None:
                if np.allclose(old.xyz_m, new.xyz_m):
                    continue
                self._moved[object_id] = self._tracks.last_slot(object_id)
            self._num_shown.pop(object_id, None)
            if old is not None:
                self._facts.append(_Pending(FactKind.GONE, old, self.step))
            if new is not None:
                self._facts.append(_Pending(FactKind.CAME, new, self.step))

    def _note_visible(self, clean: Observation, objects: dict[int, int]) -> None:
        for fact in self._facts:
            if fact.visible_step is not None:
                continue
            if fact.kind is FactKind.GONE:
                shown = place_in_sight(clean, self._place.spec, fact.thing)
            else:
                shown = _seen_clearly(clean, objects, fact.thing.object_id)
            if shown:
                fact.visible_step = self.step

    def _note_shown(self, clean: Observation, objects: dict[int, int]) -> None:
        assert clean.instances is not None
        numbers, counts = np.unique(clean.instances, return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            object_id = objects.get(number)
            if object_id is not None and count >= PERCEPTION.min_px:
                self._num_shown[object_id] = self._num_shown.get(object_id, 0) + 1

    def _shown(self) -> list[TrueObject]:
        """Return the objects that the camera showed often enough to be known."""
        enough = ObjectConfig().confirm_hits
        truth = self._place.truth()
        return [t for t in truth if self._num_shown.get(t.object_id, 0) >= enough]

    def _outcome(self) -> Outcome:
        slots = self._by_id()
        self.memory.flush()
        self._note_log(slots)
        confirmed = [s for s in self.memory.slots() if s.state is SlotState.CONFIRMED]
        facts = [
            Fact(
                kind=f.kind,
                label=f.thing.label,
                xyz_m=f.thing.xyz_m,
                step=f.step,
                visible_step=f.visible_step,
            )
            for f in self._facts
        ]
        kept = [
            was is not None and self._tracks.last_slot(i) == self._tracks.resolve(was)
            for i, was in self._moved.items()
        ]
        return Outcome(
            slots=score_slots(confirmed, self._shown()),
            tracks=self._tracks.score(),
            changes=score_changes(facts, claims_of(self._log, self._learned or 0)),
            num_false_doubts=self._num_false_doubts,
            moved_kept=float(np.mean(kept)) if kept else float("nan"),
            memory=self.memory,
            log=self._log,
        )


def _seen_clearly(observation: Observation, objects: dict[int, int], object_id: int) -> bool:
    assert observation.instances is not None
    numbers = [number for number, i in objects.items() if i == object_id]
    mask = np.isin(observation.instances, numbers)
    if mask.sum() < CLEAR_PX:
        return False
    return bool(np.nanmedian(observation.depth_m[mask]) <= CLEAR_M[1])
