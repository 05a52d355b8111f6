"""S16, S17, S18: battery, recoveries, budget. And the settings themselves."""

from dataclasses import replace

import pytest
from guardian_robot import Course, wall_m
from pydantic import ValidationError

from agentd.guardian.records import Advice, Cause, Flags
from configs.guardian import GuardianConfig

BATTERY = ("odom", "scan", "battery")


def test_s16_a_falling_charge_sends_home_before_it_stops():
    course = Course(sensors=BATTERY, policy=lambda t: (0.1, 0.4))
    seen = {}
    for percent in range(40, 4, -1):
        course.charge = percent / 100
        course.run(2.0)
        for advice in course.last.advice:
            seen.setdefault(advice, percent)
        if Cause.BATTERY in course.last.causes:
            seen.setdefault("stop", percent)
    assert (seen[Advice.NO_EXPLORING], seen[Advice.DOCK], seen["stop"]) == (29, 19, 9)


def test_s16_a_long_way_home_is_begun_earlier_and_the_dock_is_reached_with_reserve():
    def bend(message, t):
        return [(0.0, replace(message, to_dock=0.30))]

    course = Course(sensors=BATTERY, bends={"battery": bend}, policy=lambda t: (0.1, 0.4))
    for percent in range(60, 30, -1):
        course.charge = percent / 100
        course.run(1.2)
        if Advice.DOCK in course.last.advice:
            break
    assert percent == 44
    assert percent / 100 - 0.30 >= 0.05


@pytest.mark.parametrize("fault", [{"charge": float("nan")}, {"temperature_c": 75.0}])
def test_s16_an_unknown_charge_sends_home_and_heat_stops(fault):
    bend = lambda m, t: [(0.0, replace(m, **fault))]  # noqa: E731
    course = Course(sensors=BATTERY, bends={"battery": bend}).run(3)
    if "charge" in fault:
        assert Advice.DOCK in course.last.advice
        assert course.robot.v_mps > 0
    else:
        assert course.last.causes == (Cause.TOO_HOT,)
        assert course.robot.v_mps == 0


def test_s16_a_charge_that_never_changes_while_driving_is_not_believed():
    config = GuardianConfig.model_validate({"energy": {"frozen_s": 20.0}})
    course = Course(config, sensors=BATTERY, policy=lambda t: (0.1, 0.4)).run(15)
    assert not course.last.advice
    assert Advice.DOCK in course.run(8).last.advice


def _recovery(course):
    """Make what the policy sends part of a recovery while the course says so."""
    course.bends["command"] = lambda m, t: [(0.0, replace(m, is_recovery=course.recovering))]
    course.recovering = False


def test_s17_a_recovery_ends_after_its_time():
    course = Course(policy=lambda t: (0.0, 0.5))
    _recovery(course)
    course.run(1)
    course.recovering = True
    course.run(9.5)
    assert course.robot.w_radps > 0.4
    course.run(1.5)
    assert course.robot.w_radps == 0
    assert course.last.causes == (Cause.RECOVERY,)
    course.recovering = False
    assert course.run(1).robot.w_radps > 0.2


def test_s17_the_fourth_round_within_ten_minutes_holds_until_armed():
    course = Course(policy=lambda t: (0.0, 0.5))
    _recovery(course)
    course.run(1)
    for _ in range(3 * 2 + 1):  # a round is a turn and a way back
        course.recovering = True
        course.run(2)
        course.recovering = False
        course.run(2)
    assert course.robot.w_radps == 0
    assert Cause.RECOVERY in course.last.causes
    assert "did not help" in course.last.text
    course.run(60)
    assert course.robot.w_radps == 0
    course.guardian.arm()
    assert course.run(1).robot.w_radps > 0


def test_s18_a_policy_that_needs_the_guardian_loses_speed_and_then_its_freedom():
    course = Course()
    course.obstacles = lambda t: wall_m(course.robot.x_m + 0.3) if t % 4 < 2 else None
    course.run(30)
    caps = [v.causes for _, v in course.verdicts]
    assert any(Cause.BUDGET_SLOW in c for c in caps)
    course.run(40)
    assert course.guardian.budget.memory.is_paused
    assert course.last.causes[0] is Cause.BUDGET_PAUSE or Cause.BUDGET_PAUSE in course.last.causes
    assert Advice.PAUSE_LEARNED in course.last.advice
    course.obstacles = None
    course.run(3)
    assert course.robot.v_mps == 0
    course.bends["command"] = lambda m, t: [(0.0, replace(m, source="operator"))]
    course.run(2)
    assert course.robot.v_mps == pytest.approx(0.3)  # a person may drive it out
    course.bends.clear()
    course.guardian.arm()
    assert course.run(2).robot.v_mps > 0


def test_s18_two_contacts_within_an_hour_slow_the_policy():
    course = Course().run(2)
    for _ in range(2):
        course.flags = Flags(bump=True)
        course.run(0.2)
        course.flags = Flags()
        course.run(6)
    assert course.robot.v_mps == pytest.approx(0.15)
    assert course.last.causes == (Cause.BUDGET_SLOW,)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"limit": {"v_fwd_mps": 0.5}}, "at most 0.3"),
        ({"zone": {"margin_m": 0.0}}, "at least 0.1"),
        ({"fresh": {"odom_s": 1.0}}, "at most 0.3"),
        ({"arm": {"warning_s": 1.0}}, "at least 5"),
        ({"raised": ["limit.speed"]}, "no limit"),
        ({"fence": {"keep_in": [[[0, 0], [1, 1]]]}}, "3 corners"),
        ({"limits": {}}, "Extra inputs"),
    ],
)
def test_a_looser_limit_is_refused_unless_it_is_said_twice(settings, said):
    with pytest.raises(ValidationError, match=said):
        GuardianConfig.model_validate(settings)


def test_a_looser_limit_that_is_said_twice_and_a_stricter_one_are_accepted():
    GuardianConfig.model_validate({"limit": {"v_fwd_mps": 0.5}, "raised": ["limit.v_fwd_mps"]})
    GuardianConfig.model_validate({"limit": {"v_fwd_mps": 0.1}, "zone": {"margin_m": 0.3}})


def test_the_defaults_are_those_of_the_requirements():
    config = GuardianConfig()
    limit, zone, fresh = config.limit, config.zone, config.fresh
    assert (limit.v_fwd_mps, limit.v_rev_mps, limit.w_radps) == (0.30, 0.15, 0.8)
    assert (limit.accel_mps2, limit.decel_mps2) == (0.5, 1.0)
    assert (zone.react_s, zone.decel_mps2, zone.margin_m) == (0.3, 0.5, 0.10)
    assert (zone.slow_extra_m, zone.slow_factor, zone.contact_s) == (0.4, 0.3, 1.5)
    assert (fresh.odom_s, fresh.range_s, fresh.imu_s, fresh.pose_s) == (0.3, 0.5, 0.5, 0.5)
    assert (fresh.camera_s, fresh.battery_s, fresh.rejoin_s) == (1.0, 30.0, 0.5)
    assert (config.command.max_age_s, config.command.num_bad) == (0.20, 3)
