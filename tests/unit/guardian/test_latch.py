"""S2, S14, S15, S21: e-stop, arming, the dead-man's hand, the self-test."""

import pytest
from guardian_robot import Course

from agentd.guardian.records import Advice, Cause, State
from agentd.guardian.selftest import Facts, problems
from configs.guardian import ArmConfig, DeadManConfig, FreshConfig, GuardianConfig


def test_s14_nothing_moves_before_it_is_armed():
    course = Course(armed=False).run(3)
    assert course.robot.x_m == 0
    assert course.last.state is State.DISARMED
    assert not course.guardian.arm()
    assert course.run(2).robot.v_mps > 0


def test_s14_an_estop_stops_at_once_and_needs_release_and_arm():
    course = Course().run(3)
    course.guardian.latch.estop("the test")
    course.run(0.05)
    assert course.last.v_mps == 0
    assert course.last.state is State.ESTOP
    assert "the test" in course.last.text
    assert "release" in course.guardian.arm()
    assert course.run(2).robot.v_mps == 0
    assert not course.guardian.latch.release()
    assert course.run(2).robot.v_mps == 0
    assert course.last.state is State.DISARMED
    assert not course.guardian.arm()
    assert course.run(2).robot.v_mps > 0


def test_s14_a_wired_estop_cannot_be_released_while_it_is_pressed():
    course = Course().run(2)
    course.extra["is_estop"] = True
    course.run(0.1)
    assert "pressed" in course.guardian.latch.release()
    course.extra.clear()
    course.run(0.1)
    assert course.last.state is State.ESTOP
    assert not course.guardian.latch.release()


def _unattended():
    return GuardianConfig(arm=ArmConfig(auto="unattended"))


def test_s14_unattended_arms_itself_after_a_test_at_rest_and_a_warning():
    course = Course(_unattended(), armed=False)
    course.extra["is_ready"] = True
    course.run(16.5)
    warned = [t for t, v in course.verdicts if Advice.WARN in v.advice]
    assert warned[-1] - warned[0] == pytest.approx(5.0, abs=0.1)
    assert warned[0] >= 10.0
    assert not any(v.v_mps for t, v in course.verdicts if t < 15.0)
    assert course.run(1).robot.v_mps > 0


def test_s14_unattended_does_not_arm_after_an_estop_or_a_failed_self_test():
    course = Course(_unattended(), armed=False)
    course.extra["is_ready"] = False
    assert course.run(20).robot.x_m == 0
    course.extra["is_ready"] = True
    course.guardian.latch.estop("the test")
    course.run(1)
    course.guardian.latch.release()
    assert course.run(20).robot.x_m == 0


def test_s15_without_heartbeat_nothing_moves():
    config = GuardianConfig(deadman=DeadManConfig(enabled=True))
    course = Course(config).run(2)
    assert course.robot.x_m == 0
    for _ in range(20):
        course.extra["heartbeat_s"] = course.now_s
        course.run(0.1)
    assert course.robot.v_mps > 0.2
    course.run(1.0 + 0.3 + 0.15)
    assert course.robot.v_mps == 0
    assert course.last.causes == (Cause.DEAD_MAN,)


GOOD = {
    "num_other_publishers": 0,
    "clock_skew_s": {"/odom": 0.01},
    "alive": ("odom", "scan"),
    "radius_m": 0.2,
    "watchdog_s": 0.3,
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"num_other_publishers": 1}, "1 other publisher"),
        ({"num_other_publishers": None}, "cannot tell"),
        ({"clock_skew_s": {"/odom": -0.5}}, "-0.50 s off"),
        ({"alive": ("scan",)}, "odom does not deliver"),
        ({"alive": ("odom",)}, "neither depth nor scan"),
        ({"radius_m": None}, "footprint"),
        ({"watchdog_s": None}, "never measured"),
        ({"watchdog_s": 0.8}, "0.80 s"),
    ],
)
def test_s2_s21_the_self_test_names_what_is_wrong(change, said):
    found = problems(Facts(**{**GOOD, **change}), GuardianConfig())
    assert len(found) == bool(said)
    assert said in " ".join(found)


def test_s21_a_simulated_body_needs_no_link():
    assert not problems(Facts(radius_m=0.2, is_simulated=True), GuardianConfig())


def test_required_sensors_are_asked_for():
    config = GuardianConfig(fresh=FreshConfig(required=("odom", "imu")))
    assert "imu" in problems(Facts(**GOOD), config)[0]
