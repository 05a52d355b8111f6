"""The compiled inner loops against the numpy code that they stand for."""

import math
from importlib.util import find_spec

import numpy as np
import pytest
from fakes_policies import Box, BoxWorld, room

from memory.records import Action, Observation
from policies import compiled
from policies.compiled import load_kernels
from policies.config import MapConfig, SafetyConfig
from policies.follower import Follower, LocalClearance, blocked_ahead
from policies.geodesic import Terrain, clearance_m
from policies.occupancy import OccupancyMap
from policies.safety import SafetyFilter

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="compares with numba's code")
CONFIG = MapConfig(size_m=12.0)


def walk(steps: int) -> list[Observation]:
    """Return what a body sees that wanders through a cluttered room, with gaps in its depth."""
    lintel = Box(3.0, 1.0, 3.1, 2.0, top_m=2.5, low_m=1.5)
    low, post = Box(1.8, 1.2, 2.1, 1.9, top_m=0.3), Box(1.2, 2.4, 1.26, 2.46, top_m=1.5)
    world = BoxWorld([*room(5, 3), lintel, low, post], [0.8, 0.8, 0.3])
    rng = np.random.default_rng(5)
    seen = []
    for _ in range(steps):
        v, w = rng.uniform((0.0, -1.5), (0.7, 1.5))
        observation = world.step(Action(v_mps=v, w_radps=w, duration_s=0.2))
        observation.depth_m[rng.random(observation.depth_m.shape) < 0.02] = np.nan
        seen.append(observation)
    return seen


def both_maps(size_m: float = 12.0) -> tuple[OccupancyMap, OccupancyMap, list[Observation]]:
    seen = walk(1)
    spec = BoxWorld([], [0, 0, 0]).spec
    fast, slow = (OccupancyMap(spec, MapConfig(size_m=size_m)) for _ in range(2))
    slow.kernels = None
    return fast, slow, seen


@needs_numba
@pytest.mark.parametrize("size_m", [12.0, 4.0])
def test_both_maps_hold_the_same_to_the_last_bit(size_m: float) -> None:
    fast, slow, _ = both_maps(size_m)
    for step, observation in enumerate(walk(60)):
        observation.depth_m.flags.writeable = False
        fast.update(observation, step // 2)
        slow.update(observation, step // 2)
        for name in ("log_odds", "lintels", "seen_step"):
            np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name), name)
        assert fast.num_changed == slow.num_changed
        assert fast.window(2) == slow.window(2)
    assert (fast.log_odds > 0).sum() > 50
    assert fast.lintels.any() == (size_m > 4.0)


@needs_numba
@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5])
@pytest.mark.parametrize("shape", [(44, 44), (61, 30), (1, 7), (7, 1)])
def test_clearance_is_exact(shape: tuple[int, int], share: float) -> None:
    occupied = np.random.default_rng(1).random(shape) < share
    np.testing.assert_array_equal(
        clearance_m(occupied, 0.05, load_kernels()), clearance_m(occupied, 0.05)
    )


@needs_numba
def test_both_followers_command_the_same() -> None:
    fast, slow, _ = both_maps()
    follower = Follower(BoxWorld([], [0, 0, 0]).spec, CONFIG.clearance_m)
    rng = np.random.default_rng(2)
    for step, observation in enumerate(walk(20)):
        fast.update(observation, step)
        slow.update(observation, step)
    ways = set()
    for _ in range(300):
        pose = rng.uniform((0.3, 0.3, -math.pi), (4.7, 2.7, math.pi))
        path = pose[:2] + np.cumsum(rng.uniform(-0.02, 0.1, (30, 2)), axis=0)
        near = [LocalClearance(grid, pose[:2]) for grid in (fast, slow)]
        np.testing.assert_array_equal(
            follower.aim(pose, path, near[0]), follower.aim(pose, path, near[1])
        )
        one, other = (follower.command(pose, path, n) for n in near)
        assert (one is None) == (other is None)
        np.testing.assert_allclose(one or (9, 9), other or (9, 9), atol=1e-9)
        blocked = {blocked_ahead(path, pose[:2], n, 0.18) for n in near}
        assert len(blocked) == 1
        ways |= blocked
    assert ways == {True, False}


@needs_numba
def test_fields_are_the_same_between_cells_and_beyond_the_window() -> None:
    fast, slow, _ = both_maps()
    spec = BoxWorld([], [0, 0, 0]).spec
    for step, observation in enumerate(walk(20)):
        fast.update(observation, step)
        slow.update(observation, step)
    points = np.random.default_rng(3).uniform((-3.0, -3.0), (8.0, 6.0), (400, 2))
    values = []
    for grid in (fast, slow):
        terrain = Terrain(grid, spec, CONFIG, body_xy_m=np.array([0.8, 0.8]))
        field = terrain.field(terrain.cells(np.array([[0.8, 0.8]])))
        assert field is not None
        values.append(field.at(points))
    np.testing.assert_allclose(*values, rtol=1e-12)
    assert 20 < np.isfinite(values[0]).sum() < 380


@needs_numba
def test_beyond_the_grid_nothing_is_near() -> None:
    for grid in both_maps()[:2]:
        grid.update(walk(1)[0], 0)
        near = LocalClearance(grid, np.array([90.0, 90.0]))
        assert near.tightest(np.array([90.0, 90.0, 0.0]), 0.5, 0.1, np.array([0.2])) == math.inf


@needs_numba
def test_both_safety_filters_slow_down_the_same() -> None:
    spec = BoxWorld([], [0, 0, 0]).spec
    fast, slow = (SafetyFilter(spec, SafetyConfig()) for _ in range(2))
    slow.kernels = None
    rng = np.random.default_rng(4)
    for observation in walk(80):
        for w in (0.0, *rng.uniform(-2.0, 2.0, 2)):
            command = Action(v_mps=0.7, w_radps=float(w), duration_s=0.2, source="planner")
            one, other = fast.clip(command, observation), slow.clip(command, observation)
            assert one.v_mps == pytest.approx(other.v_mps, abs=1e-6)
            assert one.w_radps == other.w_radps
    assert fast.interventions == slow.interventions > 20


def test_without_numba_the_map_works_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    grid = OccupancyMap(BoxWorld([], [0, 0, 0]).spec, CONFIG)
    assert grid.kernels is None
    grid.update(walk(1)[0], 0)
    assert grid.explored_m2 > 0.5


@needs_numba
def test_kernels_compile_where_nothing_can_be_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    from policies.kernels import compiled

    real = numba.njit

    def njit(signature: str, *, cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(signature, **options)

    monkeypatch.setattr(numba, "njit", njit)
    assert compiled("i8(i8)")(lambda x: x + 1)(2) == 3
