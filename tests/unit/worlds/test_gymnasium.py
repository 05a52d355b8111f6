"""Environments as bodies: what is seen, what is done, where episodes end, what cannot be had."""

import math
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from dots_env import HIGH_PX, WIDE_PX, register

from agentd.exit_codes import UsageError
from agentd.worlds.gymnasium.commands import Axes, Primitives
from agentd.worlds.gymnasium.sight import pose_of
from agentd.worlds.gymnasium.world import GymnasiumWorld
from configs.bodies.gymnasium import GymnasiumConfig
from memory.records import Action

DOTS = register()
ON_A_LINE = ("-1,0", "0,1", "1,0")


def make(**settings: Any) -> GymnasiumWorld:
    settings = {"id": DOTS, "actions": ON_A_LINE, "image_px": 32} | settings
    return GymnasiumWorld(GymnasiumConfig(**settings))


def do(v_mps: float, w_radps: float = 0.0) -> Action:
    return Action(v_mps=v_mps, w_radps=w_radps, duration_s=1.0, source="explorer")


def dot_of(world: GymnasiumWorld) -> int:
    return world._env.unwrapped.x


# ---------------------------------------------------------------- what is done
def test_an_action_is_carried_out_and_reported_as_the_speeds_that_stand_for_it() -> None:
    world = make()
    world.reset(1)
    before = dot_of(world)
    result = world.step(do(1.0))
    assert dot_of(world) == before + 1
    assert (result.applied.v_mps, result.applied.w_radps) == (1.0, 0.0)
    assert result.applied.source == "explorer"
    assert result.observation.egomotion.tolist() == [1.0, 0.0, 0.0]


def test_the_command_to_rest_moves_nothing() -> None:
    world = make()
    first = world.reset(1)
    result = world.step(do(0.0))
    assert world._env.unwrapped.age == 0
    assert (result.applied.v_mps, result.applied.w_radps) == (0.0, 0.0)
    assert not result.observation.egomotion.any()
    assert result.observation.stamp_ns > first.stamp_ns
    np.testing.assert_array_equal(result.observation.rgb, first.rgb)


def test_a_speed_that_no_action_has_is_reached_on_average() -> None:
    commands = Primitives(0, [(1.0, 0.0), (0.0, 0.5), (0.0, -0.5)])
    orders = [commands.choose(0.3, 0.2) for _ in range(100)]
    assert sum(o.v_mps for o in orders) / 100 == pytest.approx(0.3, abs=0.03)
    assert sum(o.w_radps for o in orders) / 100 == pytest.approx(0.2, abs=0.02)
    assert commands.choose(0.0, 0.0).action is None
    assert commands.choose(0.4, 0.0).action is None
    assert commands.choose(0.0, 0.0).action is None
    assert commands.choose(0.4, 0.0).action is None, "what was owed is forgotten with the wish"
    assert commands.choose(0.4, 0.0).action == 0


def test_actions_that_can_be_had_are_taken_at_once_and_for_sure() -> None:
    commands = Primitives(5, [(1.0, 0.0), None, (0.0, 0.5), (-1.0, 0.0)])
    for number, speeds in zip((5, 7, 8), commands.primitives, strict=True):
        for _ in range(3):
            assert commands.choose(*speeds) == (number, *speeds)


def test_actions_without_names_stand_apart_on_a_circle() -> None:
    world = make(actions=())
    assert len(set(world.primitives)) == 3
    assert all(math.hypot(v, w) == pytest.approx(1.0) for v, w in world.primitives)


def test_numbers_are_driven_over_their_whole_range() -> None:
    space = gymnasium.spaces.Box(np.array([-1, 0, 0]), np.array([1, 1, 2]), dtype=np.float64)
    axes = Axes(space, ("-w", "v+", "v-"))
    assert axes.choose(0.5, 1.0).action.tolist() == [-1.0, 0.5, 0.0]
    assert axes.choose(-0.25, -0.5).action.tolist() == [0.5, 0.0, 0.5]
    clipped = axes.choose(9.0, -9.0)
    assert clipped.action.tolist() == [1.0, 1.0, 0.0]
    assert (clipped.v_mps, clipped.w_radps) == (1.0, -1.0)


def test_a_continuous_environment_is_driven_by_its_force() -> None:
    world = make(make={"discrete": False}, actions=("v",))
    world.reset(1)
    before = dot_of(world)
    result = world.step(do(-0.5))
    assert dot_of(world) == before - 1
    assert result.applied.v_mps == -0.5


# ---------------------------------------------------------------- what is seen
def test_colour_and_depth_come_from_the_observation_as_squares_of_their_own() -> None:
    world = make()
    first = world.reset(1)
    assert first.rgb.shape == (32, 32, 3)
    assert world.has_depth
    assert np.isnan(first.depth_m[:2]).all()  # 0 and 50 m: no return
    assert (first.depth_m[4:] == 2.0).all()
    kept = first.rgb.copy()
    world.step(do(1.0))
    np.testing.assert_array_equal(first.rgb, kept)
    spec = world.spec
    assert spec.fx_px == pytest.approx(16 / math.tan(math.radians(30)))
    assert spec.fy_px / spec.fx_px == pytest.approx(WIDE_PX / HIGH_PX)


def test_what_is_rendered_is_seen_where_that_is_set() -> None:
    world = make(image="render", depth="none")
    first = world.reset(1)
    assert (first.rgb == 7).all()
    assert np.isnan(first.depth_m).all()
    assert not world.has_depth


def test_an_environment_that_cannot_render_is_made_without() -> None:
    class Mute(type(make()._env.unwrapped)):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

    gymnasium.registry.pop("Mute-v0", None)
    gymnasium.register("Mute-v0", entry_point=Mute)
    assert make(id="Mute-v0")._sight.source == "eye"


class Agent:
    pos, dir = np.array([2.0, 0.0, -3.0]), 0.5


class Stub:
    def __init__(self, **facts: Any) -> None:
        vars(self).update(facts)
        self.unwrapped = self


def test_poses_of_miniworld_and_minigrid_are_turned_to_z_up() -> None:
    world_like = pose_of(Stub(agent=Agent()))
    assert world_like is not None
    assert world_like.tolist() == [2.0, 3.0, 0.5]
    grid_like = pose_of(Stub(agent_pos=(4, 2), agent_dir=3))
    assert grid_like is not None
    assert grid_like.tolist() == [4.0, -2.0, -1.5 * math.pi]
    assert pose_of(Stub()) is None


# ---------------------------------------------------------------- episodes
def test_an_episode_that_ended_is_told_with_the_first_step_of_the_next() -> None:
    world = make(make={"length": 4})
    world.reset(1)
    results = [world.step(do(0.0, 1.0)) for _ in range(6)]
    assert [r.is_first for r in results] == [False] * 4 + [True, False]
    assert not any(r.was_terminal for r in results)
    assert results[3].events == (f"episode 0 of {DOTS} was cut: return 2",)
    opened = results[4]
    assert (opened.applied.v_mps, opened.applied.w_radps) == (0.0, 0.0)
    assert not opened.observation.egomotion.any()
    assert np.array_equal(opened.observation.T_world_camera[:2, 3], [0.0, 0.0])


def test_success_is_told_apart_from_a_cut() -> None:
    world = make(make={"length": 100})
    world.reset(1)
    results = [world.step(do(1.0)) for _ in range(WIDE_PX)]
    opened = [r for r in results if r.is_first]
    assert [r.was_terminal for r in opened] == [True]
    assert any("ended: return" in event for r in results for event in r.events)


def test_episodes_differ_and_follow_from_the_seed() -> None:
    def starts(seed: int) -> list[int]:
        world = make(make={"length": 1})
        world.reset(seed)
        found = []
        for _ in range(16):
            found.append(dot_of(world))
            world.step(do(1.0))
        return found

    assert starts(3) == starts(3)
    assert len(set(starts(3))) > 3
    assert starts(3) != starts(4)


def test_a_step_that_fails_opens_another_episode() -> None:
    world = make(make={"fails_at": [3], "length": 100})
    world.reset(1)
    world.step(do(1.0))
    world.step(do(1.0))
    with pytest.raises(RuntimeError, match="OSError: the simulator lost its window"):
        world.step(do(1.0))
    again = world.step(do(0.0))
    assert again.is_first
    assert not again.was_terminal
    assert not world.step(do(1.0)).is_first


def test_an_environment_that_fails_again_at_once_is_given_up() -> None:
    world = make(make={"fails_at": [2, 3]})
    world.reset(1)
    world.step(do(1.0))
    with pytest.raises(RuntimeError):
        world.step(do(1.0))
    assert world.step(do(0.0)).is_first
    for command in (do(1.0), do(0.0), do(0.0), do(0.0)):
        with pytest.raises(RuntimeError, match="lost its window"):
            world.step(command)
    world.reset(1)
    assert not world.step(do(1.0)).is_first


# ---------------------------------------------------------------- going on later
def lived(world: GymnasiumWorld, steps: int) -> None:
    world.reset(2)
    for k in range(steps):
        world.step(do(1.0 if k % 3 else -1.0))


def test_an_episode_that_ended_goes_on_with_the_next_one() -> None:
    world, other = make(make={"length": 4}), make(make={"length": 4})
    lived(world, 4)
    state = world.save_state()
    other.load_state(state)
    a, b = world.step(do(1.0)), other.step(do(1.0))
    assert a.is_first
    assert b.is_first
    np.testing.assert_array_equal(a.observation.rgb, b.observation.rgb)
    assert a.observation.stamp_ns == b.observation.stamp_ns


def test_an_episode_that_goes_another_way_is_replaced_and_told() -> None:
    settings = {"make": {"is_seeded": False}}
    world, other = make(**settings), make(**settings)
    lived(world, 5)
    observation = other.load_state(world.save_state())
    assert observation.stamp_ns > world._clock_ns
    assert other._episode == 1
    told = other.step(do(1.0)).events
    assert told == (
        "episode 0 cannot be taken up (the environment went another way this time): another is "
        "opened",
    )
    assert other.step(do(1.0)).events == ()


def test_an_episode_too_long_to_be_lived_again_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentd.worlds.gymnasium.world._SENT_STEPS", 6)
    world, other = make(make={"length": 100}), make(make={"length": 100})
    lived(world, 9)
    state = world.save_state()
    assert len(world._sent) == 7
    assert other.load_state(state).stamp_ns > world._clock_ns
    assert "longer than 6 steps" in other.step(do(1.0)).events[0]


def test_the_state_of_another_environment_is_refused() -> None:
    state = make().save_state()
    with pytest.raises(ValueError, match="another environment"):
        make(make={"length": 11}).load_state(state)


def test_closing_closes_the_environment_once() -> None:
    world = make()
    inner = world._env.unwrapped
    world.close()
    world.close()
    assert inner.closed == 1


# ---------------------------------------------------------------- what cannot be had
@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"id": ""}, "world.gymnasium.id is not set"),
        ({"id": "Dotts-v0"}, "near names: Dots-v0"),
        ({"id": "Zzzzzzzz-v9"}, "name its module too: module:Zzzzzzzz-v9"),
        ({"id": "no_such_module:Dots-v0"}, "No module named 'no_such_module'"),
        ({"make": {"lenght": 3}}, "unexpected keyword argument 'lenght'"),
        ({"wrappers": ("numpy:no_such_wrapper",)}, "numpy has no no_such_wrapper"),
        ({"wrappers": ("numpy:zeros",)}, "numpy:zeros failed"),
        ({"wrappers": ("math",)}, "accepted: package.module:callable"),
        ({"image": "nose"}, "accepted: auto, eye, render"),
        ({"depth": "none", "explore": "policy"}, "measures no depth to navigate by"),
        ({"depth": "speed"}, "accepted: auto, none, depth"),
        ({"actions": ("1,0",)}, "has 1 entries; accepted: 3"),
        ({"actions": ("1,0", "1,0", "")}, "gives two actions the speeds 1,0"),
        ({"actions": ("1,0", "fast", "")}, "'fast'; accepted: v,w in m/s and rad/s"),
        ({"actions": ("", "", "")}, "leaves out all actions"),
        ({"make": {"discrete": False}, "actions": ("x",)}, "accepted: v, -v, w, -w"),
        ({"make": {"discrete": False}, "actions": ("v", "w")}, "has 2 entries"),
        ({"id": "Acrobot-v1", "make": {"render_mode": None}}, "has no images"),
    ],
)
def test_what_cannot_be_had_is_told_with_what_could(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        make(**settings)
    assert told in str(caught.value), str(caught.value)


def test_without_gymnasium_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(UsageError, match=r"pip install 'agentd\[gymnasium\]'"):
        make()


@pytest.mark.parametrize("v_mps", [float("nan"), float("inf")])
def test_commands_that_are_no_numbers_are_refused(v_mps: float) -> None:
    world = make()
    world.reset(1)
    with pytest.raises(ValueError, match="not finite"):
        world.step(do(v_mps))
