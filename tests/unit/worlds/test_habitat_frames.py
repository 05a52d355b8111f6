"""Habitat's frame and ours, by hand and there and back."""

import math

import numpy as np
import pytest

from agentd.worlds.habitat import frames
from memory.frames import camera_mount, se3_from_pose
from memory.rotations import quaternions_of, rotation_of

SIN15, COS15 = math.sin(math.pi / 12), math.cos(math.pi / 12)


@pytest.mark.parametrize(
    ("habitat", "ours"),
    [
        ((0, 0, -1), (1, 0, 0)),  # ahead at yaw 0
        ((1, 0, 0), (0, -1, 0)),  # to the right
        ((0, 1, 0), (0, 0, 1)),  # up
        ((2, 0.5, -3), (3, -2, 0.5)),
    ],
)
def test_points_by_hand(habitat, ours):
    np.testing.assert_allclose(frames.points_from_habitat(np.array(habitat)), ours)
    np.testing.assert_allclose(frames.points_to_habitat(np.array(ours)), habitat)


@pytest.mark.parametrize(
    ("rotation", "yaw_deg"),
    [
        ((0, 0, 0, 1), 0),
        ((0, SIN15, 0, COS15), 30),  # turn_left once: ahead is (-0.5, 0, -0.866)
        ((0, -SIN15, 0, COS15), -30),
        ((0, -SIN15, 0, -COS15), 30),  # the same rotation as turn_left
        ((0, math.sqrt(0.5), 0, math.sqrt(0.5)), 90),
        ((0, 1, 0, 0), 180),
    ],
)
def test_headings_by_hand(rotation, yaw_deg):
    found = frames.yaw_of(np.array(rotation, dtype=float))
    # 180 and -180 degrees are the same heading
    assert math.remainder(found - math.radians(yaw_deg), 2 * math.pi) == pytest.approx(0, abs=1e-9)


def test_turn_left_looks_where_habitat_says():
    ahead = rotation_of(np.array([0, SIN15, 0, COS15])) @ [0, 0, -1]
    np.testing.assert_allclose(ahead, [-0.5, 0, -math.sqrt(0.75)], atol=1e-12)
    np.testing.assert_allclose(frames.rotation_from_yaw(math.radians(30)), [0, SIN15, 0, COS15])


def test_a_body_turned_left_by_30_degrees():
    T = frames.body_from_habitat(np.array([1.0, 0.1, -2.0]), np.array([0, SIN15, 0, COS15]))
    expected = se3_from_pose(np.array([2.0, -1.0, math.radians(30)]))
    expected[2, 3] = 0.1
    np.testing.assert_allclose(T, expected, atol=1e-12)


def test_a_camera_at_yaw_0_is_one_that_is_mounted_level():
    T = frames.camera_from_habitat(np.array([0, 0.88, 0]), np.array([0.0, 0, 0, 1]))
    np.testing.assert_allclose(T, camera_mount(0.0, 0.88), atol=1e-12)


def test_a_camera_that_looks_down_is_turned_negatively_about_x():
    down = math.radians(20)
    rotation = np.array([math.sin(-down / 2), 0, 0, math.cos(-down / 2)])
    T = frames.camera_from_habitat(np.array([0, 0.88, 0]), rotation)
    np.testing.assert_allclose(T, camera_mount(0.0, 0.88, down), atol=1e-12)


def test_there_and_back():
    rng = np.random.default_rng(0)
    for _ in range(200):
        q = rng.normal(size=4)
        q /= np.linalg.norm(q) * (1 if q[3] >= 0 else -1)
        p = rng.normal(size=3)
        for there, back in (
            (frames.body_from_habitat, frames.body_to_habitat),
            (frames.camera_from_habitat, frames.camera_to_habitat),
        ):
            position, rotation = back(there(p, q))
            np.testing.assert_allclose(position, p, atol=1e-12)
            np.testing.assert_allclose(rotation, q, atol=1e-9)
        np.testing.assert_allclose(rotation_of(q) @ rotation_of(q).T, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_half_turns_come_back(axis):
    q = np.array([*axis, 0.0])
    np.testing.assert_allclose(abs(quaternions_of(rotation_of(q))), abs(q), atol=1e-12)


@pytest.mark.parametrize("bad", [(0, 0, 0, 0), (0, math.nan, 0, 1)])
def test_what_is_no_rotation_is_refused(bad):
    with pytest.raises(ValueError, match="no rotation"):
        rotation_of(np.array(bad, dtype=float))
