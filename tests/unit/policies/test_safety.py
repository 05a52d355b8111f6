from dataclasses import replace

import numpy as np
import pytest
from fakes_policies import Box, BoxWorld, room

from memory.records import Action
from policies.config import SafetyConfig
from policies.safety import SafetyFilter


def command(v: float, w: float) -> Action:
    return Action(v_mps=v, w_radps=w, duration_s=0.2, source="planner")


@pytest.mark.parametrize(("v", "w"), [(0.75, 0.0), (0.75, 0.4), (0.75, -0.6), (99.0, 0.1)])
@pytest.mark.parametrize("yaw", [0.0, 0.5, 1.2])
def test_the_body_stops_before_a_wall_whatever_is_commanded(v: float, w: float, yaw: float) -> None:
    world = BoxWorld(room(4, 4), [2.0, 2.0, yaw])
    safety = SafetyFilter(world.spec, SafetyConfig())
    observation = world.observe()
    for _ in range(40):
        observation = world.step(safety.clip(command(v, w), observation))
    assert world.num_bumps == 0
    assert safety.interventions > 0


def test_random_commands_never_touch_anything() -> None:
    rng = np.random.default_rng(3)
    boxes = [*room(5, 4), Box(2.4, 1.7, 2.9, 2.2, top_m=0.7), Box(1.0, 3.0, 1.6, 3.4, top_m=0.5)]
    world = BoxWorld(boxes, [1.2, 1.2, 0.0])
    safety = SafetyFilter(world.spec, SafetyConfig())
    observation = world.observe()
    for _ in range(60):
        wild = command(*rng.uniform((0.0, -2.0), (0.75, 2.0)))
        for _ in range(3):
            observation = world.step(safety.clip(wild, observation))
    assert world.num_bumps == 0
    assert world.path_m > 3.0  # it still gets around


def test_free_space_changes_nothing() -> None:
    world = BoxWorld(room(8, 8), [2.0, 4.0, 0.0])
    safety = SafetyFilter(world.spec, SafetyConfig())
    wanted = command(0.7, 0.3)
    assert safety.clip(wanted, world.observe()) is wanted
    assert safety.interventions == 0


def test_turning_on_the_spot_is_never_stopped() -> None:
    world = BoxWorld(room(4, 4), [3.78, 2.0, 0.0])
    safety = SafetyFilter(world.spec, SafetyConfig())
    turn = command(0.0, 1.7)
    assert safety.clip(turn, world.observe()) is turn
    stopped = safety.clip(command(0.5, 1.7), world.observe())
    assert stopped.w_radps == 1.7
    assert stopped.v_mps < 0.1
    assert stopped.source == "safety"


def test_speed_falls_on_the_way_to_a_wall() -> None:
    world = BoxWorld(room(4, 4), [2.6, 2.0, 0.0])
    safety = SafetyFilter(world.spec, SafetyConfig())
    speeds = []
    for x in (2.8, 3.4, 3.5, 3.6, 3.7):
        world.pose[0] = x
        speeds.append(safety.clip(command(0.75, 0.0), world.observe()).v_mps)
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[0] == 0.75
    assert speeds[-1] < 0.2


def test_something_low_is_remembered_when_the_camera_looks_over_it() -> None:
    low = Box(2.5, 1.5, 2.9, 2.5, top_m=0.25)
    world = BoxWorld([*room(5, 4), low], [1.2, 2.0, 0.0])
    safety = SafetyFilter(world.spec, SafetyConfig())
    observation = world.observe()
    for _ in range(30):
        observation = world.step(safety.clip(command(0.75, 0.0), observation))
    assert world.num_bumps == 0


def test_a_command_that_is_not_finite_becomes_a_stop() -> None:
    world = BoxWorld(room(4, 4), [2.0, 2.0, 0.0])
    safety = SafetyFilter(world.spec, SafetyConfig())
    out = safety.clip(command(float("nan"), 1.0), world.observe())
    assert (out.v_mps, out.w_radps, out.source) == (0.0, 0.0, "safety")


def test_without_any_depth_the_body_may_turn_but_not_drive() -> None:
    world = BoxWorld(room(4, 4), [2.0, 2.0, 0.0])
    safety = SafetyFilter(world.spec, SafetyConfig())
    blank = replace(world.observe(), depth_m=np.full((40, 40), np.nan, dtype=np.float32))
    assert safety.clip(command(0.0, 1.0), blank).w_radps == 1.0
    for v_mps in (0.5, -0.5):
        held = safety.clip(command(v_mps, 1.0), blank)
        assert (held.v_mps, held.w_radps, held.source) == (0.0, 1.0, "safety")
