from typing import Any

import numpy as np
from fakes_policies import Box, BoxWorld, fake_spec, room

from policies.config import ExploreConfig, MapConfig
from policies.explorer import Explorer
from policies.frontiers import UnreachableSet, find_frontiers
from policies.geodesic import Field, Terrain
from policies.occupancy import OccupancyMap

CONFIG = MapConfig(size_m=14.0)


def view(boxes: list[Box], pose: tuple[float, float, float], turns: int) -> tuple[Terrain, Field]:
    world = BoxWorld(boxes, list(pose))
    occupancy = OccupancyMap(world.spec, CONFIG)
    for step in range(turns):
        occupancy.update(world.observe(), step)
        world.pose[2] += 0.4
    xy = np.array(pose[:2])
    terrain = Terrain(occupancy, world.spec, CONFIG, body_xy_m=xy)
    field = terrain.field(terrain.cells(xy[None]))
    assert field is not None
    return terrain, field


def explorer_of(**settings: Any) -> Explorer:
    rng = np.random.default_rng(0)
    return Explorer(ExploreConfig(**settings), 14.0, fake_spec(), rng)


def two_rooms() -> list[Box]:
    walls = [Box(3.0, 0.0, 3.1, 1.5), Box(3.0, 2.5, 3.1, 4.0)]
    return [*room(6, 4), *walls]


def test_a_closed_room_has_no_frontier_once_seen() -> None:
    terrain, field = view(room(4, 3), (2.0, 1.5, 0.0), 16)
    assert find_frontiers(terrain, field, UnreachableSet(), 0.3) == []


def test_a_door_is_a_frontier_with_the_other_room_behind_it() -> None:
    terrain, field = view(two_rooms(), (0.8, 3.2, 0.0), 16)
    found = find_frontiers(terrain, field, UnreachableSet(), 0.3)
    assert found
    assert all(f.xy_m[0] > 2.7 for f in found)
    assert max(f.gain_m2 for f in found) > 0.5
    assert all(np.isfinite(f.distance_m) for f in found)


def test_an_unreachable_frontier_is_not_offered_again() -> None:
    terrain, field = view(two_rooms(), (0.8, 3.2, 0.0), 16)
    explorer = explorer_of()
    pose = np.array([0.8, 3.2, 0.0])
    for _ in range(80):
        target = explorer.choose(terrain, field, pose, 0)
        if target is None:
            break
        explorer.unreachable.add(target.xy_m, "no way", 5)
        again = explorer.choose(terrain, field, pose, 0)
        assert again is None or np.hypot(*np.subtract(again.xy_m, target.xy_m)) > 0.3
    assert explorer.choose(terrain, field, pose, 0) is None
    assert explorer.unreachable.reason_at(explorer.unreachable.items[0].xy_m) == "no way"


def test_a_place_that_fails_again_and_again_is_remembered_once() -> None:
    unreachable = UnreachableSet()
    for step in range(50):
        unreachable.add((1.0, 2.0), f"try {step}", step)
    unreachable.add((1.3, 2.0), "another", 60)
    assert [item.step for item in unreachable.items] == [49, 60]
    unreachable.expire(59 + UnreachableSet.KEPT_STEPS)
    assert [item.step for item in unreachable.items] == [60]


def test_the_last_frontier_is_kept_when_another_is_only_as_good() -> None:
    """From the middle of a corridor both ends are equal; habit must decide, not noise."""
    corridor = room(30, 1.5)
    terrain, field = view(corridor, (15.0, 0.75, 0.0), 16)
    explorer = explorer_of()
    first = explorer.choose(terrain, field, np.array([15.0, 0.75, 0.0]), 0)
    assert first is not None
    away = 0.0 if first.xy_m[0] < 15 else np.pi
    # Now it looks the other way and stands a little nearer to the other end.
    shifted = np.array([15.0 + (0.15 if first.xy_m[0] < 15 else -0.15), 0.75, away])
    field = terrain.field(terrain.cells(shifted[None, :2]))
    second = explorer.choose(terrain, field, shifted, 0)
    assert np.hypot(*np.subtract(second.xy_m, first.xy_m)) < 1.0
    other = explorer_of()
    fresh = other.choose(terrain, field, shifted, 0)
    assert np.hypot(*np.subtract(fresh.xy_m, first.xy_m)) > 1.0


def test_nearest_only_takes_the_nearest() -> None:
    terrain, field = view([*room(30, 4)], (4.0, 2.0, 0.0), 16)
    explorer = explorer_of(strategy="nearest_frontier")
    target = explorer.choose(terrain, field, np.array([4.0, 2.0, np.pi]), 0)
    assert target is not None
    assert target.distance_m == min(f.distance_m for f in explorer.frontiers)


def test_revisits_go_where_the_model_learns() -> None:
    terrain, field = view(room(6, 4), (3.0, 2.0, 0.0), 16)
    explorer = explorer_of()
    explorer.clear((-4.0, -5.0))
    explorer.progress.note([(1.0, 1.0, 0.5)] * 5 + [(5.0, 3.0, 0.01)] * 5 + [(5.0, 1.0, -0.5)] * 5)
    target = explorer.choose_revisit(terrain, field, 400)
    assert target is not None
    assert np.hypot(*np.subtract(target.xy_m, (1.0, 1.0))) < 0.7
    assert "learns" in target.reason


def test_without_progress_the_oldest_place_is_looked_at_again() -> None:
    terrain, field = view(room(6, 4), (3.0, 2.0, 0.0), 16)
    terrain.seen_step[:] = 9000
    old = terrain.cells(np.array([[5.0, 3.2]]))[0]
    terrain.seen_step[old[0] - 4 : old[0] + 5, old[1] - 4 : old[1] + 5] = 10
    target = explorer_of().choose_revisit(terrain, field, 9050)
    assert target is not None
    assert np.hypot(*np.subtract(target.xy_m, (5.0, 3.2))) < 0.7
    assert "9040 steps" in target.reason
