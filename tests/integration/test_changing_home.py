"""A known house changes: what the robot then does about its goals, in the real loop."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from house_changes import NUM_SPARES, HouseLife

from agentd.goals import GoalEntry
from agentd.worlds.house.scenario import find_spot
from memory.records import SlotState

SEED = 3
LIVED = 400
CLOSE_M = 1.1


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> HouseLife:
    life = HouseLife(SEED, tmp_path_factory.mktemp("changing"))
    life.live(LIVED)
    life.keep()
    return life


@pytest.fixture
def life(known: HouseLife) -> Iterator[HouseLife]:
    known.back()
    yield known
    known.screen.category = ""


def pursue(life: HouseLife, label: str, ticks: int) -> GoalEntry:
    goals = life.loop.parts.goals
    entry = goals.find(goals.add_object(label))
    assert entry is not None
    for _ in range(ticks):
        life.live(1)
        if entry.state in ("reached", "failed"):
            break
    return entry


def singles(life: HouseLife) -> list[tuple[int, str]]:
    """Return objects that are remembered and the only ones of their category."""
    standing = life.world.stage.standing()
    labels = [placed.piece.category for _, placed in standing]
    known = {s.label for s in life.loop.parts.slots.slots() if s.state is SlotState.CONFIRMED}
    return [
        (k, placed.piece.category)
        for k, placed in standing
        if labels.count(placed.piece.category) == 1
        and placed.piece.category in known
        and placed.room >= 0
        and not placed.piece.flat
    ]


def gap_m(life: HouseLife, index: int) -> float:
    """Return how far the body stands from the middle of an object, less half of its size."""
    placed = life.world.stage.placed(index)
    away = math.dist(life.loop.state.pose[:2], (placed.x, placed.y))
    return away - max(placed.piece.width_m, placed.piece.depth_m) / 2


def put_elsewhere(life: HouseLife, index: int, from_m: float = 2.0) -> tuple[float, float]:
    """Move an object to a spot that is far from where it was."""
    stage = life.world.stage
    piece, (x, y, _) = stage.scene.house.objects[index].piece, stage.object_pose(index)
    for _ in range(40):
        spot = find_spot(stage, piece, life.rng, leave=index)
        if spot is not None and math.dist((spot.x, spot.y), (x, y)) > from_m:
            stage.move_object(index, spot.x, spot.y, spot.yaw_rad)
            return spot.x, spot.y
    raise AssertionError("no spot was found")


@pytest.mark.slow
def test_a_moved_object_is_found_where_it_is_now(life: HouseLife) -> None:
    index, label = next(pair for pair in singles(life) if pair[1] == "trashcan")
    before = [s.slot_id for s in life.loop.parts.slots.slots(label)]
    xy = put_elsewhere(life, index)
    entry = pursue(life, label, 900)
    assert entry.state == "reached", entry.reason
    assert gap_m(life, index) < CLOSE_M
    slots = life.loop.parts.slots.slots(label)
    best = min(slots, key=lambda s: math.dist(s.xyz_m[:2], xy))
    assert math.dist(best.xyz_m[:2], xy) < 0.4
    assert best.slot_id in before or best.state is not SlotState.ARCHIVED


@pytest.mark.slow
def test_a_removed_object_is_searched_for_and_given_up_with_a_reason(life: HouseLife) -> None:
    index, label = next(pair for pair in singles(life) if pair[1] == "washer")
    life.world.stage.remove_object(index)
    entry = pursue(life, label, 900)
    assert entry.state == "failed"
    assert "searched" in entry.reason, entry.reason
    assert not [s for s in life.loop.parts.slots.slots(label) if s.state is SlotState.CONFIRMED]


@pytest.mark.slow
def test_an_added_object_is_found(life: HouseLife) -> None:
    """The only kind of spare that this house does not hold elsewhere, put where it was explored."""
    stage = life.world.stage
    objects = stage.scene.house.objects
    index = next(
        k
        for k in range(len(objects) - NUM_SPARES, len(objects))
        if objects[k].piece.category == "lamp"
    )
    for k, placed in stage.standing():
        if placed.piece.category == "lamp":
            stage.remove_object(k)
    spot = find_spot(stage, objects[index].piece, life.rng)
    assert spot is not None
    stage.move_object(index, spot.x, spot.y, spot.yaw_rad)
    entry = pursue(life, "lamp", 900)
    assert entry.state == "reached", entry.reason
    assert gap_m(life, index) < CLOSE_M


def test_shut_doors_are_told(life: HouseLife) -> None:
    stage = life.world.stage
    here = stage.scene.house.room_at(*stage.base.pose()[:2])
    _, label = next(pair for pair in singles(life) if stage.placed(pair[0]).room not in (here, -1))
    for k in range(len(stage.scene.house.doors)):
        stage.set_door(k, 0.0)
    entry = pursue(life, label, 700)
    assert entry.state == "failed"
    assert f"there is no way to {label}" in entry.reason
    assert "the door at (" in entry.reason, entry.reason


def test_in_the_dark_depth_is_enough(life: HouseLife) -> None:
    known_m2 = life.navigator.map.explored_m2
    life.world.camera.light.lamp[:] = 0.0
    life.world.camera.light.daylight = 0.0
    index, label = singles(life)[0]
    entry = pursue(life, label, 300)
    assert float(life.now.rgb.mean()) < 40
    assert entry.state == "reached", entry.reason
    assert gap_m(life, index) < CLOSE_M
    assert life.navigator.map.explored_m2 > 0.97 * known_m2


def test_a_noisy_screen_is_not_stared_at(life: HouseLife) -> None:
    """Without a model that could be wrong about it, noise changes nothing of what is done."""

    def poses(category: str) -> np.ndarray:
        life.back()
        life.screen.category = category
        life.live(80)
        return np.array(life.loop.state.trail_m)

    np.testing.assert_array_equal(poses("refrigerator"), poses(""))


def test_a_kidnapped_robot_reaches_its_goal(life: HouseLife) -> None:
    index, label = singles(life)[-1]
    goals = life.loop.parts.goals
    entry = goals.find(goals.add_object(label))
    assert entry is not None
    life.live(5)
    spots = life.spots()
    far = spots[int(np.argmax(np.hypot(*(spots - life.loop.state.pose[:2]).T)))]
    life.world.place(np.array([*far, 0.3]))
    life.now = life.world.reset()
    life.live(1)
    assert "jumped" in life.loop.state.decision.reason
    for _ in range(400):
        if entry.state in ("reached", "failed"):
            break
        life.live(1)
    assert entry.state == "reached", entry.reason
    assert gap_m(life, index) < CLOSE_M
