from dataclasses import replace

import pytest
import torch
from masked_recipes import MASKED_RECIPES, draw, forward, small, take_two_steps

from learners.batch import Scale, Windows
from learners.errors import RecipeError
from learners.losses.hidden_tokens import layer_targets, told_regions
from learners.losses.masked_l1 import masked_l1
from learners.losses.masked_smooth_l1 import masked_smooth_l1
from learners.losses.total import total_loss
from learners.losses.visible_l1 import nearest_hidden, ramp_factor, visible_l1
from learners.parts.kinds import MaskableEncoder
from learners.parts.positions import grid_positions
from learners.recipes.build import build
from learners.recipes.model import ComposedModel
from memory.records import BodySpec
from memory.replay.ram import RamReplay


@pytest.fixture(scope="module")
def windows(arena_replay: RamReplay, spec: BodySpec) -> Windows:
    return draw(arena_replay, Scale.of(spec))


@pytest.fixture(scope="module", params=MASKED_RECIPES)
def model(request: pytest.FixtureRequest) -> ComposedModel:
    return build(small(request.param), 0)


def test_every_frame_has_a_latent_and_every_patch_a_token(
    model: ComposedModel, windows: Windows
) -> None:
    odd = replace(windows, image=windows.image[:, :3])
    encoded = model.encode(odd)
    span = model.encoder.shape.frames_per_token
    assert encoded.z.shape == (6, 3, 32)
    assert encoded.dense is not None
    assert encoded.dense.shape == (6, -(-3 // span), 64, 32)
    assert len(encoded.levels) == model.encoder.shape.num_levels
    one = model.encode(replace(windows, image=windows.image[:, :1]))
    assert one.z.shape == (6, 1, 32)
    assert torch.isfinite(one.z).all()


def test_visible_patches_are_encoded_as_if_the_others_were_not_there(
    model: ComposedModel, windows: Windows
) -> None:
    assert isinstance(model.encoder, MaskableEncoder)
    one = replace(windows, image=windows.image[:, :1])
    everything = torch.arange(64).expand(6, -1)
    encoded = model.encode(one)
    assert encoded.dense is not None
    tokens = model.encoder.visible(one, everything)
    for seen, level in zip(tokens, (*encoded.levels, encoded.dense), strict=True):
        assert torch.allclose(seen, level[:, 0], atol=1e-5)
    # Patches 0 to 7 are the first row: nothing below it may matter.
    changed = one.image.clone()
    changed[..., 8:, :] = 0.3
    keep = torch.arange(8).expand(6, -1)
    before = model.encoder.visible(one, keep)
    after = model.encoder.visible(replace(one, image=changed), keep)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    changed[..., :8, :] = 0.3
    moved = model.encoder.visible(replace(one, image=changed), keep)
    assert not torch.allclose(before[-1], moved[-1], atol=1e-3)


def test_tokens_of_a_clip_see_its_other_frames_and_those_of_a_frame_do_not(
    windows: Windows,
) -> None:
    changed = windows.image.clone()
    changed[:, 3] = 0.3
    for name, sees in (("ijepa", False), ("vjepa", True)):
        encoder = build(small(name), 0).encoder
        before = encoder(windows).z[:, 0]
        after = encoder(replace(windows, image=changed)).z[:, 0]
        assert torch.allclose(before, after, atol=1e-5) is not sees, name


def test_positions_differ_in_time_row_and_column() -> None:
    table = grid_positions(3, 4, 32).flatten(0, 1)
    assert table.shape == (48, 32)
    apart = torch.cdist(table, table) + torch.eye(48)
    assert apart.min() > 0.01


def test_targets_are_normalised_per_token_and_layer_and_get_no_gradient(
    model: ComposedModel, windows: Windows
) -> None:
    told = told_regions(forward(model, windows))
    for region in told:
        assert not region.target.requires_grad
        assert region.predicted.requires_grad
        assert region.target.shape == region.predicted.shape
        assert region.target.mean(-1).abs().max() < 1e-4
        assert torch.allclose(region.target.var(-1, unbiased=False), torch.ones(()), atol=1e-2)
    assert told[0].target.shape[2] == model.encoder.shape.num_levels + 1


def test_the_prediction_of_a_hidden_patch_is_compared_with_the_token_of_that_patch(
    model: ComposedModel, windows: Windows
) -> None:
    fwd = forward(model, windows)
    told = fwd.once(told_regions)[-1]
    full = model.masks(windows, torch.Generator().manual_seed(0)).windows
    targets = layer_targets(model.target(full))
    element, place = 2, 1
    number = int(told.hidden[element, place])
    assert torch.equal(told.target[element, place], targets[element, number])
    assert number not in told.keep[element]


def test_hidden_losses_are_the_means_that_their_equations_say(windows: Windows) -> None:
    fwd = forward(build(small("vjepa"), 0), windows)
    gaps = [(x.predicted - x.target).abs() for x in fwd.once(told_regions)]
    smooth = [torch.where(g < 1, g.square() / 2, g - 0.5).mean() for g in gaps]
    assert torch.allclose(masked_l1(fwd), torch.stack([g.mean() for g in gaps]).mean())
    assert torch.allclose(masked_smooth_l1(fwd), torch.stack(smooth).mean())


def test_the_distance_to_the_nearest_hidden_patch_counts_tokens_in_time_and_space() -> None:
    keep = torch.tensor([[0, 9, 16]])
    hidden = torch.tensor([[2, 3]])
    # Patches 0, 9 and 16 of 4 x 4 frames: (0, 0, 0), (0, 2, 1) and the next frame's corner.
    distance = nearest_hidden(keep, hidden, side=4)
    assert torch.allclose(distance, torch.tensor([[2.0, 5**0.5, 5**0.5]]))


def test_visible_tokens_weigh_less_the_farther_they_are_from_a_hidden_one(windows: Windows) -> None:
    model = build(small("vjepa2.1"), 0)
    fwd = forward(model, windows, progress=1.0)
    expected = []
    for told in fwd.once(told_regions):
        weight = nearest_hidden(told.keep, told.hidden, 8) ** -0.5
        error = (told.visible - told.visible_target).abs().mean(dim=(2, 3))
        assert weight.max() == 1.0
        expected.append((weight * error).mean())
    assert torch.allclose(visible_l1(fwd), torch.stack(expected).mean())


def test_the_loss_on_visible_tokens_sets_in_during_training(windows: Windows) -> None:
    assert [ramp_factor(p) for p in (0.0, 0.11, 0.22, 1.0)] == [0.0, 0.0, 1.0, 1.0]
    assert ramp_factor(0.165) == pytest.approx(0.5)
    model = build(small("vjepa2.1"), 0)
    early, middle, late = (
        visible_l1(forward(model, windows, progress)).item() for progress in (0.05, 0.165, 0.9)
    )
    assert early == 0.0
    assert middle == pytest.approx(late / 2)


@pytest.mark.parametrize("name", MASKED_RECIPES)
def test_two_steps_reach_every_part_with_finite_gradients(name: str, windows: Windows) -> None:
    recipe = small(name)
    model = take_two_steps(recipe, windows)
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.startswith("target."):
            assert parameter.grad is None
            continue
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name
    slow, fast = model.target.encoder.norm.bias, model.encoder.norm.bias
    assert 0 < slow.abs().max() < fast.abs().max()


def test_the_whole_is_trained_without_encoding_unmasked_frames(windows: Windows) -> None:
    model = build(small("ijepa"), 0)
    fwd = forward(model, windows)
    calls: list[object] = []
    model.encoder.register_forward_hook(lambda *args: calls.append(args))
    total_loss(fwd, {"masked_smooth_l1": 1.0})
    assert not calls


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"encoder": {"width": 48}}, "width 48 is not latent_dim 32"),
        ({"encoder": {"levels": [4]}}, r"levels \[4\] are not among the layers 1 to 3"),
        ({"predictor": {"width": 34}}, "width 34 is no multiple of heads 4"),
        ({"encoder": {"kind": "fused"}}, "accepted: width"),
        ({"losses": {"prediction": 1.0}}, "loss prediction needs predictor"),
    ],
)
def test_contradictions_are_told(changes: dict[str, dict[str, object]], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        build(small("vjepa", **changes), 0)


def test_a_target_that_is_the_encoder_itself_is_refused() -> None:
    recipe = small("vjepa").model_dump() | {"target": {"kind": "live"}}
    with pytest.raises(RecipeError, match="loss masked_l1 needs teacher"):
        build(type(small("vjepa")).model_validate(recipe), 0)
