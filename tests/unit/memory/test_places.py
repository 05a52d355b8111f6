"""Places and rooms follow from where the body was."""

from pathlib import Path

import numpy as np
import pytest
from fakes_memory import make_episode

from memory.config import ReplayConfig
from memory.objects.places import PLACES_FILE, PlaceGraph, read_places, write_places
from memory.replay.store import LanceReplay


def sweep(x0: float, x1: float, y1: float = 4.0) -> np.ndarray:
    """Return a path that covers a room in both directions."""
    lines = []
    for flip, x in enumerate(np.arange(x0 + 0.25, x1, 0.5)):
        y = np.arange(0.25, y1, 0.25)
        lines.append(np.stack([np.full(len(y), x), y[:: -1 if flip % 2 else 1]], axis=1))
    for flip, y in enumerate(np.arange(0.25, y1, 0.5)):
        x = np.arange(x0 + 0.25, x1, 0.25)
        lines.append(np.stack([x[:: -1 if flip % 2 else 1], np.full(len(x), y)], axis=1))
    return np.concatenate(lines)


def walk(*parts: np.ndarray) -> np.ndarray:
    """Return poses along parts, joined by straight lines of small steps."""
    path = [parts[0][:1]]
    for point in np.concatenate(parts)[1:]:
        last = path[-1][-1]
        steps = max(1, int(np.ceil(np.linalg.norm(point - last) / 0.25)))
        path.append(last + np.linspace(0, 1, steps + 1)[1:, None] * (point - last))
    xy = np.concatenate(path)
    return np.column_stack([xy, np.zeros(len(xy))])


DOORS = np.array([[4.5, 2.0], [9.5, 2.0]])
HOUSE = walk(sweep(0, 4), DOORS[:1], sweep(5, 9), np.array([[8.75, 2.0]]), DOORS[1:], sweep(10, 14))


def graph_of(poses: np.ndarray) -> PlaceGraph:
    graph = PlaceGraph()
    graph.note_all(poses, np.arange(len(poses)))
    return graph


def test_places_and_ways_follow_the_path() -> None:
    graph = graph_of(walk(np.array([[0.25, 0.25], [1.75, 0.25]])))
    assert len(graph) == 4
    assert [graph.neighbours(i) for i in range(4)] == [[1], [0, 2], [1, 3], [2]]
    assert graph.place_of((1.2, 0.3)) == 2
    assert graph.place_of((9.0, 9.0)) is None
    np.testing.assert_allclose(graph.xy_m()[0], [0.25, 0.25], atol=0.2)


def test_one_pose_at_a_time_makes_the_same_graph() -> None:
    graph = PlaceGraph()
    for step, pose in enumerate(HOUSE):
        graph.note(pose, step)
    for name, array in graph_of(HOUSE).state().items():
        np.testing.assert_allclose(graph.state()[name], array, atol=1e-9, err_msg=name)


def test_being_carried_and_missing_steps_make_no_way() -> None:
    graph = PlaceGraph()
    graph.note_all(np.array([[0.2, 0.2, 0], [0.7, 0.2, 0], [5.2, 0.2, 0]]), np.array([0, 1, 2]))
    graph.note_all(np.array([[5.7, 0.2, 0]]), np.array([4]))
    assert [graph.neighbours(i) for i in range(4)] == [[1], [0], [], []]


def test_a_pose_that_is_none_or_a_step_back_is_refused() -> None:
    graph = graph_of(HOUSE[:5])
    with pytest.raises(ValueError, match="not finite"):
        graph.note(np.array([np.nan, 0, 0]), 7)
    with pytest.raises(ValueError, match="step 3 does not follow step 4"):
        graph.note(np.zeros(3), 3)


@pytest.mark.parametrize("doorways", [np.empty((0, 2)), DOORS], ids=["unknown", "known"])
def test_three_rooms_behind_two_doors(doorways: np.ndarray) -> None:
    graph = graph_of(HOUSE)
    graph.set_doorways(doorways)
    assert len(graph.rooms()) == 3
    corners = [(x, y) for x in (0.3, 3.7) for y in (0.3, 3.7)]
    rooms = [{graph.room_of((x + shift, y)) for x, y in corners} for shift in (0, 5, 10)]
    assert [len(room) for room in rooms] == [1, 1, 1]
    assert len(set.union(*rooms)) == 3
    assert graph.room_of((50.0, 50.0)) == 0


def test_one_open_room_is_not_split() -> None:
    assert len(graph_of(walk(sweep(0, 6, 5.0))).rooms()) == 1


def test_a_room_keeps_its_number_while_the_house_grows() -> None:
    first = graph_of(HOUSE[: len(HOUSE) // 3])
    room = first.room_of((0.3, 0.3))
    first.note_all(HOUSE, np.arange(len(HOUSE)))
    assert first.room_of((0.3, 0.3)) == room == 1


def test_the_graph_of_a_life_is_derived_from_its_replay_store(tmp_path: Path) -> None:
    store = LanceReplay(tmp_path, ReplayConfig())
    rows = make_episode(0, 0, 60)
    for row, pose in zip(rows, HOUSE, strict=False):
        object.__setattr__(row, "pose", pose.astype(np.float32))
    store.append(rows[:40])
    write_places(tmp_path, read_places(tmp_path))
    store.append(rows[40:])
    expected = graph_of(HOUSE[:60].astype(np.float32)).state()
    for content in (None, b"damaged"):
        if content is not None:
            (tmp_path / PLACES_FILE).write_bytes(content)
        for name, array in read_places(tmp_path).state().items():
            np.testing.assert_allclose(array, expected[name], atol=1e-6, err_msg=name)
