"""Probes that claims rest on: what is planted is found, what is not there is not."""

import numpy as np
import pytest
import torch
from claim_probes import patch_kinds
from masked_recipes import small

from learners.batch import Scale, Windows, to_windows
from learners.errors import RecipeError
from learners.parts.kinds import Shape
from learners.recipes.build import build
from learners.recipes.dense_probes import linear_readout
from learners.recipes.view_probes import VIEWS_APART, relative_pose_r2
from memory.records import BodySpec
from memory.replay.ram import RamReplay

SHAPE = Shape(latent_dim=8, patch_dim=8, side=8)


@pytest.fixture(scope="module")
def windows(arena_replay: RamReplay, spec: BodySpec) -> Windows:
    rng = np.random.default_rng(0)
    return to_windows(arena_replay.sample(40, 4, rng), Scale.of(spec), rng)


def test_pixels_are_standardised_before_the_first_patch(windows: Windows) -> None:
    plain = build(small("ijepa", encoder={"pixel_mean": (0.0,) * 5, "pixel_spread": (1.0,) * 5}), 0)
    scaled = build(
        small("ijepa", encoder={"pixel_mean": (0.5,) * 5, "pixel_spread": (2.0,) * 5}), 0
    )
    moved = Windows(**vars_of(windows) | {"image": windows.image * 2 + 0.5})
    torch.testing.assert_close(scaled.encode(moved).dense, plain.encode(windows).dense)
    assert not any("pixels" in name for name in scaled.state_dict())
    with pytest.raises(RecipeError, match="pixel_spread"):
        build(small("ijepa", encoder={"pixel_spread": (1.0, 1.0, 0.0, 1.0, 1.0)}), 0)


def test_a_readout_of_many_numbers_does_not_learn_noise_by_heart() -> None:
    rng = np.random.default_rng(0)
    x, y, x_test = (
        rng.normal(size=(150, 100)),
        rng.normal(size=(150, 1)),
        rng.normal(size=(80, 100)),
    )
    assert np.square(linear_readout(x, y, x_test)).mean() < 0.2
    np.testing.assert_allclose(linear_readout(x, x[:, :1], x_test), x_test[:, :1], atol=0.1)


def test_a_patch_shows_the_kinds_in_whose_boxes_its_middle_lies(windows: Windows) -> None:
    geometry, valid = torch.zeros_like(windows.geometry), torch.zeros_like(windows.valid)
    slots = torch.zeros_like(windows.slots)
    geometry[0, 1, 0, :4] = torch.tensor([0.0, 0.0, 0.2, 0.2])
    valid[0, 1, 0], slots[0, 1, 0] = True, 7
    planted = Windows(**vars_of(windows) | {"geometry": geometry, "valid": valid, "slots": slots})
    shown = patch_kinds(SHAPE, planted, [(7,), (9,)])
    assert shown.shape == (40, 4, 64, 2)
    assert shown[0, 1, :, 0].nonzero().flatten().tolist() == [0, 1, 8, 9]
    assert int(shown.sum()) == 4


def test_latents_that_are_the_pose_tell_the_relative_pose_and_noise_does_not() -> None:
    rng = np.random.default_rng(0)
    pose = rng.uniform(-1, 1, (120, VIEWS_APART + 3, 3)).astype(np.float32)
    state = np.stack(
        [pose[..., 0], pose[..., 1], np.sin(pose[..., 2]), np.cos(pose[..., 2])], axis=-1
    )
    z = torch.from_numpy(state.astype(np.float32))
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    assert relative_pose_r2(z[:80], pose[:80], z[80:], pose[80:]) > 0.8
    assert relative_pose_r2(noise[:80], pose[:80], noise[80:], pose[80:]) < 0.05


def vars_of(windows: Windows) -> dict[str, torch.Tensor]:
    names = ("image", "ego", "action", "command", "geometry", "valid", "slots")
    return {name: getattr(windows, name) for name in names}
