"""What a memory knows of a category beyond what is there: old places, and company."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from box_drive import Drive, two_rooms
from fakes_policies import Box, FixedSlots, fake_slot

from memory.objects.changes import Change, ChangeKind
from memory.records import ObjectGoal, Slot, SlotState
from policies.past import Company, past_places
from policies.protocols import PastSource
from policies.semantics import worth_heeding


class Memory(FixedSlots):
    """Slots with a past."""

    def __init__(
        self,
        slots: Sequence[Slot],
        changes: Sequence[Change] = (),
        voted: Sequence[tuple[Slot, float]] = (),
    ) -> None:
        super().__init__(slots)
        self._changes, self._voted = list(changes), list(voted)

    def slots(self, label: str | None = None, *, archived: bool = False) -> list[Slot]:
        found = super().slots(label)
        return [s for s in found if archived or s.state != SlotState.ARCHIVED]

    def changes(self, since: int = 0) -> list[Change]:
        return self._changes

    def near(self, xy_m: tuple[float, float], radius_m: float) -> list[Slot]:
        return [s for s in self.all if np.hypot(*(s.xyz_m[:2] - xy_m)) <= radius_m]

    def voted(self, label: str) -> list[tuple[Slot, float]]:
        return self._voted


def gone(slot_id: int, label: str, x: float, y: float) -> Slot:
    return replace(fake_slot(slot_id, label, (x, y, 0.4)), state=SlotState.ARCHIVED)


def moved(slot_id: int, x: float, y: float, step: int = 5) -> Change:
    return Change(
        event_id=step,
        step=step,
        stamp_ns=step,
        kind=ChangeKind.MOVED,
        slot_id=slot_id,
        label="chair",
        xyz_m=np.array([9.0, 9.0, 0.0]),
        from_xyz_m=np.array([x, y, 0.0]),
    )


def test_old_places_are_where_it_was_given_up_or_left_and_does_not_stand_now() -> None:
    here = fake_slot(1, "chair", (1.0, 1.0, 0.4))
    memory = Memory(
        [here, gone(2, "chair", 5.0, 1.0), gone(3, "table", 3.0, 3.0)],
        [moved(1, 2.0, 3.0), moved(1, 1.1, 1.0), moved(77, 6.0, 6.0)],
    )
    assert isinstance(memory, PastSource)
    found = past_places(memory, ["chair"], 10, 0.2)
    places = {tuple(c.middle_m.round(1)) for c in found}
    # Not where it stands now, nor what a forgotten slot did.
    assert places == {(5.0, 1.0), (2.0, 3.0)}
    assert all(0 < c.chance < 0.5 and c.kind == "past" for c in found)
    (here,) = past_places(memory, ["chair"], 10, 0.2, lambda xy_m: bool(xy_m[0] < 4))
    assert tuple(here.middle_m) == (2.0, 3.0)


def test_a_place_where_it_stood_again_and_again_is_likelier() -> None:
    habit = [moved(1, 2.0, 3.0, step) for step in range(1, 7)]
    memory = Memory([fake_slot(1, "chair", (1.0, 1.0, 0.4))], [*habit, moved(1, 6.0, 3.0, 9)])
    first, second = past_places(memory, ["chair"], 10, 0.2)
    assert tuple(first.middle_m) == (2.0, 3.0)
    assert first.chance > second.chance


def test_a_memory_without_a_past_says_nothing() -> None:
    assert past_places(FixedSlots([fake_slot(1, "chair", (1, 1, 0))]), ["chair"], 9, 0.2) == []


def test_company_is_learned_from_this_memory_and_has_no_prior() -> None:
    slots = [
        gone(1, "chair", 0.0, 0.0),
        fake_slot(2, "table", (1.0, 0.0, 0.4)),
        fake_slot(3, "table", (10.0, 0.0, 0.4)),
        fake_slot(4, "bed", (20.0, 0.0, 0.4)),
    ]
    memory = Memory(slots)
    frontiers = np.array([[10.5, 1.0], [20.0, 1.0], [30.0, 0.0]])
    values = Company(memory, ["chair"], [np.array([0.0, 0.0])]).values(frontiers)
    np.testing.assert_allclose(values, [1.0, 0.0, 0.0])
    assert not Company(memory, ["ball"], []).values(frontiers).any()


def test_semantics_are_heeded_only_where_they_tell_frontiers_apart() -> None:
    near = np.array([1.0, 2.0, 3.0])
    assert worth_heeding(np.array([0.5, 0.5, 0.5]), near) is None
    assert worth_heeding(np.array([0.0, 0.0, 0.0]), near) is None
    assert worth_heeding(np.array([0.50, 0.55, 0.52]), near) is None
    assert worth_heeding(np.array([1.0]), near[:1]) is None
    heeded = worth_heeding(np.array([0.0, 0.9, 0.1]), near)
    assert heeded is not None
    assert heeded.tolist() == [False, True, False]
    # Not at any price.
    assert worth_heeding(np.array([0.0, 0.9, 0.1]), np.array([1.0, 9.0, 2.0])) is None


PLANT = Box(7.0, 3.2, 7.4, 3.6, top_m=0.9, label="plant")


def test_an_object_that_is_back_where_it_stood_is_found_there_first() -> None:
    """It was given up upper right; what is behind the door was not seen yet."""
    memory = Memory([gone(4, "plant", 7.2, 3.4)])
    drive = Drive([*two_rooms(), PLANT], [1.0, 1.0, 2.0], memory)
    last = drive.run(ObjectGoal(goal_id="g", label="plant"), 120)
    assert last.done
    first = next(d for d in drive.decisions if d.why is not None)
    assert first.why is not None
    assert first.why.chosen.kind == "past"
    assert "stood there before" in first.reason
    assert drive.world.path_m < 1.2 * 6.0


def test_an_old_place_that_is_empty_is_left_after_a_look_and_not_tried_again() -> None:
    memory = Memory([gone(4, "plant", 7.0, 0.6)])
    drive = Drive([*two_rooms(), PLANT], [5.0, 2.0, 0.0], memory)
    drive.world.blind_to = {len(two_rooms())}
    last = drive.run(ObjectGoal(goal_id="g", label="plant"), 300)
    assert "no plant found" in last.failed
    past = [d for d in drive.decisions if d.why is not None and d.why.chosen.kind == "past"]
    steps = [i for i, d in enumerate(drive.decisions) if any(d is p for p in past)]
    assert steps == list(range(steps[0], steps[0] + len(steps)))  # one visit
    refused = [item for d in drive.decisions if d.why for item in d.why.refused]
    assert any("no plant stands there now" in item.reason for item in refused)


def test_what_is_mostly_called_otherwise_is_tried_when_nothing_else_is_known() -> None:
    called = replace(fake_slot(9, "lamp", (7.2, 3.4, 0.4)), votes={"lamp": 6.0, "plant": 4.0})
    memory = Memory([called], voted=[(called, 0.4)])
    drive = Drive([*two_rooms(), PLANT], [1.0, 1.0, 2.0], memory)
    last = drive.run(ObjectGoal(goal_id="g", label="plant"), 120)
    assert last.done
    first = next(d.why.chosen for d in drive.decisions if d.why is not None)
    assert (first.slot_id, first.name) == (9, "lamp #9")
    assert first.chance is not None
    assert first.chance < 0.45
