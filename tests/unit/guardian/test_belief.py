"""S11, S12, S13: slip, lost, fences."""

import math
from dataclasses import replace

import pytest
from guardian_robot import Course, Robot

from agentd.guardian.core import Guardian
from agentd.guardian.fence import FenceError
from agentd.guardian.records import Advice, Cause
from configs.guardian import FenceConfig, GuardianConfig

IMU = ("odom", "scan", "imu")
POSE = ("odom", "scan", "imu", "pose")
ROOM = ((-1.0, -1.0), (2.0, -1.0), (2.0, 1.0), (-1.0, 1.0))


def test_s11_slip_slows_and_then_stops():
    course = Course(sensors=IMU).run(3)
    course.robot.slip_radps = 0.6  # the body turns, the wheels do not say so
    # odometry would follow the true yaw here: what matters is the rate
    course.run(0.45)
    assert not course.last.causes
    course.run(0.35)
    assert course.robot.v_mps <= 0.1 + 0.15
    course.run(0.5)
    assert course.robot.v_mps == pytest.approx(0.1)
    assert course.last.causes == (Cause.SLIP,)
    course.run(1.6)
    assert course.robot.v_mps == 0
    assert Advice.RELOCALISE in course.last.advice
    course.robot.slip_radps = 0.0
    assert course.run(3).robot.v_mps == 0  # at rest all agrees: no reason to go on at once
    assert course.run(5).robot.v_mps == pytest.approx(0.3)


def test_s11_a_jump_of_the_pose_slows():
    def jump(message, t):
        return [(0.0, replace(message, y_m=message.y_m + (0.8 if t >= 3 else 0.0)))]

    course = Course(sensors=IMU, bends={"odom": jump}).run(3.5)
    assert course.robot.v_mps <= 0.1 + 1e-6
    assert course.last.causes == (Cause.SLIP,)
    assert course.run(4).robot.v_mps == pytest.approx(0.3)


def test_s11_turning_as_the_wheels_say_is_no_slip():
    course = Course(policy=lambda t: (0.2, 0.8 * math.sin(t)), sensors=IMU).run(10)
    assert not any(v.causes for t, v in course.verdicts if t > 0.6)


def _unsure(t0, **pose):
    return lambda m, t: [(0.0, replace(m, **pose) if t >= t0 else m)]


def test_s12_two_votes_are_lost_and_one_is_not():
    course = Course(sensors=POSE, bends={"pose": _unsure(3, match=0.1)}).run(6)
    assert course.robot.v_mps == pytest.approx(0.3)
    course = Course(sensors=POSE, bends={"pose": _unsure(3, match=0.1, std_m=2.0)}).run(3)
    x, y = course.robot.x_m, course.robot.y_m
    course.run(70)
    assert math.hypot(course.robot.x_m - x, course.robot.y_m - y) < 0.3
    assert course.last.causes == (Cause.LOST,)
    assert Advice.REPORT in course.last.advice
    assert any(Advice.RELOCALISE in v.advice for _, v in course.verdicts)


def test_s12_while_lost_the_body_may_turn_once_around():
    course = Course(
        policy=lambda t: (0.3, 0.6),
        sensors=POSE,
        bends={"pose": _unsure(2, is_contradicted=True, std_m=2.0)},
    ).run(40)
    turned = course.robot.yaw_rad - next(0.6 * 2 for _ in [0])
    assert 2 * math.pi - 1 < turned < 2 * math.pi + 1
    assert course.robot.w_radps == 0


def test_s12_found_again_goes_on():
    def bend(message, t):
        return [(0.0, replace(message, match=0.1, std_m=2.0) if 3 <= t < 6 else message)]

    course = Course(sensors=POSE, bends={"pose": bend}).run(9)
    assert course.robot.v_mps == pytest.approx(0.3)


def _fenced(**fence):
    return GuardianConfig(fence=FenceConfig(**fence))


def test_s13_the_fence_holds_the_body_inside():
    course = Course(_fenced(keep_in=(ROOM,)), sensors=POSE).run(15)
    assert max(x for _, x, *_ in course.track) < 2.0
    assert course.robot.x_m > 1.5
    assert course.last.causes == (Cause.FENCE,)


def test_s13_keep_out_is_kept_out():
    hole = ((1.0, -0.5), (1.4, -0.5), (1.4, 0.5), (1.0, 0.5))
    course = Course(_fenced(keep_out=(hole,)), sensors=POSE).run(10)
    assert max(x for _, x, *_ in course.track) < 1.0


@pytest.mark.parametrize(("yaw", "moves"), [(math.pi, True), (0.0, False), (math.pi / 2, False)])
def test_s13_from_outside_only_the_way_in_is_free(yaw, moves):
    robot = Robot(x_m=2.5, yaw_rad=yaw)
    course = Course(_fenced(keep_in=(ROOM,)), sensors=POSE, robot=robot).run(4)
    assert (abs(course.robot.v_mps) > 0.1) is moves


def test_s13_a_fence_without_a_pose_allows_nothing():
    course = Course(_fenced(keep_in=(ROOM,)), sensors=IMU).run(3)
    assert course.robot.v_mps == 0


def test_s13_pushed_over_the_fence_the_body_comes_back_by_itself_only():
    course = Course(_fenced(keep_in=(ROOM,)), sensors=POSE).run(2)
    course.robot.x_m = 2.4
    course.run(3)
    assert course.robot.v_mps == 0
    assert Cause.FENCE in course.last.causes


@pytest.mark.parametrize(
    "corners",
    [((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)), ((0.0, 0.0), (1.0, 0.0), (2.0, 0))],
)
def test_s13_a_polygon_that_is_none_is_refused(corners):
    with pytest.raises(FenceError, match="keep_in"):
        Guardian(_fenced(keep_in=(corners,)), 0.2)
