import math

import numpy as np

from learners.batch import Scale
from learners.pose_graph import PoseGraph

SCALE = Scale(step_m=0.15, turn_rad=0.4)


def _walk(*points: tuple[float, float, float]) -> np.ndarray:
    return np.array([points], dtype=np.float32)


def _steps(graph: PoseGraph, a: tuple[float, ...], b: tuple[float, ...]) -> float:
    start, goal = np.array([a], dtype=np.float32), np.array([b], dtype=np.float32)
    return float(graph.steps(start, goal)[0, 0])


def _line(n: int, y: float = 0.05) -> list[tuple[float, float, float]]:
    return [(0.05 + 0.15 * i, y, 0.0) for i in range(n)]


def test_steps_are_counted_along_what_was_driven_and_only_in_that_direction() -> None:
    graph = PoseGraph(SCALE)
    line = _line(6)
    graph.add(_walk(*line))
    assert _steps(graph, line[0], line[5]) == 5
    assert _steps(graph, line[2], line[2]) == 0
    assert _steps(graph, line[5], line[0]) == math.inf


def test_pieces_of_two_drives_are_stitched_where_they_meet() -> None:
    graph = PoseGraph(SCALE)
    line = _line(9)
    graph.add(_walk(*line[:5]))
    graph.add(_walk(*line[4:]))
    assert _steps(graph, line[0], line[8]) == 8


def test_a_detour_does_not_count_when_a_shorter_way_was_seen() -> None:
    graph = PoseGraph(SCALE)
    line = _line(4)
    detour = [line[0], *_line(4, y=0.5), line[3]]
    graph.add(_walk(*detour))
    assert _steps(graph, line[0], line[3]) == 5
    graph.add(_walk(*line))
    assert _steps(graph, line[0], line[3]) == 3


def test_turning_costs_steps_and_the_full_circle_closes() -> None:
    graph = PoseGraph(SCALE)
    yaws = [math.remainder(0.4 * i, 2 * math.pi) for i in range(17)]
    graph.add(_walk(*[(0.05, 0.05, yaw) for yaw in yaws]))
    assert _steps(graph, (0.05, 0.05, 0.0), (0.05, 0.05, 0.8)) == 2


def test_unseen_places_and_an_empty_graph_are_infinitely_far() -> None:
    graph = PoseGraph(SCALE)
    assert _steps(graph, (0, 0, 0), (1, 1, 0)) == math.inf
    graph.add(_walk(*_line(4)))
    assert _steps(graph, _line(4)[0], (9.0, 9.0, 0.0)) == math.inf
    assert _steps(graph, (9.0, 9.0, 0.0), _line(4)[0]) == math.inf
