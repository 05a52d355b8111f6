"""The errors that the scenes are spoilt with."""

import numpy as np
import pytest
from fakes_memory import SPEC, look_at
from scenes.noise import LEVELS, Noise, Spoiler, errors
from scenes.rooms import RayRoom

from memory.records import Observation

POSE = look_at((0.0, -1.7), (0.0, 2.7))
LABELS = ["chair", "table", "sofa"]


@pytest.fixture(scope="module")
def seen() -> tuple[Observation, dict[int, int]]:
    """The table and three chairs behind it."""
    return RayRoom(0).observe(POSE, 0)


def areas(observation: Observation, objects: dict[int, int | None]) -> dict[int, int]:
    return {i: int((observation.instances == i).sum()) for i in objects}


def test_without_noise_nothing_changes(seen: tuple[Observation, dict[int, int]]) -> None:
    observation, objects = Spoiler(LEVELS["perfect"], SPEC, LABELS, 0).spoil(*seen)
    assert objects == seen[1]
    assert observation.labels == seen[0].labels
    for name in ("instances", "depth_m", "T_world_camera"):
        np.testing.assert_array_equal(getattr(observation, name), getattr(seen[0], name))


def test_the_seed_decides(seen: tuple[Observation, dict[int, int]]) -> None:
    def spoilt(seed: int) -> bytes:
        observation, _ = Spoiler(LEVELS["hard"], SPEC, LABELS, seed).spoil(*seen)
        assert observation.instances is not None
        return observation.instances.tobytes() + observation.depth_m.tobytes()

    assert spoilt(1) == spoilt(1)
    assert spoilt(1) != spoilt(2)


def test_misses_take_objects_out_of_the_mask(seen: tuple[Observation, dict[int, int]]) -> None:
    observation, objects = Spoiler(Noise(mask=errors(miss=1.0)), SPEC, LABELS, 0).spoil(*seen)
    assert objects == {}
    assert observation.instances is not None
    assert not observation.instances.any()


def test_a_split_object_has_two_masks(seen: tuple[Observation, dict[int, int]]) -> None:
    observation, objects = Spoiler(Noise(mask=errors(split=1.0)), SPEC, LABELS, 0).spoil(*seen)
    before, after = areas(*seen), areas(observation, objects)
    for number, object_id in seen[1].items():
        pieces = [i for i, behind in objects.items() if behind == object_id]
        assert sum(after[i] for i in pieces) == before[number]
        assert len(pieces) == (2 if before[number] >= 48 else 1)
        assert {observation.labels[i] for i in pieces} == {seen[0].labels[number]}


def test_joined_neighbours_have_one_mask_and_no_single_object() -> None:
    clean, objects = RayRoom(0).observe(look_at((-1.9, 1.9), (0.0, 2.7)), 0)
    chairs = [i for i in objects if clean.labels[i] == "chair"]
    observation, behind = Spoiler(Noise(mask=errors(join=1.0)), SPEC, LABELS, 0).spoil(
        clean, objects
    )
    joined = [i for i in behind if behind[i] is None]
    assert len(chairs) >= 2
    assert len(joined) == 1
    assert areas(observation, behind)[joined[0]] > areas(clean, objects)[joined[0]]


def test_phantoms_and_wrong_labels(seen: tuple[Observation, dict[int, int]]) -> None:
    observation, objects = Spoiler(Noise(mask=errors(phantom=1.0)), SPEC, LABELS, 0).spoil(*seen)
    (phantom,) = [i for i, behind in objects.items() if behind is None]
    assert observation.labels[phantom] in LABELS
    assert areas(observation, objects)[phantom] > 0
    observation, objects = Spoiler(Noise(mask=errors(label=1.0)), SPEC, LABELS, 0).spoil(*seen)
    assert all(observation.labels[i] != seen[0].labels[i] for i in objects)


def test_depth_and_pose_are_off_by_what_is_asked(seen: tuple[Observation, dict[int, int]]) -> None:
    noise = Noise(depth_rel=0.02, dropout=0.1, position_m=0.05, heading_rad=0.02)
    spoiler = Spoiler(noise, SPEC, LABELS, 0)
    spoilt = [spoiler.spoil(*seen)[0] for _ in range(100)]
    ratio = np.stack([o.depth_m for o in spoilt]) / seen[0].depth_m
    assert np.nanstd(ratio) == pytest.approx(0.02, rel=0.1)
    known = np.isfinite(seen[0].depth_m)
    assert np.isnan(ratio[:, known]).mean() == pytest.approx(0.1, rel=0.1)
    eyes = np.stack([o.T_world_camera[:3, 3] for o in spoilt])
    np.testing.assert_allclose(eyes.std(axis=0), (0.05, 0.05, 0.0), atol=0.015)
    ahead = np.stack([o.T_world_camera[:3, 2] for o in spoilt])
    heading = np.arctan2(ahead[:, 1], ahead[:, 0])
    assert heading.std() == pytest.approx(0.02, rel=0.3)
