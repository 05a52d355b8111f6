"""Detections that cannot be: ignored one by one, counted by reason."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes_memory import SPEC, Box, look_at, observe

from memory.config import ObjectConfig
from memory.objects.memory import SlotMemory

CHAIR = Box(label="chair", xyz_m=(2.0, -0.8, 0.45), extent_m=(0.5, 0.5, 0.9))
TABLE = Box(label="table", xyz_m=(2.0, 0.8, 0.4), extent_m=(0.9, 0.9, 0.8), rgb=(9, 200, 9))
HERE = look_at((0.0, 0.0), (2.0, 0.0))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"num_px": 0}, "no pixels"),
        ({"box": (0.5, 0.5, 0.5, 0.9)}, "box outside the image"),
        ({"box": (float("nan"), 0.0, 1.0, 1.0)}, "box outside the image"),
        ({"xyz_m": np.array([np.nan, 0.0, 0.5])}, "place that is not finite"),
        ({"extent_m": np.array([0.5, np.inf, 0.5])}, "place that is not finite"),
        ({"range_m": float("nan")}, "place that is not finite"),
        ({"score": float("nan")}, "score that is not finite"),
        ({"instance": 1}, "instance number twice"),
    ],
)
def test_one_bad_detection_is_ignored_and_the_others_count(
    changes: dict[str, Any], reason: str
) -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    observation, (chair, table) = observe([CHAIR, TABLE], HERE)
    for step in range(4):
        ids = memory.update(observation, [chair, replace(table, **changes)], step)
        assert ids == [1, 0]
    assert [slot.label for slot in memory.slots()] == ["chair"]
    assert memory.num_views() == 1
    assert memory.num_refused() == {reason: 4}


def test_a_frame_without_a_pose_says_nothing() -> None:
    memory = SlotMemory(None, ObjectConfig(), SPEC)
    observation, detections = observe([CHAIR, TABLE], HERE)
    for step in range(4):
        memory.update(observation, detections, step)
    before = [slot.existence for slot in memory.slots()]
    lost = replace(observation, T_world_camera=np.full((4, 4), np.nan))
    assert memory.update(lost, detections, 4) == [0, 0]
    assert memory.update(lost, [], 5) == []
    assert [slot.existence for slot in memory.slots()] == before
    assert memory.num_refused() == {"camera pose that is not finite": 2}
