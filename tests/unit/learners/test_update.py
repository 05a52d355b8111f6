import dataclasses

import numpy as np
import pytest
import torch
from tiny_recipes import arena_recipe

from learners.batch import Scale, Windows, to_windows
from learners.errors import RecipeError
from learners.recipes.build import build
from learners.update import (
    NotFiniteError,
    Updater,
    load_optimizer,
    optimizer_tensors,
    rate_factor,
    updater_for,
)
from memory.records import BodySpec
from memory.replay.ram import RamReplay


@pytest.fixture(scope="module")
def windows(arena_replay: RamReplay, spec: BodySpec) -> Windows:
    rng = np.random.default_rng(0)
    return to_windows(arena_replay.sample(4, 10, rng), Scale.of(spec), rng, crops=4)


def _updater() -> Updater:
    recipe = arena_recipe(learning_rate=1e-3)
    return updater_for(build(recipe, 0), recipe)


def _step(updater: Updater, windows: Windows, seed: int = 0) -> dict[str, float]:
    return updater.step(windows, torch.Generator().manual_seed(seed), 0.5).losses


def test_a_poisoned_batch_is_refused_by_name_and_leaves_the_weights_alone(
    windows: Windows,
) -> None:
    updater = _updater()
    before = {k: v.clone() for k, v in updater.model.named_parameters()}
    poisoned = dataclasses.replace(windows, action=windows.action * float("nan"))
    with pytest.raises(NotFiniteError, match="inverse_dynamics is nan"):
        _step(updater, poisoned)
    assert all(torch.equal(before[k], v) for k, v in updater.model.named_parameters())


def test_a_step_changes_the_weights_but_never_the_subspaces(windows: Windows) -> None:
    updater = _updater()
    subspaces = updater.model.planes.clone()
    before = {k: v.clone() for k, v in updater.model.named_parameters()}
    losses = _step(updater, windows)
    assert np.isfinite(list(losses.values())).all()
    assert torch.equal(subspaces, updater.model.planes)
    changed = [k for k, v in updater.model.named_parameters() if not torch.equal(before[k], v)]
    assert any(k.startswith("encoder") for k in changed)


def test_a_step_tells_the_error_of_each_window(windows: Windows) -> None:
    updater = _updater()
    step = updater.step(windows, torch.Generator().manual_seed(0), 0.5)
    assert step.window_error.shape == (4,)
    assert step.window_error.mean() == pytest.approx(step.losses["prediction"], rel=1e-5)
    assert np.ptp(step.window_error) > 0


def test_an_optimiser_that_was_saved_goes_on_where_it_was(windows: Windows) -> None:
    first = _updater()
    _step(first, windows)
    second = _updater()
    second.model.load_state_dict(first.model.state_dict())
    load_optimizer(second, optimizer_tensors(first))
    _step(first, windows, seed=1)
    _step(second, windows, seed=1)
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_learning_rate_rises_stays_and_falls() -> None:
    assert rate_factor(0.0) < 0.5
    assert rate_factor(0.3) == 1
    assert 0 < rate_factor(0.99) < 0.1


def test_a_part_with_a_rate_of_its_own_moves_that_much_further(windows: Windows) -> None:
    moved = {}
    for rate in (1.0, 3.0):
        recipe = arena_recipe(rates={"quasi_distance": rate}, weight_decay=0.0)
        updater = updater_for(build(recipe, 0), recipe)
        before = {k: v.clone() for k, v in updater.model.named_parameters()}
        _step(updater, windows)
        moved[rate] = {k: v.detach() - before[k] for k, v in updater.model.named_parameters()}
    for name, change in moved[1.0].items():
        factor = 3.0 if name.startswith("quasi_distance.") else 1.0
        torch.testing.assert_close(moved[3.0][name], factor * change, rtol=1e-3, atol=1e-6)


def test_a_rate_of_no_part_is_refused() -> None:
    recipe = arena_recipe(rates={"distance": 2.0})
    with pytest.raises(RecipeError, match="there is no part distance; its parts are encoder, targ"):
        build(recipe, 0)
