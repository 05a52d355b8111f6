from dataclasses import replace

import numpy as np
import pytest
from fakes_policies import Box, BoxWorld, fake_slot, room

from memory.records import SlotState
from policies.config import MapConfig, PerceptionConfig
from policies.detectors.instances import InstanceDetector
from policies.geodesic import Field, Terrain
from policies.goal_track import GoalTrack
from policies.goals import choose_candidate
from policies.occupancy import OccupancyMap
from policies.standing import stand_cells

CONFIG = MapConfig(size_m=16.0)


def survey(boxes: list[Box], places: list[tuple[float, float]]) -> tuple[OccupancyMap, BoxWorld]:
    world = BoxWorld(boxes, [*places[0], 0.0])
    occupancy = OccupancyMap(world.spec, CONFIG)
    for x, y in places:
        for _ in range(16):
            world.pose[:2] = (x, y)
            occupancy.update(world.observe(), 0)
            world.pose[2] += 0.4
    return occupancy, world


def plan_from(
    occupancy: OccupancyMap, world: BoxWorld, xy: tuple[float, float]
) -> tuple[Terrain, Field]:
    terrain = Terrain(occupancy, world.spec, CONFIG, body_xy_m=np.array(xy))
    field = terrain.field(terrain.cells(np.array([xy])), through_unknown=True)
    assert field is not None
    return terrain, field


def resolve(slots: list, xy: tuple[float, float]):
    occupancy, world = survey(room(8, 4), [(2.0, 2.0), (6.0, 2.0)])
    terrain, field = plan_from(occupancy, world, xy)
    track = GoalTrack("chair")
    candidates = track.candidates(slots, 20_000_000_000, 0.2, 100)
    return choose_candidate(candidates, occupancy, terrain, field, 0.75)


def test_the_nearer_of_two_sure_objects_is_chosen_and_the_reason_says_so() -> None:
    slots = [fake_slot(4, "chair", (7.0, 2.0, 0.4)), fake_slot(12, "chair", (4.0, 2.0, 0.4))]
    choice, unreachable = resolve(slots, (1.0, 2.0))
    assert choice is not None
    assert choice.candidate.slot_id == 12
    assert "chair #12 remembered" in choice.reason
    assert "seen 100 steps ago" in choice.reason
    assert choice.reason.endswith("nearer than chair #4")
    assert (choice.option.name, choice.option.slot_id, choice.option.age_s) == ("chair #12", 12, 20)
    (other,) = choice.others
    assert (other.name, other.chance) == ("chair #4", choice.option.chance)
    assert other.distance_m is not None
    assert other.note == f"{other.distance_m - choice.distance_m:.1f} m farther"
    assert unreachable == []


def test_a_doubted_object_must_be_much_nearer_to_be_tried_first() -> None:
    doubted = replace(
        fake_slot(1, "chair", (3.5, 2.0, 0.4), existence=-1.5), state=SlotState.SUSPECT
    )
    choice, _ = resolve([doubted, fake_slot(2, "chair", (5.0, 2.0, 0.4))], (1.0, 2.0))
    assert choice is not None
    assert choice.candidate.slot_id == 2
    assert "surer than chair #1" in choice.reason
    assert "nearer, but less likely there (18% against 95%)" in choice.others[0].note


def test_an_archived_object_is_no_candidate() -> None:
    gone = replace(fake_slot(1, "chair", (4.0, 2.0, 0.4)), state=SlotState.ARCHIVED)
    choice, _ = resolve([gone], (1.0, 2.0))
    assert choice is None


def test_an_object_out_of_reach_is_reported() -> None:
    choice, unreachable = resolve([fake_slot(1, "chair", (8.0, 30.0, 0.4))], (1.0, 2.0))
    assert choice is None
    assert [c.slot_id for c in unreachable] == [1]


def test_standing_places_are_near_and_on_this_side_of_the_wall() -> None:
    wall = Box(0.0, 2.0, 5.0, 2.12)
    shelf = Box(2.0, 2.13, 2.8, 2.45, top_m=1.4, label="shelf")
    boxes = [*room(8, 4.2), wall, shelf]
    occupancy, world = survey(boxes, [(2.5, 1.0), (2.5, 3.4), (6.5, 2.0)])
    terrain, _ = plan_from(occupancy, world, (2.5, 1.0))
    low, high = np.array([2.0, 2.13]), np.array([2.8, 2.45])
    cells = stand_cells(occupancy, terrain, low, high, 0.75)
    points = terrain.centers_m(cells)
    assert len(points) > 10
    assert (points[:, 1] > 2.13).all()
    gap = np.maximum(np.maximum(low - points, points - high), 0)
    assert np.hypot(*gap.T).max() <= 0.75


def test_nobody_stands_below_a_lintel_or_behind_it() -> None:
    walls = [Box(3.0, 0.0, 3.12, 1.4), Box(3.0, 2.4, 3.12, 4.0)]
    lintel = Box(3.0, 1.4, 3.12, 2.4, top_m=2.5, low_m=2.05)
    plant = Box(3.3, 1.75, 3.6, 2.05, top_m=0.9, label="plant")
    boxes = [*room(7, 4), *walls, lintel, plant]
    occupancy, world = survey(boxes, [(0.8, 1.9), (5.8, 1.9), (5.0, 3.3), (5.0, 0.7)])
    terrain, _ = plan_from(occupancy, world, (0.8, 1.9))
    cells = stand_cells(occupancy, terrain, np.array([3.3, 1.75]), np.array([3.6, 2.05]), 0.75)
    points = terrain.centers_m(cells)
    assert len(points) > 0
    assert (points[:, 0] > 3.0).all()


@pytest.fixture
def seen_chairs() -> tuple[GoalTrack, BoxWorld, InstanceDetector]:
    chairs = [Box(2.6, y, 3.0, y + 0.4, top_m=0.9, label="chair") for y in (1.0, 2.0)]
    world = BoxWorld([*room(6, 4), *chairs], [0.6, 1.7, 0.0])
    return GoalTrack("chair"), world, InstanceDetector(world.spec, PerceptionConfig(min_px=4))


def test_two_neighbours_stay_two_sightings(
    seen_chairs: tuple[GoalTrack, BoxWorld, InstanceDetector],
) -> None:
    track, world, detector = seen_chairs
    for step in range(6):
        is_new = track.see(detector.detect(world.observe()), step)
        assert is_new == (step == 0)
        world.pose[0] += 0.1
    assert len(track.sightings) == 2
    assert all(s.num_seen == 6 for s in track.sightings)


def test_a_sighting_without_a_slot_is_a_candidate(
    seen_chairs: tuple[GoalTrack, BoxWorld, InstanceDetector],
) -> None:
    track, world, detector = seen_chairs
    track.see(detector.detect(world.observe()), 0)
    assert len(track.candidates([], 0, 0.2, 0)) == 2
    slot = fake_slot(7, "chair", (2.8, 1.2, 0.45))
    assert [c.slot_id for c in track.candidates([slot], 0, 0.2, 0)] == [7, None]


def test_a_refused_place_comes_back_only_when_the_object_is_seen_again(
    seen_chairs: tuple[GoalTrack, BoxWorld, InstanceDetector],
) -> None:
    track, world, detector = seen_chairs
    slot = fake_slot(7, "chair", (2.8, 1.2, 0.45))  # last seen at 0 s
    later_ns = 20_000_000_000
    (candidate,) = track.candidates([slot], later_ns, 0.2, 5)
    track.refuse(candidate, 5)
    assert track.candidates([slot], later_ns, 0.2, 10) == []
    track.see(detector.detect(world.observe()), 20)
    again = [c for c in track.candidates([slot], later_ns, 0.2, 20) if c.slot_id == 7]
    assert len(again) == 1
    track.refuse(again[0], 25)
    track.see(detector.detect(world.observe()), 30)
    assert not [c for c in track.candidates([slot], later_ns, 0.2, 30) if c.slot_id == 7]


def test_only_sightings_from_close_by_count_for_verification(
    seen_chairs: tuple[GoalTrack, BoxWorld, InstanceDetector],
) -> None:
    track, world, detector = seen_chairs
    track.see(detector.detect(world.observe()), 0)
    candidate = track.candidates([], 0, 0.2, 0)[0]
    far = track.near_sightings(candidate, 0)
    world.pose[0] = 1.3
    track.see(detector.detect(world.observe()), 1)
    assert track.near_sightings(candidate, 1) == 1
    assert track.near_sightings(candidate, 2) == 0
    assert far <= 1


def test_a_second_viewpoint_is_another_place_or_heading(
    seen_chairs: tuple[GoalTrack, BoxWorld, InstanceDetector],
) -> None:
    track, world, detector = seen_chairs
    world.pose[0] = 1.0
    for step in range(4):
        track.see(detector.detect(world.observe()), step, world.pose)
    candidate = track.candidates([], 0, 0.2, 3)[0]
    assert track.near_sightings(candidate, 0) == 4
    assert track.views(candidate, 0) == 1
    world.pose[0] = 1.3
    track.see(detector.detect(world.observe()), 4, world.pose)
    assert track.views(candidate, 0) == 2
    world.pose[2] = 0.35
    track.see(detector.detect(world.observe()), 5, world.pose)
    assert track.views(candidate, 0) == 3
    assert track.views(candidate, 5) == 1


def test_what_is_called_otherwise_from_close_by_is_doubted(
    seen_chairs: tuple[GoalTrack, BoxWorld, InstanceDetector],
) -> None:
    track, world, detector = seen_chairs
    world.pose[0] = 1.0
    track.see(detector.detect(world.observe()), 0, world.pose)
    candidate = track.candidates([], 0, 0.2, 0)[0]
    assert track.doubt(candidate, 0) == 0.0
    for step in (1, 2, 3):
        wrong = [replace(d, label="table") for d in detector.detect(world.observe())]
        track.see(wrong, step, world.pose)
    assert track.doubt(candidate, 0) == pytest.approx(0.75)
    assert track.doubt(candidate, 4) == 0.0


def test_a_synonym_that_the_detector_uses_is_seen() -> None:
    world = BoxWorld([*room(6, 4), Box(2.6, 1.5, 3.0, 1.9, top_m=0.9, label="couch")], [1, 1.7, 0])
    detector = InstanceDetector(world.spec, PerceptionConfig(min_px=4))
    track = GoalTrack("sofa")
    assert track.see(detector.detect(world.observe()), 0, world.pose)
    assert set(track.names) == {"sofa", "couch"}
