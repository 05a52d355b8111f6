"""Verification, what is ruled out, and goals that cannot be reached: bounded and with reasons."""

from dataclasses import replace

import numpy as np
import pytest
from box_drive import Drive, two_rooms
from fakes_policies import Box, FixedSlots, fake_slot, room

from memory.records import Detection, ObjectGoal, Observation, PointGoal
from policies.find_object import FindObject
from policies.protocols import Decision, Mode

PLANT = Box(4.0, 1.8, 4.4, 2.2, top_m=0.9, label="plant")
GOAL = ObjectGoal(goal_id="g", label="plant")
SLOT_AFAR = fake_slot(3, "plant", (5.4, 3.4, 0.4))


def whys(drive: Drive) -> list[Decision]:
    """Return the decisions with which a new choice began."""
    new = []
    for d in drive.decisions:
        if d.why is not None and (not new or d.why is not new[-1].why):
            new.append(d)
    return new


def test_the_reasons_are_the_same_object_until_another_choice_is_made() -> None:
    slots = FixedSlots(
        [fake_slot(1, "plant", (4.2, 2.0, 0.4)), fake_slot(2, "plant", (5.6, 0.4, 0.4))]
    )
    drive = Drive([*room(6, 4), PLANT], [1.0, 2.0, 3.1], slots)
    last = drive.run(GOAL, 60)
    assert last.done
    going = [d for d in drive.decisions if d.why is not None]
    assert len({id(d.why) for d in going}) == 1
    why = going[0].why
    assert why is not None
    assert (why.chosen.name, why.others[0].name) == ("plant #1", "plant #2")


class Unsure:
    """A detector that is never quite sure."""

    def __init__(self, drive: Drive) -> None:
        self._detector = drive.detector

    def detect(self, observation: Observation) -> list[Detection]:
        return [replace(d, score=0.6) for d in self._detector.detect(observation)]


@pytest.mark.parametrize(("unsure", "remembered"), [(True, False), (True, True), (False, False)])
def test_what_neither_detector_nor_memory_is_sure_of_is_seen_from_a_second_place(
    unsure: bool, remembered: bool
) -> None:
    """It stands right beside it: only another place gives another view."""
    slots = [fake_slot(1, "plant", (4.2, 2.0, 0.4))] if remembered else []
    drive = Drive([*room(6, 4), PLANT], [3.3, 2.0, 0.0], FixedSlots(slots))
    if unsure:
        drive.detector = Unsure(drive)
    drive.run(None, 40, until=lambda d: d.mode != Mode.INITIALISE)
    drive.world.pose[:] = (3.3, 2.0, 0.0)
    drive.observation = drive.world.observe()
    drive.decisions.clear()
    drive.world.path_m = 0.0
    last = drive.run(GOAL, 80)
    assert last.done
    moved_on = any("from a second place" in d.reason for d in drive.decisions)
    assert moved_on == (unsure and not remembered)
    assert drive.world.path_m < 1.5
    if moved_on:
        assert drive.world.path_m > 0.2
        assert int(last.reason.split("from ")[-1].split(" viewpoints")[0]) >= 2


def test_an_object_behind_walls_fails_with_its_name_once_all_is_explored() -> None:
    cell = [Box(4.2, 0.0, 4.3, 1.9), Box(4.2, 1.8, 6.0, 1.9)]
    slots = FixedSlots([fake_slot(5, "plant", (5.4, 0.8, 0.4))])
    drive = Drive([*room(6, 3.5), *cell], [1.0, 2.0, 0.0], slots)
    last = drive.run(GOAL, 200)
    assert "there is no way to plant #5" in last.failed
    assert Mode.REVISIT not in drive.modes()
    assert (last.action.v_mps, last.action.w_radps) == (0.0, 0.0)


def test_what_was_ruled_out_stays_so_when_the_goal_gave_way_and_comes_back() -> None:
    slots = FixedSlots([fake_slot(3, "plant", (7.0, 0.6, 0.45))])
    drive = Drive(two_rooms(), [5.5, 2.0, 0.0], slots)
    drive.run(GOAL, 120, until=lambda d: "looking elsewhere" in d.reason)
    drive.run(PointGoal(goal_id="p", xy_m=(5.0, 2.0)), 40)
    drive.decisions.clear()
    drive.run(GOAL, 25)
    assert all(d.slot_id is None for d in drive.decisions)
    refused = [item for d in whys(drive) for item in d.why.refused] if whys(drive) else []
    assert any(item.name == "plant #3" and "not seen" in item.reason for item in refused)
    # It is done with when it ends: a new goal tries again.
    drive.run(GOAL, 300, until=lambda d: bool(d.failed))
    drive.navigator.reset()
    drive.decisions.clear()
    drive.run(GOAL, 30, until=lambda d: d.slot_id == 3)
    assert np.any([d.slot_id == 3 for d in drive.decisions])


def test_looks_at_one_place_do_not_count_at_another() -> None:
    slots = FixedSlots([fake_slot(1, "plant", (5.6, 0.6, 0.4))])
    drive = Drive(room(6, 4), [1.0, 2.0, 0.0], slots)
    drive.run(GOAL, 40, until=lambda d: d.slot_id == 1)
    pursuit = drive.navigator._pursuit
    assert isinstance(pursuit, FindObject)
    for slot, looks in ((fake_slot(2, "plant", (5.5, 0.7, 0.4)), 3), (SLOT_AFAR, 0)):
        slots.all[:] = [slot]
        pursuit._looks, pursuit._is_new = 3, True
        assert drive.step(GOAL).slot_id == slot.slot_id
        assert pursuit._looks == looks
