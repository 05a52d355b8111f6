import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel
from tiny_recipes import tiny_recipe

from configs.recipes import load_recipe
from learners.batch import Scale
from learners.losses.catalogue import LOSSES
from learners.losses.forward import Forward
from learners.losses.sub_sigreg import FLOOR, sigreg
from learners.probes import ProbeData, draw_probes
from learners.recipes.build import build
from learners.recipes.surprise import surprise, teleport_auc, teleported
from learners.recipes.train import Budget, Trained, train_recipe
from memory.records import BodySpec
from memory.replay.ram import RamReplay


@pytest.fixture(scope="module")
def probes(arena_replay: RamReplay, spec: BodySpec) -> ProbeData:
    return draw_probes(arena_replay, Scale.of(spec), 64, 10, np.random.default_rng(0))


@pytest.fixture(scope="module")
def trained(arena_replay: RamReplay, spec: BodySpec) -> Trained:
    return train_recipe(tiny_recipe("lewm"), arena_replay, Scale.of(spec), Budget(amount=80), 0)


def test_surprise_rises_when_the_body_is_teleported(trained: Trained, probes: ProbeData) -> None:
    windows = probes.windows
    ordinary = surprise(trained.model, windows, 5)
    carried = surprise(trained.model, teleported(windows, probes.shuffle, 5), 5)
    assert ttest_rel(carried, ordinary, alternative="greater").pvalue < 0.01
    auc = teleport_auc(trained.model, windows, probes.shuffle)
    assert auc is not None
    assert auc > 0.85


def test_an_untrained_model_is_hardly_surprised(probes: ProbeData) -> None:
    model = build(tiny_recipe("lewm"), 0).eval()
    auc = teleport_auc(model, probes.windows, probes.shuffle)
    assert auc is not None
    assert auc < 0.75


def test_nothing_else_than_sigreg_keeps_the_latents_apart(
    trained: Trained, arena_replay: RamReplay, spec: BodySpec, probes: ProbeData
) -> None:
    recipe = load_recipe("lewm")
    assert recipe.losses == {"prediction": 1.0, "sigreg": 0.09}
    bare = tiny_recipe("lewm", losses={"prediction": 1.0})
    other = train_recipe(bare, arena_replay, Scale.of(spec), Budget(amount=80), 0)
    spread = []
    for model in (trained.model, other.model):
        with torch.no_grad():
            spread.append(float(model.encode(probes.windows).z.flatten(0, 1).std(dim=0).mean()))
    assert spread[0] > 0.6
    assert spread[1] < 0.6 * spread[0]


def test_the_statistic_of_trained_latents_comes_near_its_floor(
    trained: Trained, probes: ProbeData
) -> None:
    with torch.no_grad():
        z = trained.model.encode(probes.windows).z.transpose(0, 1)
        fresh = build(tiny_recipe("lewm"), 0).eval().encode(probes.windows).z.transpose(0, 1)
    generator = torch.Generator().manual_seed(0)
    reached, before = (float(sigreg(x, generator)) / FLOOR for x in (z, fresh))
    assert reached < 0.5 * before


def test_the_gradient_flows_into_prediction_and_target(probes: ProbeData) -> None:
    model = build(tiny_recipe("lewm"), 0)
    fwd = Forward(model, probes.windows, torch.Generator().manual_seed(0))
    LOSSES["prediction"].of(fwd).backward()
    into_target = torch.autograd.grad(
        (fwd.z_next.detach() - model.encode(probes.windows).z[:, 1:]).square().mean(),
        model.encoder.patches.weight,
    )[0]
    assert into_target.abs().sum() > 0
    assert model.encoder.patches.weight.grad is not None
    assert not torch.allclose(model.encoder.patches.weight.grad, into_target)


def test_a_teleport_changes_what_is_seen_from_then_on_and_nothing_else(probes: ProbeData) -> None:
    windows = probes.windows
    carried = teleported(windows, probes.shuffle, 4)
    torch.testing.assert_close(carried.image[:, :4], windows.image[:, :4])
    torch.testing.assert_close(carried.image[:, 4:], windows.image[probes.shuffle][:, 4:])
    assert carried.ego is windows.ego
    assert carried.command is windows.command


@pytest.mark.parametrize("time", [0, 10])
def test_a_teleport_outside_the_window_is_refused(probes: ProbeData, time: int) -> None:
    with pytest.raises(ValueError, match=f"time {time} is not between 1 and 9"):
        teleported(probes.windows, probes.shuffle, time)


def test_the_planes_of_sub_jepa_never_change_and_are_saved(
    arena_replay: RamReplay, spec: BodySpec
) -> None:
    recipe = tiny_recipe("sub-jepa")
    before = build(recipe, 3).planes.clone()
    trained = train_recipe(recipe, arena_replay, Scale.of(spec), Budget(amount=5), 3).model
    assert torch.equal(trained.planes, before)
    saved = trained.state_dict()
    assert torch.equal(saved["subspaces.planes"], before)
    other = build(recipe, 4)
    assert not torch.equal(other.planes, before)
    other.load_state_dict(saved)
    assert torch.equal(other.planes, before)
    assert not any(p is trained.planes for p in trained.parameters())
