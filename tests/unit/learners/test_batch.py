import dataclasses

import numpy as np
import pytest
import torch

from learners.batch import INPUT_PX, Scale, to_image, to_windows
from memory.records import BodySpec
from memory.replay.ram import RamReplay


def test_no_return_is_told_from_near_and_far() -> None:
    depth = np.full((1, 64, 64), 2.0, dtype=np.float32)
    depth[0, 0, :3] = np.nan, 0.0, np.inf
    image = to_image(np.zeros((1, 64, 64, 3), dtype=np.uint8), depth)
    assert torch.isfinite(image).all()
    assert image[0, 4, 0, :4].tolist() == [0, 1, 0, 1]
    assert image[0, 3, 0, 0] == 0
    assert image[0, 3, 1, 1] == pytest.approx(1 - np.exp(-1), rel=1e-5)


def test_colour_spans_minus_one_to_one() -> None:
    rgb = np.zeros((1, 64, 64, 3), dtype=np.uint8)
    rgb[0, 0, 0] = 255
    image = to_image(rgb, np.ones((1, 64, 64), dtype=np.float32))
    assert (image[0, :3].min(), image[0, :3].max()) == (-1, 1)


def test_other_image_sizes_are_resized() -> None:
    image = to_image(np.zeros((2, 96, 128, 3), np.uint8), np.ones((2, 96, 128), np.float32))
    assert image.shape == (2, 5, INPUT_PX, INPUT_PX)


def test_an_action_at_full_speed_is_one_unit(spec: BodySpec) -> None:
    command = torch.tensor([spec.v_max_mps, -spec.w_max_radps, spec.tick_s])
    torch.testing.assert_close(Scale.of(spec).actions(command), torch.tensor([1.0, -1.0]))


def test_only_stopped_motions_get_a_faster_command(arena_replay: RamReplay, spec: BodySpec) -> None:
    rng = np.random.default_rng(0)
    batch = arena_replay.sample(64, 10, rng)
    windows = to_windows(batch, Scale.of(spec), rng)
    stopped = torch.zeros(windows.action.shape[:2], dtype=torch.bool)
    stopped[:, :-1] = torch.from_numpy(batch.bumped)[:, 1:]
    assert stopped.any()
    assert torch.equal(windows.command[~stopped], windows.action[~stopped])
    faster = windows.command[stopped][:, 0]
    assert (faster >= windows.action[stopped][:, 0]).all()
    assert faster.max() > 0.8
    assert torch.equal(windows.command[..., 1], windows.action[..., 1])


def test_a_motion_stopped_backwards_is_commanded_backwards(
    arena_replay: RamReplay, spec: BodySpec
) -> None:
    batch = arena_replay.sample(2, 4, np.random.default_rng(0))
    action = np.tile(np.array([-0.1, 0, 0.2], dtype=np.float32), (2, 4, 1))
    batch = dataclasses.replace(batch, action=action, bumped=np.ones((2, 4), dtype=bool))
    windows = to_windows(batch, Scale.of(spec), np.random.default_rng(1))
    assert (windows.command[:, :-1, 0] <= windows.action[:, :-1, 0]).all()


def test_pairs_of_crops_show_one_object_each(arena_replay: RamReplay, spec: BodySpec) -> None:
    rng = np.random.default_rng(0)
    batch = arena_replay.sample(16, 10, rng)
    crops = to_windows(batch, Scale.of(spec), rng, crops=8).crops
    assert crops is not None
    assert crops.first.shape == crops.second.shape == (8, 5, 32, 32)
    assert set(crops.slot.tolist()) <= set(batch.object_slots[batch.object_slots > 0].tolist())
    assert (crops.first[:, 3:] == 0).all()


def test_without_objects_there_are_no_pairs(arena_replay: RamReplay, spec: BodySpec) -> None:
    rng = np.random.default_rng(0)
    batch = arena_replay.sample(4, 3, rng)
    batch = dataclasses.replace(batch, object_slots=np.zeros_like(batch.object_slots))
    assert to_windows(batch, Scale.of(spec), rng, crops=8).crops is None


def test_read_only_arrays_are_taken(arena_replay: RamReplay, spec: BodySpec) -> None:
    batch = arena_replay.sample(2, 3, np.random.default_rng(0))
    for name in ("rgb", "depth_m", "action", "egomotion", "bumped", "objects", "object_slots"):
        getattr(batch, name).flags.writeable = False
    to_windows(batch, Scale.of(spec), np.random.default_rng(0))
