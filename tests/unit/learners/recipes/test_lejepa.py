import os
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_recipes import tiny_recipe
from torch import distributed, multiprocessing, nn

from learners.batch import Scale, Windows, to_windows
from learners.losses.across import Alone, Processes
from learners.losses.agreement import agreement
from learners.losses.forward import Forward
from learners.losses.sub_sigreg import sigreg, subspace_statistic
from learners.probes import effective_rank
from learners.recipes.build import build
from learners.recipes.model import ComposedModel
from learners.recipes.train import Budget, train_recipe
from memory.records import BodySpec
from memory.replay.ram import RamReplay

DIM, BATCH, TIMES = 16, 24, 3
SHARES = (16, 8)
"""Samples of each process; of different numbers, as the last batch of an epoch may be."""


def latents(model: ComposedModel, windows: Windows) -> torch.Tensor:
    """Batch normalisation hides a collapse in training mode: evaluation mode is what acts."""
    model.eval()
    with torch.no_grad():
        return model.encode(windows).z.flatten(0, 1)


@pytest.fixture(scope="module")
def windows(arena_replay: RamReplay, spec: BodySpec) -> Windows:
    rng = np.random.default_rng(9)
    return to_windows(arena_replay.sample(48, 3, rng, held_out=True), Scale.of(spec), rng)


def test_sigreg_alone_prevents_collapse(
    arena_replay: RamReplay, spec: BodySpec, windows: Windows
) -> None:
    whole = tiny_recipe("lejepa")
    recipes = {
        "lejepa": whole,
        "agreement alone": tiny_recipe("lejepa", losses={"agreement": whole.losses["agreement"]}),
    }
    z = {}
    for name, recipe in recipes.items():
        trained = train_recipe(recipe, arena_replay, Scale.of(spec), Budget(amount=100), 0)
        z[name] = latents(trained.model, windows)
    spread = {name: float(found.std(dim=0).mean()) for name, found in z.items()}
    assert spread["lejepa"] > 0.6
    assert spread["agreement alone"] < 0.15
    assert effective_rank(z["lejepa"].double().numpy()) > 6


def test_neither_a_slow_copy_nor_a_stopped_gradient_is_involved(windows: Windows) -> None:
    model = build(tiny_recipe("lejepa"), 0)
    fwd = Forward(model, windows, torch.Generator().manual_seed(0))
    assert not list(model.target.parameters())
    for frame in range(3):
        share = torch.autograd.grad(agreement(fwd), fwd.z, retain_graph=True)[0][:, frame]
        assert share.abs().sum() > 0


def test_agreement_is_the_mean_square_around_the_mean_of_the_views() -> None:
    class Given(nn.Module):
        def encode(self, windows: object) -> object:
            return type("Encoded", (), {"z": torch.tensor([[[0.0, 1.0], [4.0, 1.0]]])})

    fwd = Forward(Given(), None, torch.Generator())  # type: ignore[arg-type]
    assert agreement(fwd).item() == pytest.approx((4 + 0 + 4 + 0) / 4)


def _statistic(
    weight: torch.Tensor, x: torch.Tensor, across: Alone | Processes, seed: int
) -> torch.Tensor:
    z = torch.tanh(x @ weight)
    planes = torch.eye(DIM).view(4, 4, DIM)
    generator = torch.Generator().manual_seed(seed)
    whole = sigreg(z, generator, 64, across)
    return whole + subspace_statistic(z, planes, generator, 8, across)


def _inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(TIMES, BATCH, 10, generator=generator)
    return torch.randn(10, DIM, generator=generator), x


def _one_process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    store = distributed.FileStore(f"{folder}/store", 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    try:
        weight, x = _inputs()
        weight.requires_grad_()
        # Each process draws its own numbers: the directions have to be agreed on.
        value = _statistic(weight, x.split(SHARES, dim=1)[rank], Processes(), seed=rank)
        value.backward()
        assert weight.grad is not None
        distributed.all_reduce(weight.grad)
        torch.save((value.detach(), weight.grad / 2), f"{folder}/{rank}.pt")
    finally:
        distributed.destroy_process_group()


def test_two_processes_get_the_value_and_the_gradient_of_one_on_the_whole_batch(
    tmp_path: Path,
) -> None:
    multiprocessing.spawn(_one_process, (str(tmp_path),), nprocs=2)
    weight, x = _inputs()
    weight.requires_grad_()
    whole = _statistic(weight, x, Alone(), seed=0)
    whole.backward()
    for rank in range(2):
        value, gradient = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(value, whole.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(gradient, weight.grad, rtol=1e-3, atol=1e-4)


def test_the_mean_of_statistics_of_parts_is_not_that_of_the_whole() -> None:
    weight, x = _inputs()
    parts = [_statistic(weight, part, Alone(), seed=0) for part in x.split(SHARES, dim=1)]
    whole = _statistic(weight, x, Alone(), seed=0)
    assert abs(float(sum(parts) / 2 - whole)) > 0.1 * float(whole)


def test_a_batch_cannot_be_shared_before_there_is_a_group() -> None:
    with pytest.raises(RuntimeError, match="process group"):
        Processes()
