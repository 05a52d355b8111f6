"""S7, S8: room ahead and behind."""

import itertools
import math

import numpy as np
import pytest
from guardian_robot import RADIUS_M, Course, Robot, stopping_m, wall_m

from agentd.guardian.arcs import gaps_m, speed_for
from agentd.guardian.records import Cause
from configs.guardian import FootprintConfig, GuardianConfig, LimitConfig


def test_the_speed_for_a_gap_undoes_the_stopping_distance():
    for v in (0.01, 0.1, 0.3, 1.0):
        assert speed_for(stopping_m(v), 0.3, 0.5, 0.10) == pytest.approx(v)
    assert speed_for(0.1, 0.3, 0.5, 0.10) == 0


def test_gaps_along_arcs_agree_with_driving_them():
    rng = np.random.default_rng(0)
    for _ in range(200):
        v, w = rng.choice([-1, 1]) * rng.uniform(0.05, 0.5), rng.uniform(-1, 1)
        point = rng.uniform(-1.5, 1.5, 2)
        if np.hypot(*point) < RADIUS_M + 0.01:
            continue
        way = np.arange(0, 2.0, 0.002)
        turn = w / v * way * np.sign(v)
        # by hand: step the body along and look for the first touch
        yaw = np.cumsum(np.full_like(way, w / abs(v) * 0.002)) - w / abs(v) * 0.002
        x = np.cumsum(np.cos(yaw) * np.sign(v) * 0.002)
        y = np.cumsum(np.sin(yaw) * np.sign(v) * 0.002)
        touches = np.flatnonzero(np.hypot(x - point[0], y - point[1]) < RADIUS_M)
        gaps = gaps_m(point[None], v, w, RADIUS_M, 1.9)
        if len(touches) and way[touches[0]] < 1.85:
            assert gaps == pytest.approx(way[touches[0]], abs=0.02), (v, w, point, turn[0])
        elif not len(touches):
            assert not len(gaps) or gaps[0] > 1.85 or w / v > 1e-3


@pytest.mark.parametrize("noise_m", [0.0, 0.01])
@pytest.mark.parametrize("speed", [0.1, 0.2, 0.3])
def test_s7_no_contact_with_what_pops_up_outside_the_stopping_distance(speed, noise_m):
    for k, gap_m in enumerate(np.arange(0.2, 1.51, 0.26)):
        if gap_m < stopping_m(speed):
            continue
        for at_s in (2.0, 2.07):  # between any two scans
            course = Course(
                policy=lambda t: (speed, 0.0), obstacles_m=None, noise_m=noise_m, seed=k
            ).run(at_s)
            course.obstacles = wall_m(course.robot.x_m + RADIUS_M + gap_m)
            course.run(20)
            assert course.nearest_m > 0.0, (gap_m, at_s, course.nearest_m)
            assert course.robot.v_mps == pytest.approx(0.0, abs=1e-3)
            assert course.last.causes == (Cause.OBSTACLE,)


@pytest.mark.parametrize("turn", [-0.5, 0.4, 0.8])
def test_s7_the_zone_bends_with_the_arc(turn):
    angles = np.arange(0, 2 * math.pi, 0.02)
    ring = 1.0 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    course = Course(policy=lambda t: (0.3, turn), obstacles_m=ring, noise_m=0.005).run(30)
    assert course.nearest_m > 0.0


def test_s7_the_body_may_pass_what_is_beside_its_way():
    post = np.array([[1.0, RADIUS_M + 0.05 + d] for d in (0, 0.01, 0.02, 0.03, 0.04)])
    course = Course(obstacles_m=post).run(9)
    assert course.robot.x_m > 2.0
    assert course.nearest_m > 0.04


def test_s7_nothing_chatters_in_front_of_a_noisy_wall():
    course = Course(obstacles_m=wall_m(2.0), noise_m=0.015).run(40)
    moving = [v.v_mps > 0.005 for t, v in course.verdicts if t > 0.6]
    changes = sum(a != b for a, b in itertools.pairwise(moving))
    assert changes <= 2
    assert course.nearest_m > 0.05
    steps = np.diff([v.v_mps for t, v in course.verdicts if t > 0.6])
    turns = np.sum((steps[1:] * steps[:-1] < 0) & (np.abs(steps[1:]) > 0.02))
    assert turns <= 2


def test_s7_one_point_in_one_scan_is_noise_and_in_two_is_a_thing():
    ghost = np.array([[1.0, 0.0]])
    course = Course(obstacles_m=lambda t: ghost if 2.0 <= t < 2.08 else None).run(3.5)
    assert course.robot.v_mps == pytest.approx(0.3)
    course = Course(obstacles_m=lambda t: ghost if t >= 2.0 else None).run(8)
    assert course.nearest_m > 0
    assert course.robot.v_mps == 0


def test_s7_slow_zone_and_time_to_contact():
    course = Course(obstacles_m=wall_m(2.0)).run(30)
    for _, x, _, v, _ in course.track:
        gap = 2.0 - x - RADIUS_M
        if gap < stopping_m(0.3) + 0.4 - 0.15:  # 0.15: slowing takes a way
            assert v <= 0.3 * 0.3 + 1e-6
        assert v * 1.5 <= gap + 0.01


def test_s7_a_low_thing_that_depth_looks_over_near_by_is_remembered():
    course = Course(sensors=("odom", "depth"), obstacles_m=wall_m(2.0))
    blind = course._ranges

    def looks_over(name):
        ranges = blind(name)
        far = np.hypot(*ranges.xy_m.T) > 0.7
        from dataclasses import replace

        return replace(ranges, xy_m=ranges.xy_m[far])

    course._ranges = looks_over
    course.run(30)
    assert course.nearest_m > 0.05
    assert course.robot.v_mps == 0


@pytest.mark.parametrize(("x_m", "until_s"), [(2.2, 4.5), (1.4, 36.0)])
def test_s7_someone_who_walked_off_is_forgotten(x_m, until_s):
    """At once where depth would see a thing, after a while where it may look over one."""
    course = Course(
        sensors=("odom", "depth"), obstacles_m=lambda t: wall_m(x_m if t < 4.5 else 9.0)
    ).run(until_s + 2.5)
    assert course.robot.v_mps == pytest.approx(0.3)


def test_s7_turning_is_free_in_front_of_a_wall_and_bounded_for_a_long_body():
    near = wall_m(RADIUS_M + 0.06)
    course = Course(policy=lambda t: (0.0, 0.6), obstacles_m=near).run(2)
    assert course.robot.w_radps == pytest.approx(0.6)
    config = GuardianConfig(footprint=FootprintConfig(rotation_radius_m=0.35))
    course = Course(config, policy=lambda t: (0.0, 0.6), obstacles_m=near).run(2)
    assert course.robot.w_radps == 0
    assert Cause.OBSTACLE in course.last.causes


def _ahead_then_back(t):
    return (0.3, 0.0) if t < 2.5 else (-0.3, 0.0)


def test_s8_reverse_only_over_what_was_driven():
    course = Course(policy=_ahead_then_back).run(2.7)
    top_m = max(x for _, x, _, _, _ in course.track)
    course.run(15)
    back_m = max(top_m, *(x for _, x, _, _, _ in course.track)) - course.robot.x_m
    assert 0.15 < back_m < 0.305
    assert min(v for _, _, _, v, _ in course.track) >= -0.15 - 1e-9
    assert Cause.REVERSE in course.last.causes
    assert course.robot.v_mps == pytest.approx(0.0, abs=1e-3)


def test_s8_a_body_that_just_woke_does_not_reverse():
    course = Course(policy=lambda t: (-0.15, 0.0)).run(4)
    assert abs(course.robot.x_m) < 0.02
    assert course.last.causes == (Cause.REVERSE,)


def test_s8_after_turning_on_the_spot_what_lies_behind_was_not_driven():
    def policy(t):
        return (0.2, 0.0) if t < 3 else (0.0, 0.8) if t < 5 else (-0.15, 0.0)

    course = Course(policy=policy).run(5)
    x, y = course.robot.x_m, course.robot.y_m
    course.run(5)
    assert math.hypot(course.robot.x_m - x, course.robot.y_m - y) < 0.08


def test_s8_with_sight_behind_reverse_stops_before_the_wall():
    config = GuardianConfig.model_validate({"zone": {"sees_behind": True}})
    robot = Robot(x_m=0.0)
    course = Course(
        config, policy=lambda t: (-0.15, 0.0), obstacles_m=wall_m(-1.0), robot=robot
    ).run(20)
    assert 0 < course.nearest_m < 0.2
    assert Cause.OBSTACLE in course.last.causes


def test_a_faster_body_needs_its_limit_raised_and_still_stops():
    config = GuardianConfig(limit=LimitConfig(v_fwd_mps=0.5), raised=("limit.v_fwd_mps",))
    course = Course(config, policy=lambda t: (0.5, 0.0)).run(3)
    course.obstacles = wall_m(course.robot.x_m + RADIUS_M + stopping_m(0.5))
    assert course.run(8).nearest_m > 0
