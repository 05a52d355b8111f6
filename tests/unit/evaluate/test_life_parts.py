"""What a life notes on its way: facts, failures, rows."""

from dataclasses import replace

import numpy as np
import pytest
from fakes_memory import SPEC, Box, look_at, observe

from agentd.evaluate.life.change import Facts, without_discoveries
from agentd.evaluate.life.failures import STUCK_STEPS, failure_of
from agentd.evaluate.life.record import EPISODE_STEPS, StepRecorder
from agentd.evaluate.slot_changes import Claim, FactKind
from agentd.worlds.base import StepResult
from agentd.worlds.oracle import TrueObject
from memory.records import NUM_OBJECTS, OBJECT_FEATURES, Action, Transition
from policies.protocols import Decision, Mode

HERE = look_at((0.0, 0.0), (2.0, 0.0))
FAR = np.array([50.0, 0.0, 0.0])


def true(number: int, x_m: float) -> TrueObject:
    return TrueObject(
        object_id=number,
        label="chair",
        xyz_m=np.array([x_m, 0.0, 0.45]),
        extent_m=np.array([0.5, 0.5, 0.9]),
        room="",
    )


CHAIR = Box(label="chair", xyz_m=(2.0, 0.0, 0.45), extent_m=(0.5, 0.5, 0.9))
SHOWN_FRAMES = round(1.0 / SPEC.tick_s)


def look_for(facts: Facts, boxes: list[Box], frames: int, first_step: int = 0) -> None:
    observation, detections = observe(boxes, HERE)
    for step in range(first_step, first_step + frames):
        facts.look(observation, detections, step)


def decision(**changes: object) -> Decision:
    action = Action(v_mps=0.0, w_radps=0.0, duration_s=0.2)
    return replace(Decision(action=action, mode=Mode.EXPLORE, reason="r"), **changes)


def test_a_thing_that_left_is_shown_when_its_empty_place_is_seen() -> None:
    facts = Facts(SPEC)
    look_for(facts, [CHAIR], 20)
    moved = facts.note({1: true(1, 2.0)}, {1: true(1, 8.0)}, np.zeros(3), step=25)
    assert moved == {1}
    look_for(facts, [Box(label="", xyz_m=(1.0, 0.0, 0.9), extent_m=(0.1, 3.0, 1.8))], 20, 25)
    assert [f.visible_step for f in facts.facts()] == [None, None]
    look_for(facts, [Box(label="", xyz_m=(6.0, 0.0, 0.9), extent_m=(0.1, 9.0, 1.8))], 20, 45)
    seen = {f.kind: f.visible_step for f in facts.facts()}
    assert seen == {FactKind.GONE: 45 + SHOWN_FRAMES - 1, FactKind.CAME: None}


def test_that_a_thing_left_is_not_expected_of_who_hardly_saw_it_but_may_be_claimed() -> None:
    facts = Facts(SPEC)
    look_for(facts, [CHAIR], 3)
    assert facts.note({1: true(1, 2.0)}, {}, np.zeros(3), step=5) == set()
    look_for(facts, [Box(label="", xyz_m=(6.0, 0.0, 0.9), extent_m=(0.1, 9.0, 1.8))], 20, 5)
    (fact,) = facts.facts()
    assert fact.visible_step is None
    assert facts.why_vain("chair", np.array([2.0, 0.0]), 100) == "shown"


def test_what_was_moved_by_a_hands_breadth_is_no_fact() -> None:
    facts = Facts(SPEC)
    look_for(facts, [CHAIR], 20)
    assert facts.note({1: true(1, 2.0)}, {1: true(1, 2.2)}, np.zeros(3), step=25) == set()
    assert facts.facts() == []


def test_a_thing_that_came_is_shown_when_it_is_seen_from_near() -> None:
    facts = Facts(SPEC)
    facts.note({}, {1: true(1, 2.0)}, np.zeros(3), step=5)
    look_for(facts, [CHAIR], 20, 9)
    assert [f.visible_step for f in facts.facts()] == [9 + SHOWN_FRAMES - 1]


def test_things_of_another_home_lie_where_that_home_lies() -> None:
    facts = Facts(SPEC)
    facts.note({}, {1: true(1, 2.0)}, FAR, step=5)
    assert facts.facts()[0].xyz_m[0] == pytest.approx(52.0)


def test_a_vain_way_is_blamed_on_what_was_known_or_not_or_on_a_wrong_name() -> None:
    facts = Facts(SPEC)
    look_for(facts, [CHAIR], 20)
    facts.note({1: true(1, 2.0)}, {}, np.zeros(3), step=25)
    place = np.array([2.0, 0.0])
    assert facts.why_vain("chair", place, 100) == "unforeseen"
    look_for(facts, [Box(label="", xyz_m=(6.0, 0.0, 0.9), extent_m=(0.1, 9.0, 1.8))], 20, 45)
    assert facts.why_vain("chair", place, 46) == "unforeseen"
    assert facts.why_vain("chair", place, 100) == "shown"
    assert facts.why_vain("chair", place + 3.0, 100) == "misnamed"
    assert facts.why_vain("table", place, 100) == "misnamed"


def test_that_a_thing_is_found_is_no_change_and_that_it_comes_again_a_false_one() -> None:
    came = Claim(kind=FactKind.CAME, label="chair", xyz_m=np.array([2.1, 0, 0.5]), step=3)
    gone = replace(came, kind=FactKind.GONE)
    other = replace(came, label="table")
    again = replace(came, step=9)
    chair = [true(1, 2.0)]
    assert without_discoveries([came, gone, other], [], chair) == [gone, other]
    assert without_discoveries([came, again], [], chair) == [again]
    assert without_discoveries([came], [replace(came, step=1)], chair) == [came]


@pytest.mark.parametrize(
    ("changes", "seen", "final_m", "why"),
    [
        ({"done": True}, (True, True), 0.4, "stop_too_far"),
        ({"done": True}, (True, True), 4.0, "wrong_object"),
        ({"failed": "no way"}, (False, False), 4.0, "never_seen"),
        ({"failed": "no way"}, (True, False), 4.0, "seen_not_detected"),
        ({"failed": "no way"}, (True, True), 4.0, "gave_up"),
        ({}, (True, True), 4.0, "detected_not_reached"),
    ],
)
def test_failures_have_one_reason(
    changes: dict, seen: tuple[bool, bool], final_m: float, why: str
) -> None:
    poses = np.cumsum(np.full((80, 3), 0.1), axis=0)
    found = failure_of(
        success=False,
        decision=decision(**changes),
        in_view=seen[0],
        detected=seen[1],
        final_m=final_m,
        near_m=1.0,
        poses=poses,
    )
    assert found == why


def test_a_body_on_one_spot_at_the_end_was_stuck() -> None:
    found = failure_of(
        success=False,
        decision=decision(),
        in_view=True,
        detected=True,
        final_m=3.0,
        near_m=1.0,
        poses=np.zeros((STUCK_STEPS, 3)),
    )
    assert found == "stuck"


class Kept:
    def __init__(self) -> None:
        self.rows: list[Transition] = []

    def append(self, rows: list[Transition]) -> int:
        self.rows += rows
        return len(self.rows)


def test_episodes_end_with_the_goal_and_at_their_longest() -> None:
    kept = Kept()
    recorder = StepRecorder(kept, SPEC)  # type: ignore[arg-type]
    observation, _ = observe([], HERE)
    rows = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)
    drive = Action(v_mps=0.5, w_radps=0.0, duration_s=0.2)
    result = StepResult(observation=observation, applied=drive)
    for step in range(EPISODE_STEPS + 5):
        recorder.note(step, observation, rows, [], "", result)
    recorder.flush()  # the steps ran out: nothing says that the goal ended
    recorder.note(EPISODE_STEPS + 5, observation, rows, [4], "m", None, ended=True)
    recorder.flush()
    lasts = [row.step for row in kept.rows if row.is_last]
    assert lasts == [EPISODE_STEPS - 1, EPISODE_STEPS + 4, EPISODE_STEPS + 5]
    assert [row.is_terminal for row in kept.rows if row.is_last] == [False, False, True]
    assert kept.rows[-2].action.v_mps == 0.0
    assert [row.episode_id for row in kept.rows if row.is_last] == [0, 1, 2]
    assert kept.rows[-1].object_slots[0] == 4
