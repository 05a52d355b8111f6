"""S5, S6: stale, frozen and returning sensors."""

import math
from dataclasses import replace

import pytest
from guardian_robot import Course, wall_m

from agentd.guardian.core import TICK_S
from agentd.guardian.fresh import Senses
from agentd.guardian.records import Advice, Cause, Image, Inputs, Odometry
from configs.guardian import FreshConfig, GuardianConfig

LIMITS_S = {"odom": 0.3, "scan": 0.5, "depth": 0.5, "imu": 0.5, "pose": 0.5, "rgb": 1.0}
SENSORS = ("odom", "scan", "depth", "imu", "pose", "rgb", "battery")
AT_S = 2.0


def _course(name, bend, **options):
    return Course(sensors=SENSORS, bends={name: bend}, obstacles_m=wall_m(90.0), **options)


def _stop_began_s(course):
    """Return when what was sent began to fall for good."""
    sent = [(t, v.v_mps) for t, v in course.verdicts if t >= AT_S]
    assert sent[0][1] == pytest.approx(0.3)
    return next(t for t, v in sent if v < 0.3 - 1e-6)


@pytest.mark.parametrize(("name", "limit_s"), LIMITS_S.items())
@pytest.mark.parametrize("fault", ["drop", "delay", "nan", "ahead", "behind"])
def test_s5_a_sensor_that_is_not_of_now_stops_the_body(name, limit_s, fault):
    def bend(message, t):
        if t < AT_S:
            return [(0.0, message)]
        match fault:
            case "drop":
                return []
            case "delay":
                return [(2.0, message)]
            case "nan":
                return [(0.0, replace(message, stamp_s=math.nan))]
            case "ahead":
                return [(0.0, replace(message, stamp_s=message.stamp_s + 60))]
            case "behind":
                return [(0.0, replace(message, stamp_s=message.stamp_s - 60))]
        raise AssertionError

    course = _course(name, bend).run(AT_S + 2)
    assert _stop_began_s(course) <= AT_S + limit_s + TICK_S + 1e-6
    assert course.robot.v_mps == 0
    assert Cause.STALE in course.last.causes
    assert any(name in text for text in course.last.details)


@pytest.mark.parametrize("name", ["scan", "depth", "rgb"])
def test_s5_the_same_picture_with_new_stamps_is_frozen(name):
    kept = {}

    def bend(message, t):
        if t < AT_S:
            kept["last"] = message
            return [(0.0, message)]
        still = replace(kept["last"], stamp_s=message.stamp_s, arrival_s=message.arrival_s)
        return [(0.0, still)]

    course = _course(name, bend).run(AT_S + 2.5)
    assert _stop_began_s(course) <= AT_S + 1.0 + 2 * TICK_S + 1e-6
    assert Cause.FROZEN in course.last.causes


def test_s5_odometry_that_says_it_moves_and_stays_is_frozen():
    kept = {}

    def bend(message, t):
        kept.setdefault("v", message) if t >= AT_S else None
        pose = {} if t < AT_S else {k: getattr(kept["v"], k) for k in ("x_m", "y_m", "yaw_rad")}
        return [(0.0, replace(message, **pose, v_mps=0.3))]

    course = _course("odom", bend).run(AT_S + 2.5)
    assert _stop_began_s(course) <= AT_S + 1.0 + 2 * TICK_S + 1e-6


def test_s5_a_body_at_rest_may_see_the_same_for_ever():
    same = {}

    def bend(message, t):
        same.setdefault("p", message.fingerprint)
        return [(0.0, replace(message, fingerprint=same["p"]))]

    course = _course("scan", bend, policy=lambda t: (0.0, 0.0)).run(5)
    assert not course.last.causes


def test_s5_our_own_clock_jumps():
    course = Course(sensors=SENSORS).run(AT_S)
    course.clock_off_s = 60.0
    course.run(0.5)
    assert course.robot.v_mps < 0.1
    assert Cause.STALE in course.last.causes
    course.clock_off_s = 0.0
    assert course.run(3).robot.v_mps == pytest.approx(0.3)


def test_s5_a_stale_battery_does_not_stop_but_sends_home():
    course = _course("battery", lambda m, t: [(0.0, m)] if t < 1 else []).run(33)
    assert Advice.DOCK in course.last.advice
    assert course.robot.v_mps == pytest.approx(0.3)


def test_s5_an_optional_sensor_that_never_came_is_not_missed_and_a_required_one_is():
    assert Course(sensors=("odom",)).run(2).robot.v_mps > 0
    config = GuardianConfig(fresh=FreshConfig(required=("odom", "scan")))
    course = Course(config, sensors=("odom",)).run(2)
    assert course.robot.v_mps == 0
    assert course.last.details == ("scan has not come yet",)


def test_s6_into_a_stalled_link_no_late_motion_is_sent_and_zeros_come_first():
    stall = (2.0, 5.0)

    def hold(message, t):
        delay_s = stall[1] - t if stall[0] <= t < stall[1] else 0.0
        return [(delay_s, message)]

    course = _course("odom", hold).run(8)
    sent = [(t, v.v_mps) for t, v in course.verdicts if v.publish]
    backlog = [v for t, v in sent if stall[0] <= t < stall[1]]
    moving = [v for v in backlog if v != 0]
    assert len(moving) <= 0.3 * 20 + 1
    assert len(backlog) <= len(moving) + 2
    after = [v for t, v in sent if stall[1] + TICK_S <= t < stall[1] + 0.5]
    assert len(after) >= 8
    assert not any(after)
    assert course.robot.v_mps == pytest.approx(0.3)


def test_s6_nothing_is_sent_before_odometry_came():
    course = Course(sensors=()).run(2)
    assert sum(v.publish for _, v in course.verdicts) <= 2


def test_a_range_sensor_without_returns_forbids_going_ahead_and_lets_turn():
    def bend(message, t):
        return [(0.0, replace(message, is_blind=t >= AT_S))]

    course = _course("depth", bend, policy=lambda t: (0.3, 0.4)).run(AT_S + 2)
    assert course.robot.v_mps == 0
    assert course.robot.w_radps == pytest.approx(0.4)


def test_one_overtaken_message_changes_nothing():
    def bend(message, t):
        late = 0.12 if t >= 1.0 and round(t * 20) % 3 == 0 else 0.0
        return [(late, message)]

    course = _course("odom", bend).run(4)
    assert course.robot.v_mps == pytest.approx(0.3)
    assert not course.last.causes


def test_s5_a_body_that_stands_still_after_a_stall_of_its_link_is_not_frozen():
    """The last word before the stall was "moving", the first after it "at rest, same spot"."""
    kept = {}

    def bend(message, t):
        if t < AT_S:
            kept["last"] = message
            return [(0.0, message)]
        if t < AT_S + 2:
            return []
        return [(0.0, replace(kept["last"], stamp_s=message.stamp_s, v_mps=0.0))]

    course = _course("odom", bend).run(AT_S + 4)
    assert Cause.FROZEN not in course.last.causes


def test_s5_arming_believes_a_frozen_camera_again():
    kept = {}

    def bend(message, t):
        kept.setdefault("p", message.fingerprint)
        return [(0.0, replace(message, fingerprint=kept["p"]))]

    course = _course("rgb", bend).run(4)
    assert course.robot.v_mps == 0
    course.guardian.arm()
    assert course.run(0.9).robot.v_mps > 0


def test_s5_a_camera_without_noise_is_not_frozen_because_odometry_froze_in_motion():
    """The body was stopped, and so shows the same; only the last odometry says that it moves."""
    senses = Senses(FreshConfig())

    def at(t, odom_t, v_mps):
        times = {"stamp_s": odom_t, "arrival_s": odom_t}
        odom = Odometry(**times, x_m=odom_t * 0.3, y_m=0.0, yaw_rad=0.0, v_mps=v_mps, w_radps=0.0)
        rgb = Image(stamp_s=t, arrival_s=t, fingerprint=7 if t >= 1.0 else round(t * 20))
        inputs = Inputs(clock_s=t, odom=odom, rgb=rgb)
        senses.take(inputs, t)
        return {ruling.cause for ruling in senses.rule(inputs, t)[0]}

    for k in range(20):
        at(k * 0.05, k * 0.05, 0.3)
    for k in range(20, 120):  # 5 s without odometry
        assert Cause.FROZEN not in at(k * 0.05, 0.95, 0.3)
    for k in range(120, 140):
        assert Cause.FROZEN not in at(k * 0.05, k * 0.05, 0.0)
    assert at(7.0, 7.0, 0.0) == set()
