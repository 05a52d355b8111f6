import numpy as np
import pytest
from fakes_policies import Box, BoxWorld, room

from policies.config import MapConfig
from policies.geodesic import Terrain, path_length_m
from policies.occupancy import OccupancyMap

CONFIG = MapConfig(size_m=14.0)


def mapped(boxes: list[Box], places: list[tuple[float, float]]) -> OccupancyMap:
    world = BoxWorld(boxes, [*places[0], 0.0])
    occupancy = OccupancyMap(world.spec, CONFIG)
    for step, (x, y) in enumerate((x, y) for x, y in places for _ in range(16)):
        world.pose[:2] = (x, y)
        occupancy.update(world.observe(), step)
        world.pose[2] += 0.4
    return occupancy


def terrain_of(
    occupancy: OccupancyMap, xy: tuple[float, float], *, narrow: bool = False
) -> Terrain:
    spec = BoxWorld([], [0, 0, 0]).spec
    return Terrain(occupancy, spec, CONFIG, body_xy_m=np.array(xy), narrow=narrow)


def around_a_wall() -> OccupancyMap:
    wall = Box(3.0, 0.0, 3.1, 2.5)
    return mapped([*room(6, 4), wall], [(1.5, 1.5), (3.05, 3.3), (4.5, 1.5)])


def test_the_way_leads_around_a_wall_and_not_through_it() -> None:
    terrain = terrain_of(around_a_wall(), (1.5, 0.8))
    field = terrain.field(terrain.cells(np.array([[4.5, 0.8]])))
    path = field.path_from(np.array([1.5, 0.8]))
    assert np.hypot(*(path[0] - (1.5, 0.8))) < 0.1
    assert np.hypot(*(path[-1] - (4.5, 0.8))) < 0.1
    assert path[:, 1].max() > 2.6
    shortest = 2 * np.hypot(1.5, 2.7 - 0.8)
    assert (
        shortest < path_length_m(path) < 1.25 * shortest
    )  # eight directions, and it keeps off the wall
    assert field.at(np.array([[1.5, 0.8]]))[0] >= shortest


def test_the_body_does_not_fit_through_a_gap_narrower_than_itself() -> None:
    walls = [Box(3.0, 0.0, 3.1, 1.85), Box(3.0, 2.15, 3.1, 4.0)]
    terrain = terrain_of(mapped([*room(6, 4), *walls], [(1.5, 2.0), (4.5, 2.0)]), (1.5, 2.0))
    field = terrain.field(terrain.cells(np.array([[4.5, 2.0]])))
    assert len(field.path_from(np.array([1.5, 2.0]))) == 0


def test_the_body_fits_through_a_door() -> None:
    walls = [Box(3.0, 0.0, 3.1, 1.6), Box(3.0, 2.3, 3.1, 4.0)]
    terrain = terrain_of(mapped([*room(6, 4), *walls], [(1.5, 2.0), (4.5, 2.0)]), (1.5, 1.0))
    field = terrain.field(terrain.cells(np.array([[4.5, 1.0]])))
    path = field.path_from(np.array([1.5, 1.0]))
    assert len(path) > 0
    crossing = path[np.argmin(np.abs(path[:, 0] - 3.05)), 1]
    assert crossing == pytest.approx(1.95, abs=0.12)


def test_unseen_floor_is_crossed_only_on_demand() -> None:
    occupancy = mapped([*room(10, 3)], [(1.0, 1.5)])
    terrain = terrain_of(occupancy, (1.0, 1.5))
    target = np.argwhere(terrain.unknown & terrain.passable)[-1:]
    start = np.array([1.0, 1.5])
    assert terrain.field(target) is None
    far = terrain.field(target, through_unknown=True)
    assert far is not None
    assert len(far.path_from(start)) > 0


def test_a_target_inside_a_wall_gives_no_field() -> None:
    terrain = terrain_of(mapped(room(4, 3), [(2.0, 1.5)]), (2.0, 1.5))
    assert terrain.field(terrain.cells(np.array([[4.03, 1.5]]))) is None


def test_the_body_may_leave_a_spot_where_it_should_not_fit() -> None:
    occupancy = mapped(room(4, 3), [(2.0, 1.5)])
    start = (3.9, 1.5)
    terrain = terrain_of(occupancy, start)
    field = terrain.field(terrain.cells(np.array([[2.0, 1.5]])))
    assert len(field.path_from(np.array(start))) > 0


def test_values_between_cells_are_interpolated() -> None:
    terrain = terrain_of(mapped(room(6, 4), [(3.0, 2.0)]), (3.0, 2.0))
    field = terrain.field(terrain.cells(np.array([[3.0, 2.0]])))
    line = np.stack([np.linspace(3.3, 5.0, 60), np.full(60, 2.0)], axis=-1)
    assert (np.diff(field.at(line)) > 0).all()
    assert np.isinf(field.at(np.array([[50.0, 50.0]]))[0])
