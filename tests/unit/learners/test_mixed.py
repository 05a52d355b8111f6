"""Gradients of several batches, products in few bits, and other devices."""

import dataclasses
import tomllib

import numpy as np
import pytest
import torch
from tiny_recipes import tiny_recipe

from learners.batch import Scale, Windows, rows_of, to_windows
from learners.devices import CPU, best_device, made_on, to_device
from learners.losses.forward import Forward
from learners.losses.total import total_loss, weights_for
from learners.parts.kinds import Encoded
from learners.precision import InBfloat16, in_float32
from learners.recipes.build import build
from learners.recipes.model import ComposedModel
from learners.recipes.run_spec import Budget
from learners.recipes.spec import Recipe
from learners.recipes.train import begin, train_recipe
from learners.update import Updater, updater_for
from memory.records import BodySpec
from memory.replay.ram import RamReplay

MEANS = """
name = "means"
title = "t"
source = "s"
claim = "c"
latent_dim = 32
[encoder]
kind = "patch_vit"
patch_px = 16
width = 32
layers = 1
[predictor]
kind = "steered"
width = 32
blocks = 1
[heads.inverse_dynamics]
[losses]
prediction = 1.0
rollout = 0.5
inverse_dynamics = 1.0
[training]
batch_size = 4
learning_rate = 3e-4
"""
"""No statistic of a batch anywhere: every loss is a mean over windows."""


@pytest.fixture(scope="module")
def windows(arena_replay: RamReplay, spec: BodySpec) -> Windows:
    rng = np.random.default_rng(0)
    return to_windows(arena_replay.sample(8, 5, rng), Scale.of(spec), rng)


def _with(recipe: Recipe, **changes: object) -> Recipe:
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})


def _updater(recipe: Recipe) -> Updater:
    return updater_for(build(recipe, 0), recipe)


def test_gradients_of_two_batches_make_the_step_of_one_twice_as_large(windows: Windows) -> None:
    recipe = Recipe.model_validate(tomllib.loads(MEANS))
    whole, halves = _updater(recipe), _updater(_with(recipe, accumulate=2))
    for _ in range(3):
        parts = iter([rows_of(windows, slice(0, 4)), rows_of(windows, slice(4, 8))])
        one = whole.step(windows, torch.Generator().manual_seed(0), 0.5)
        two = halves.step_of(lambda: next(parts), torch.Generator().manual_seed(0), 0.5)  # noqa: B023
        assert two.losses == pytest.approx(one.losses, rel=1e-4)
        np.testing.assert_allclose(two.window_error, one.window_error[4:], rtol=1e-4)
    for a, b in zip(whole.model.parameters(), halves.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_the_regulariser_of_accumulated_batches_is_that_of_small_ones(windows: Windows) -> None:
    """It grows with the batch, and each batch is one to it: its weight follows the batch's size."""
    recipe = tiny_recipe("lewm")
    half = rows_of(windows, slice(0, 4))
    generator = torch.Generator().manual_seed(0)
    small = _updater(recipe).step(half, torch.Generator().manual_seed(0), 0.5).losses["sigreg"]
    two = _updater(_with(recipe, accumulate=2)).step(half, generator, 0.5).losses["sigreg"]
    assert two == pytest.approx(small, rel=0.2)


@pytest.mark.parametrize("name", ["lewm", "agentd", "value-jepa"])
def test_training_in_bfloat16_stays_near_float32(
    name: str, arena_replay: RamReplay, spec: BodySpec
) -> None:
    recipe = _with(tiny_recipe(name), batch_size=8)
    budget, scale = Budget(amount=12), Scale.of(spec)
    full, half = (
        train_recipe(_with(recipe, precision=p), arena_replay, scale, budget, 0).log.losses
        for p in ("float32", "bfloat16")
    )
    assert half[0] != full[0]
    for loss, value in full[0].items():
        assert half[0][loss] == pytest.approx(value, rel=0.05, abs=0.01), loss
    totals = [
        sum(weight * step[loss] for loss, weight in recipe.losses.items())
        for step in (full[-1], half[-1])
    ]
    assert totals[1] == pytest.approx(totals[0], rel=0.15)


def test_parts_in_bfloat16_answer_in_float32_and_pass_for_what_they_are(
    windows: Windows,
) -> None:
    model = build(tiny_recipe("agentd"), 0)
    wrapped = InBfloat16(model, "cpu")
    assert isinstance(wrapped, ComposedModel)
    assert isinstance(wrapped.target, type(model.target))
    full, half = model.encode(windows), wrapped.encode(windows)
    assert isinstance(half, Encoded)
    assert half.z.dtype == torch.float32
    assert half.appearance.dtype == torch.float32
    assert not torch.equal(half.z, full.z)
    points = wrapped.quasi_distance.points(half.z)
    assert points.dtype == torch.float32
    assert wrapped.planes is model.planes
    assert [p.dtype for p in model.parameters()].count(torch.bfloat16) == 0
    pair = (torch.ones(1, dtype=torch.bfloat16), "word")
    assert in_float32(pair)[0].dtype == torch.float32
    assert in_float32(pair)[1] == "word"


def test_without_a_card_the_processor_trains_and_nothing_is_moved(windows: Windows) -> None:
    if not torch.cuda.is_available():
        assert best_device() == CPU
    assert to_device(windows, CPU) is windows
    assert begin(tiny_recipe("lewm"), 0, device=CPU).updater.device == CPU


@pytest.mark.parametrize("name", ["lewm", "sub-jepa", "value-jepa", "vjepa-var", "lejepa"])
def test_losses_make_everything_on_the_device_of_the_model(name: str, windows: Windows) -> None:
    """On a device that holds no numbers: mixing it with the processor raises."""
    recipe, device = tiny_recipe(name), torch.device("meta")
    model = build(recipe, 0).to(device)
    given = dataclasses.replace(windows, crops=None, pairs=None, planned=None)
    with made_on(device):
        fwd = Forward(model, to_device(given, device), torch.Generator(CPU), 0.5)
        total, parts = total_loss(fwd, weights_for(recipe.losses, 8))
    assert total.device == device
    assert all(part.device == device for part in parts.values())


@pytest.mark.gpu
def test_a_card_trains_about_what_the_processor_does(windows: Windows) -> None:
    recipe, card = tiny_recipe("agentd"), best_device()
    assert card.type == "cuda"
    found = []
    for device in (CPU, card):
        training = begin(recipe, 0, device=device)
        steps = [training.updater.step(windows, training.generator, 0.5) for _ in range(5)]
        found.append([step.losses["prediction"] for step in steps])
    assert found[1] == pytest.approx(found[0], rel=0.1)
