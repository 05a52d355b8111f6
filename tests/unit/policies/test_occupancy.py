from dataclasses import replace

import numpy as np
import pytest
from fakes_policies import Box, BoxWorld, room

from memory.records import Action
from policies.config import MapConfig
from policies.occupancy import OccupancyMap

CONFIG = MapConfig(size_m=12.0)


def seen(world: BoxWorld, turns: int = 16) -> OccupancyMap:
    occupancy = OccupancyMap(world.spec, CONFIG)
    for step in range(turns):
        occupancy.update(world.observe(), step)
        world.pose[2] += 0.4
    return occupancy


def state(occupancy: OccupancyMap, x: float, y: float) -> tuple[bool, bool]:
    free, occupied = occupancy.is_state(np.array([[x, y]]))
    return bool(free[0]), bool(occupied[0])


def test_floor_is_free_walls_are_occupied_and_the_rest_unknown() -> None:
    occupancy = seen(BoxWorld(room(4, 3), [2.0, 1.5, 0.0]))
    assert state(occupancy, 1.0, 1.0) == (True, False)
    assert state(occupancy, 4.02, 1.5) == (False, True)
    assert state(occupancy, 4.6, 1.5) == (False, False)
    assert occupancy.explored_m2 == pytest.approx(12.0, rel=0.15)


def test_nothing_is_free_behind_a_low_obstacle() -> None:
    sofa = Box(2.8, 0.5, 3.2, 2.5, top_m=0.5)
    occupancy = seen(BoxWorld([*room(5, 3), sofa], [1.5, 1.5, 0.0]), turns=1)
    assert state(occupancy, 2.82, 1.5)[1]
    assert not state(occupancy, 3.5, 1.5)[0]


def test_what_hangs_above_the_body_is_no_obstacle() -> None:
    lamp = Box(2.6, 1.2, 3.0, 1.8, top_m=2.4, low_m=1.8)
    occupancy = seen(BoxWorld([*room(5, 3), lamp], [1.0, 1.5, 0.0]))
    assert state(occupancy, 2.8, 1.5) == (True, False)


def test_a_moved_thing_vanishes_from_the_map() -> None:
    world = BoxWorld([*room(5, 3), Box(3.0, 1.2, 3.4, 1.8, top_m=0.9)], [1.0, 1.5, 0.0])
    occupancy = OccupancyMap(world.spec, CONFIG)
    for step in range(10):
        occupancy.update(world.observe(), step)
    assert state(occupancy, 3.02, 1.5)[1]
    world.boxes.pop()
    for step in range(10):
        occupancy.update(world.observe(), 10 + step)
    assert state(occupancy, 3.02, 1.5) == (True, False)


def test_low_things_are_told_from_walls_and_can_be_put_back() -> None:
    sofa = Box(2.8, 0.5, 3.2, 2.5, top_m=0.5)
    occupancy = seen(BoxWorld([*room(5, 3), sofa], [1.5, 1.5, 0.0]))
    far, front = np.array([0.5, 1.5]), occupancy.cells(np.array([[2.82, 1.5]]))[0].tolist()
    occupancy.log_odds[occupancy.log_odds > 0] = CONFIG.clip[1]
    assert len(occupancy.low_cells(0, far, 0.3)) == 0
    occupancy.log_odds[tuple(front)] = 1.0
    assert occupancy.low_cells(0, far, 0.3).tolist() == [front]
    cells = occupancy.low_cells(100, far, 0.3)
    odds = occupancy.log_odds[cells[:, 0], cells[:, 1]].copy()
    occupancy.forget(cells)
    assert state(occupancy, 2.82, 1.5) == (False, False)
    assert state(occupancy, 0.0, 1.5)[1]
    occupancy.put(cells, odds)
    assert state(occupancy, 2.82, 1.5)[1]


def test_right_at_the_body_low_things_count_whenever_they_were_seen() -> None:
    sofa = Box(2.8, 0.5, 3.2, 2.5, top_m=0.5)
    occupancy = seen(BoxWorld([*room(5, 3), sofa], [1.5, 1.5, 0.0]))
    occupancy.log_odds[occupancy.log_odds > 0] = CONFIG.clip[1]
    occupancy.forget(occupancy.low_cells(0, np.array([2.5, 1.5]), 0.5))
    assert not state(occupancy, 2.82, 1.5)[1]
    assert state(occupancy, 2.82, 0.7)[1]


def test_looking_over_something_low_and_near_does_not_clear_it() -> None:
    """At arm's length the image does not reach down to it: its floor was not seen."""
    world = BoxWorld([*room(5, 3), Box(2.0, 1.2, 2.3, 1.8, top_m=0.3)], [0.8, 1.5, 0.0])
    occupancy = OccupancyMap(world.spec, CONFIG)
    for step in range(6):
        occupancy.update(world.observe(), step)
    assert state(occupancy, 2.02, 1.5)[1]
    world.pose[0] = 1.75
    for step in range(20):
        occupancy.update(world.observe(), 6 + step)
    assert state(occupancy, 2.02, 1.5)[1]


def test_no_return_says_nothing() -> None:
    world = BoxWorld(room(4, 3), [2.0, 1.5, 0.0])
    blank = replace(world.observe(), depth_m=np.full((40, 40), np.nan, dtype=np.float32))
    occupancy = OccupancyMap(world.spec, CONFIG)
    occupancy.update(blank, 0)
    assert state(occupancy, 3.0, 1.5) == (False, False)
    assert state(occupancy, 2.0, 1.5) == (True, False)  # it stands there


def test_flying_pixels_are_no_obstacle() -> None:
    world = BoxWorld([*room(5, 3), Box(2.0, 0.0, 2.1, 1.5, top_m=2.0)], [0.5, 1.5, 0.0])
    observation = world.observe()
    depth = observation.depth_m.copy()
    column = int(np.flatnonzero(np.diff(depth[20]) < -1.0)[0])
    depth[:, column] = (depth[:, column - 1] + depth[:, column + 1]) / 2
    occupancy = OccupancyMap(world.spec, CONFIG)
    occupancy.update(replace(observation, depth_m=depth), 0)
    hits = np.argwhere(occupancy.grid() == 1) * occupancy.cell_m + np.array(occupancy.origin_m)
    near = (np.abs(hits[:, 1] - 1.5) < 0.4) & (hits[:, 0] > 2.3) & (hits[:, 0] < 4.5)
    assert not near.any()


def test_a_lintel_marks_a_doorway() -> None:
    wall = [Box(3.0, 0.0, 3.1, 1.0), Box(3.0, 2.0, 3.1, 3.0)]
    lintel = Box(3.0, 1.0, 3.1, 2.0, top_m=2.5, low_m=2.05)
    occupancy = seen(BoxWorld([*room(6, 3), *wall, lintel], [0.8, 1.5, 0.0]))
    cell = occupancy.cells(np.array([[3.01, 1.5]]))[0]
    assert occupancy.lintels[cell[0] - 1 : cell[0] + 2, cell[1]].any()
    assert state(occupancy, 3.05, 1.5) == (True, False)


def test_a_bump_into_something_unseen_blocks_for_a_while() -> None:
    world = BoxWorld(room(6, 3), [2.0, 1.5, 0.0])
    occupancy = seen(world)
    pose = np.array([2.0, 1.5, 0.0])
    assert occupancy.mark_bump(pose, 20)
    assert state(occupancy, 2.22, 1.5)[1]
    world.pose[:] = (1.0, 1.5, 0.0)
    occupancy.update(world.observe(), 300)
    assert not state(occupancy, 2.22, 1.5)[1]


def test_a_bump_beside_a_known_wall_leaves_no_mark() -> None:
    occupancy = seen(BoxWorld(room(4, 3), [2.0, 1.5, 0.0]))
    assert not occupancy.mark_bump(np.array([3.8, 1.5, 0.3]), 20)


def test_observations_that_leave_the_grid_are_cut_off() -> None:
    world = BoxWorld(room(30, 30), [15.0, 15.0, 0.0])
    occupancy = OccupancyMap(world.spec, MapConfig(size_m=4.0))
    occupancy.update(world.observe(), 0)
    world.pose[:2] = 28.0
    occupancy.update(world.observe(), 1)
    assert occupancy.explored_m2 < 16.0


def test_save_and_load_keep_the_map() -> None:
    occupancy = seen(BoxWorld(room(4, 3), [2.0, 1.5, 0.0]))
    other = OccupancyMap(BoxWorld(room(4, 3), [0, 0, 0]).spec, CONFIG)
    other.load(occupancy.save())
    np.testing.assert_array_equal(other.grid(), occupancy.grid())
    assert other.origin_m == occupancy.origin_m
    assert other.window(3) == occupancy.window(3)


def test_a_map_of_another_size_is_refused() -> None:
    occupancy = seen(BoxWorld(room(4, 3), [2.0, 1.5, 0.0]), turns=1)
    other = OccupancyMap(BoxWorld([], [0, 0, 0]).spec, MapConfig(size_m=8.0))
    with pytest.raises(ValueError, match=r"policies\.map"):
        other.load(occupancy.save())


def test_the_number_of_changed_cells_settles() -> None:
    world = BoxWorld(room(4, 3), [2.0, 1.5, 0.0])
    occupancy = seen(world)
    before = occupancy.num_changed
    for step in range(5):
        occupancy.update(world.step(Action(v_mps=0.0, w_radps=0.0, duration_s=0.2)), 20 + step)
    assert occupancy.num_changed - before < 30
