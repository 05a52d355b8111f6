import numpy as np
import pytest
import torch
from tiny_recipes import arena_recipe

from learners.batch import Scale, Windows, to_windows
from learners.losses.catalogue import LOSSES
from learners.losses.forward import Forward, motion_inputs
from learners.losses.objects import contrast
from learners.losses.prediction import prediction
from learners.losses.rollout import rollout
from learners.losses.total import total_loss, weights_for
from learners.parts.kinds import Encoded
from learners.recipes.build import build
from memory.records import BodySpec
from memory.replay.ram import RamReplay


@pytest.fixture(scope="module")
def windows(arena_replay: RamReplay, spec: BodySpec) -> Windows:
    rng = np.random.default_rng(0)
    return to_windows(arena_replay.sample(6, 10, rng), Scale.of(spec), rng, crops=8)


@pytest.fixture(scope="module")
def fwd(windows: Windows) -> Forward:
    model = build(arena_recipe(), 0)
    return Forward(model, windows, torch.Generator().manual_seed(0))


WEIGHTS = arena_recipe().losses


def test_every_weight_of_the_daemon_is_of_a_loss_that_its_model_has_the_parts_for(
    fwd: Forward,
) -> None:
    assert WEIGHTS.keys() <= LOSSES.keys()
    with pytest.raises(KeyError, match="invented"):
        total_loss(fwd, {**WEIGHTS, "invented": 1.0})


def test_a_pass_computes_each_thing_once(windows: Windows) -> None:
    fwd = Forward(build(arena_recipe(), 0), windows, torch.Generator())
    calls: list[Forward] = []
    note = calls.append
    assert fwd.once(note) is None
    assert fwd.once(note) is None
    assert calls == [fwd]
    assert fwd.z is fwd.z


def test_all_gradients_are_finite_and_reach_the_parts_they_should(fwd: Forward) -> None:
    model = fwd.model
    total, parts = total_loss(fwd, weights_for(WEIGHTS, 6))
    model.zero_grad()
    total.backward(retain_graph=True)
    assert parts.keys() == {name for name, weight in WEIGHTS.items() if weight}
    assert all(torch.isfinite(p) for p in parts.values())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_the_quasi_distance_leaves_the_encoder_alone(fwd: Forward) -> None:
    fwd.model.zero_grad()
    LOSSES["quasi_distance"].of(fwd).backward(retain_graph=True)
    assert all(p.grad is None for p in fwd.model.encoder.parameters())
    assert any(p.grad is not None for p in fwd.model.quasi_distance.parameters())


class Counting:
    """A world whose latents count the frames, and a model that counts on from one, off by `off`."""

    def __init__(self, off: float) -> None:
        self.off = off

    def encode(self, windows: Windows) -> Encoded:
        b, t = windows.image.shape[:2]
        z = torch.arange(float(t))[None, :, None].expand(b, -1, 32)
        return Encoded(z=z, appearance=windows.geometry)

    def predict(self, z: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return z + 1 + self.off

    def rollout(self, z: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        return z[:, None] + 1 + self.off + torch.arange(float(actions.shape[1]))[:, None]


def test_predictions_are_compared_with_the_frames_they_stand_for(windows: Windows) -> None:
    for off in (0.0, 1.0):
        fwd = Forward(Counting(off), windows, torch.Generator())
        assert rollout(fwd).item() == pytest.approx(off)
        assert prediction(fwd).item() == pytest.approx(off)


def test_motion_is_judged_with_the_command_that_leads_to_the_frame(fwd: Forward) -> None:
    z, command, after = motion_inputs(fwd)
    b, t = fwd.z.shape[:2]
    assert len(z) == len(command) == len(after) == b * (t - 1) + 2 * b * 7
    before = after - 1
    torch.testing.assert_close(command, fwd.windows.command.flatten(0, 1)[before])
    torch.testing.assert_close(z[: b * (t - 1)], fwd.z.flatten(0, 1)[before[: b * (t - 1)]])


def test_telling_objects_apart_costs_less_when_the_crops_agree(windows: Windows) -> None:
    model = build(arena_recipe(), 0)
    crops = windows.crops
    assert crops is not None
    p = len(crops.slot)
    pair = type(crops)
    own_slots = torch.arange(1, p + 1)
    same = pair(first=crops.first, second=crops.first, slot=own_slots)
    swapped = pair(first=crops.first, second=crops.first.roll(1, 0), slot=own_slots)
    assert contrast(model, same) < contrast(model, swapped)


def test_the_pull_to_the_first_weights_is_their_squared_distance(windows: Windows) -> None:
    recipe = arena_recipe()
    model = build(recipe.model_copy(update={"losses": {**recipe.losses, "l2_init": 1.0}}), 0)
    fwd = Forward(model, windows, torch.Generator())
    assert LOSSES["l2_init"].of(fwd).item() == 0
    with torch.no_grad():
        model.predictor.steps.steer.bias += 0.5
    value = LOSSES["l2_init"].of(fwd)
    assert value.item() == pytest.approx(0.25 * model.predictor.steps.steer.bias.numel())
    value.backward()
    assert torch.allclose(model.predictor.steps.steer.bias.grad, torch.tensor(1.0))
