"""S9, S10: touches and stalls."""

import pytest
from guardian_robot import Course, wall_m

from agentd.guardian.core import TICK_S
from agentd.guardian.records import Cause, Flags, State


@pytest.mark.parametrize("flag", ["bump", "cliff"])
def test_s9_a_touch_stops_in_one_tick_and_backs_off_once(flag):
    course = Course().run(3)
    course.flags = Flags(**{flag: True})
    course.run(TICK_S)
    assert course.last.v_mps == 0
    assert course.last.causes == (Cause(flag),)
    course.run(0.3)
    at_m = course.robot.x_m
    course.run(4)
    states = {v.state for _, v in course.verdicts}
    assert State.BACKING_OFF in states
    assert 0.05 < at_m - course.robot.x_m <= 0.10 + 1e-3
    assert min(v for t, _, _, v, _ in course.track) >= -0.05 - 1e-9
    rest_m = course.robot.x_m
    course.run(10)  # still pressed: no second time, and not forward again
    assert course.robot.x_m == pytest.approx(rest_m, abs=1e-3)
    course.flags = Flags()
    assert course.run(3).robot.v_mps == pytest.approx(0.3)


def test_s9_the_back_off_keeps_to_ground_that_was_driven():
    course = Course()
    course.flags = Flags(bump=True)
    course.run(5)
    assert abs(course.robot.x_m) < 0.02


def test_s9_with_a_bumper_that_stays_pressed_the_body_may_turn_away():
    course = Course(policy=lambda t: (0.3, 0.5)).run(2)
    course.flags = Flags(bump=True)
    course.run(6)
    assert course.robot.w_radps == pytest.approx(0.5)
    assert course.robot.v_mps == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("flag", ["wheel_drop", "pick_up"])
def test_s9_a_lifted_body_stays_stopped_until_armed(flag):
    course = Course().run(2)
    course.flags = Flags(**{flag: True})
    course.run(TICK_S)
    assert course.last.v_mps == 0
    course.flags = Flags()
    assert course.run(3).robot.v_mps == 0
    assert course.last.causes == (Cause(flag),)
    assert not course.guardian.arm()
    assert course.run(2).robot.v_mps > 0


def test_s10_wheels_that_move_nothing_are_a_collision():
    course = Course().run(3)
    course.robot.blocked = True
    course.run(1.2)
    assert course.last.v_mps == 0
    assert Cause.STALL in course.last.causes
    assert len(course.guardian.budget.memory.contacts_s) == 1
    course.run(3)
    assert course.last.v_mps == 0  # nothing has changed: no trying again at once


def test_s10_after_a_stall_a_turn_frees_the_way():
    course = Course(policy=lambda t: (0.3, 0.0) if t < 4.5 else (0.0, 0.5)).run(3)
    course.robot.blocked = True
    course.run(1.4)
    course.robot.blocked = False
    course.run(1.5)
    course.policy = lambda t: (0.3, 0.0)
    assert course.run(1.5).robot.v_mps > 0.1


def test_s10_turning_in_vain_is_a_stall_as_well():
    course = Course(policy=lambda t: (0.0, 0.6)).run(2)
    course.robot.blocked = True
    course.run(1.2)
    assert course.last.w_radps == 0
    assert Cause.STALL in course.last.causes


def test_s10_a_slow_approach_is_no_stall():
    course = Course(obstacles_m=wall_m(2.0)).run(30)
    assert not any(Cause.STALL in v.causes for _, v in course.verdicts)
