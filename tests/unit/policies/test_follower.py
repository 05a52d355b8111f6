import math
from itertools import pairwise

import numpy as np
import pytest
from fakes_policies import Box, BoxWorld, room

from memory.records import Action
from policies.config import MapConfig
from policies.follower import Follower, LocalClearance, arc_poses, blocked_ahead
from policies.occupancy import OccupancyMap

CONFIG = MapConfig(size_m=14.0)


def drive(
    world: BoxWorld, path: np.ndarray, occupancy: OccupancyMap, ticks: int
) -> list[tuple[float, float]]:
    follower = Follower(world.spec, CONFIG.clearance_m)
    commands = []
    for step in range(ticks):
        occupancy.update(world.observe(), step)
        command = follower.command(world.pose, path, LocalClearance(occupancy, world.pose[:2]))
        assert command is not None
        commands.append(command)
        if command == (0.0, 0.0):
            break
        world.step(Action(v_mps=command[0], w_radps=command[1], duration_s=0.2))
    return commands


def line(*corners: tuple[float, float]) -> np.ndarray:
    out = [
        np.linspace(a, b, max(2, round(math.dist(a, b) / 0.1)), endpoint=False)
        for a, b in pairwise(corners)
    ]
    return np.concatenate([*out, [corners[-1]]])


def test_arcs_are_exact_for_lines_turns_and_curves() -> None:
    start = np.array([1.0, 2.0, math.pi / 2])
    times = np.array([0.5, 1.0])
    np.testing.assert_allclose(
        arc_poses(start, 1.0, 0.0, times)[-1], [1, 3, math.pi / 2], atol=1e-9
    )
    np.testing.assert_allclose(arc_poses(start, 0.0, 1.0, times)[-1, :2], [1, 2], atol=1e-9)
    half = arc_poses(np.zeros(3), 1.0, 1.0, np.array([math.pi]))[0]
    np.testing.assert_allclose(half[:2], [0, 2], atol=1e-9)


def test_a_straight_path_is_driven_at_full_speed_and_ends_on_the_point() -> None:
    world = BoxWorld(room(8, 4), [1.0, 2.0, 0.0])
    commands = drive(world, line((1.0, 2.0), (6.0, 2.0)), OccupancyMap(world.spec, CONFIG), 60)
    assert commands[0][0] > 0.7
    assert len(commands) < 42
    np.testing.assert_allclose(world.pose[:2], (6.0, 2.0), atol=0.05)


def test_a_target_behind_is_turned_to_first() -> None:
    world = BoxWorld(room(8, 4), [4.0, 2.0, 0.0])
    commands = drive(world, line((4.0, 2.0), (1.5, 2.0)), OccupancyMap(world.spec, CONFIG), 60)
    assert commands[0][0] == 0.0
    assert abs(commands[0][1]) == pytest.approx(2.0)
    np.testing.assert_allclose(world.pose[:2], (1.5, 2.0), atol=0.05)


@pytest.mark.parametrize("yaw", [0.0, 1.5, -2.0])
def test_a_corner_is_driven_without_touching(yaw: float) -> None:
    wall = Box(2.0, 0.0, 5.0, 1.6)
    world = BoxWorld([*room(8, 4), wall], [1.2, 0.8, yaw])
    path = line((1.2, 0.8), (1.6, 2.0), (5.3, 2.0), (5.6, 0.8))
    drive(world, path, OccupancyMap(world.spec, CONFIG), 90)
    assert world.num_bumps == 0
    np.testing.assert_allclose(world.pose[:2], (5.6, 0.8), atol=0.08)
    assert world.path_m < 1.1 * 6.8


def test_a_path_into_a_wall_is_not_driven() -> None:
    world = BoxWorld(room(4, 4), [2.0, 2.0, 0.0])
    occupancy = OccupancyMap(world.spec, CONFIG)
    follower = Follower(world.spec, CONFIG.clearance_m)
    for step in range(30):
        occupancy.update(world.observe(), step)
        near = LocalClearance(occupancy, world.pose[:2])
        command = follower.command(world.pose, line((2.0, 2.0), (5.0, 2.0)), near)
        if command is None:
            break
        world.step(Action(v_mps=command[0], w_radps=command[1], duration_s=0.2))
    assert command is None
    assert world.num_bumps == 0


def test_a_new_obstacle_on_the_path_is_noticed() -> None:
    world = BoxWorld(room(8, 4), [2.0, 2.0, 0.0])
    occupancy = OccupancyMap(world.spec, CONFIG)
    path = line((1.0, 2.0), (6.0, 2.0))
    occupancy.update(world.observe(), 0)
    near = LocalClearance(occupancy, world.pose[:2])
    assert not blocked_ahead(path, world.pose[:2], near, 0.18)
    world.boxes.append(Box(2.6, 1.8, 2.9, 2.2, top_m=1.0))
    for step in range(4):
        occupancy.update(world.observe(), 1 + step)
    near = LocalClearance(occupancy, world.pose[:2])
    assert blocked_ahead(path, world.pose[:2], near, 0.18)
