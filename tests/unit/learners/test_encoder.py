import numpy as np
import pytest
import torch
from tiny_recipes import arena_recipe

from learners.batch import Scale, to_windows
from learners.encoder import Encoder, roi_mean
from learners.recipes.build import build
from memory.records import BodySpec
from memory.replay.ram import RamReplay


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(32, 64)


@pytest.fixture
def inputs(arena_replay: RamReplay, spec: BodySpec) -> tuple[torch.Tensor, ...]:
    rng = np.random.default_rng(0)
    windows = to_windows(arena_replay.sample(12, 1, rng), Scale.of(spec), rng)
    parts = windows.image, windows.ego, windows.geometry, windows.valid
    return tuple(p.flatten(0, 1) for p in parts)


def test_the_mean_over_a_box_ignores_what_is_outside() -> None:
    features = torch.zeros(1, 4, 4, 1)
    features[0, 1:3, 2:4] = 5.0
    boxes = torch.tensor([[[0.5, 0.25, 1.0, 0.75], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]])
    torch.testing.assert_close(roi_mean(features, boxes)[0, :, 0], torch.tensor([5.0, 1.25, 0.0]))


def test_a_box_that_covers_half_a_cell_weighs_it_by_half() -> None:
    features = torch.tensor([1.0, 3.0]).view(1, 1, 2, 1)
    box = torch.tensor([[[0.25, 0.0, 1.0, 1.0]]])
    assert roi_mean(features, box).item() == pytest.approx((0.5 * 1 + 3) / 1.5)


def test_training_and_evaluation_mode_differ(
    encoder: Encoder, inputs: tuple[torch.Tensor, ...]
) -> None:
    with torch.no_grad():
        train = encoder.train()(*inputs).z
        evaluation = encoder.eval()(*inputs).z
    assert (train - evaluation).abs().max() > 1e-3


def test_in_evaluation_mode_a_frame_does_not_see_its_neighbours(
    encoder: Encoder, inputs: tuple[torch.Tensor, ...]
) -> None:
    encoder.eval()
    with torch.no_grad():
        together, alone = encoder(*inputs).z[:1], encoder(*(x[:1] for x in inputs)).z
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_rows_without_an_object_change_nothing(
    encoder: Encoder, inputs: tuple[torch.Tensor, ...]
) -> None:
    image, ego, geometry, valid = inputs
    encoder.eval()
    other = torch.where(valid[..., None], geometry, torch.full_like(geometry, 0.7))
    with torch.no_grad():
        a, b = encoder(image, ego, geometry, valid).z, encoder(image, ego, other, valid).z
    torch.testing.assert_close(a, b)


def test_every_token_reaches_the_latent(encoder: Encoder, inputs: tuple[torch.Tensor, ...]) -> None:
    image, ego, geometry, valid = inputs
    assert valid.any()
    encoder.eval()
    changed = (image * 0.5, ego, geometry), (image, ego + 1, geometry), (image, ego, geometry * 1.5)
    with torch.no_grad():
        z = encoder(*inputs).z
        for parts in changed:
            assert (encoder(*parts, valid).z - z).abs().max() > 1e-4


def test_crops_become_unit_vectors(encoder: Encoder) -> None:
    vectors = encoder.embed(torch.randn(3, 5, 32, 32))
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(3))


def test_the_seed_draws_the_weights_and_leaves_the_global_state_alone() -> None:
    state = torch.random.get_rng_state()
    a, b, c = (build(arena_recipe(), seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(a.planes, b.planes)
    assert not torch.equal(a.planes, c.planes)
