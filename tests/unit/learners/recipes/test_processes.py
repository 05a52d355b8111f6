"""Processes that share every batch train what one does on the whole of it."""

import os
from pathlib import Path

import pytest
import torch
from tiny_recipes import tiny_recipe
from torch import distributed, multiprocessing, nn

from learners.batch import Scale
from learners.compare_cluster import RayRuns
from learners.config import RayConfig
from learners.losses.across import ALONE, Across, Processes, average_gradients, mine
from learners.parts.shared_norm import share_statistics
from learners.pose_graph import PoseGraph
from learners.recipes.build import build
from learners.recipes.run_spec import Budget, DataSpec, RunResult, RunSpec
from learners.recipes.spec import Recipe, TrainingSpec
from learners.recipes.stored import load_model
from learners.recipes.train import begin, go_on
from learners.round_spec import body_to_dict
from learners.training import Prefetcher
from memory.config import ReplayConfig
from memory.records import BodySpec, Transition
from memory.replay.ram import RamReplay
from memory.replay.store import LanceReplay

STEPS = 3
SEED = 3
EQUAL = ("lewm", "agentd", "value-jepa", "c-jepa", "seq-jepa")
LOSS_TOLERANCE = 1e-3
"""Relative, of every loss of every step: sums are added up in another order, and AdamW makes whole
steps of gradients that are nothing but rounding."""
NORM_TOLERANCE = 1e-2
WEIGHT_TOLERANCE = 0.01
"""Of the way that training has moved the weights."""

Made = tuple[list[dict[str, float]], dict[str, torch.Tensor]]


def recipe_of(name: str) -> Recipe:
    recipe = tiny_recipe(name)
    training = recipe.training.model_copy(update={"batch_size": 8, "learning_rate": 1e-4})
    return recipe.model_copy(update={"training": training})


def check_losses(found: dict[str, float], one: dict[str, float]) -> None:
    norm = found.pop("grad_norm"), one.pop("grad_norm")
    assert found == pytest.approx(one, rel=LOSS_TOLERANCE)
    assert norm[0] == pytest.approx(norm[1], rel=NORM_TOLERANCE)


def weights_apart(name: str, found: dict[str, torch.Tensor], one: dict[str, torch.Tensor]) -> float:
    """Return how far two trained models are apart, as a share of how far training went.

    Shifts are left out: batch normalisation takes most of them away again, so that their gradient
    is rounding and their steps are anything.
    """
    begun = build(recipe_of(name), SEED).state_dict()
    chosen = [k for k in one if not k.endswith(("bias", "running_mean", "num_batches_tracked"))]
    flat = {
        who: torch.cat([state[k].flatten().double() for k in chosen])
        for who, state in (("found", found), ("one", one), ("begun", begun))
    }
    return float((flat["found"] - flat["one"]).norm() / (flat["one"] - flat["begun"]).norm())


@pytest.fixture(scope="module")
def replay(arena_rows: list[Transition]) -> RamReplay:
    replay = RamReplay(ReplayConfig(probe_every=4))
    replay.append(arena_rows[:160])
    return replay


def _train(name: str, replay: RamReplay, spec: BodySpec, across: Across) -> Made:
    training = begin(recipe_of(name), SEED, across)
    budget = Budget(amount=STEPS)
    trained = go_on(training, recipe_of(name), replay, Scale.of(spec), budget, SEED)
    return trained.log.losses, trained.model.state_dict()


def _gradients_of_some(across: Across) -> list[torch.Tensor | None]:
    """Return averaged gradients that the second process alone, the first alone and none has."""
    weights = [nn.Parameter(torch.ones(2, 3, 2, 2)) for _ in range(3)]
    weights[0].data = weights[0].data.contiguous(memory_format=torch.channels_last)
    values = torch.arange(24.0).view(2, 3, 2, 2)
    (weights[1 - across.rank] * values).sum().backward()
    average_gradients(across, weights)
    return [w.grad for w in weights]


def _one_process(rank: int, folder: str, replay: RamReplay, spec: BodySpec) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    store = distributed.FileStore(f"{folder}/store", 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    try:
        across = Processes()
        made = {name: _train(name, replay, spec, across) for name in EQUAL}
        rows = across.whole(torch.full((2, 1), float(rank)))
        torch.save((made, rows, _gradients_of_some(across)), f"{folder}/{rank}.pt")
    finally:
        distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_what_one_does(
    replay: RamReplay, spec: BodySpec, tmp_path: Path
) -> None:
    multiprocessing.spawn(_one_process, (str(tmp_path), replay, spec), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    for name in EQUAL:
        losses, weights = _train(name, replay, spec, ALONE)
        assert first[0][name][0] == second[0][name][0], name
        for key, value in first[0][name][1].items():
            assert torch.equal(value, second[0][name][1][key]), f"{name} {key}"
        for found, one in zip(first[0][name][0], losses, strict=True):
            check_losses(found, one)
        apart = weights_apart(name, first[0][name][1], weights)
        assert apart < WEIGHT_TOLERANCE, name
    assert first[1].flatten().tolist() == [0, 0, 1, 1]
    expected = torch.arange(24.0).view(2, 3, 2, 2) / 2
    for _, _, (by_second, by_first, by_none) in (first, second):
        torch.testing.assert_close(by_second, expected)
        assert by_second.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(by_first, expected)
        assert by_none is None


class _Halves:
    """Stands for two processes that hold the same rows."""

    rank, count = 1, 2

    def total(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    def same(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def whole(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, x])


@pytest.mark.parametrize("affine", [True, False])
def test_shared_normalisation_is_that_of_the_whole_batch(affine: bool) -> None:
    torch.manual_seed(0)
    x, wanted = torch.randn(6, 4, requires_grad=True), torch.randn(6, 4)
    one, shared = nn.BatchNorm1d(4, affine=affine), nn.BatchNorm1d(4, affine=affine)
    share_statistics(shared, _Halves())
    whole = torch.cat([x, x])
    torch.testing.assert_close(shared(x), one(whole)[:6])
    for name, value in one.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], value, msg=name)
    # Twins want the same, so half of what both say is what each says.
    both = (one(whole) * torch.cat([wanted, wanted])).sum() / 2
    (expected,) = torch.autograd.grad(both, x)
    (found,) = torch.autograd.grad((shared(x) * wanted).sum(), x)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    one.eval(), shared.eval()
    shared.load_state_dict(one.state_dict())
    torch.testing.assert_close(shared(x), one(x))


def test_a_share_of_drawn_numbers_is_that_of_the_process() -> None:
    assert mine(_Halves(), torch.arange(5)).tolist() == [2, 3, 4]


def test_a_batch_that_processes_cannot_share_equally_is_refused(
    replay: RamReplay, spec: BodySpec
) -> None:
    with pytest.raises(ValueError, match="a batch of 5 windows cannot be shared by 2 processes"):
        Prefetcher(
            replay,
            TrainingSpec(batch_size=5),
            Scale.of(spec),
            PoseGraph(Scale.of(spec)),
            0,
            across=_Halves(),
        )


@pytest.mark.ray
@pytest.mark.slow
def test_two_ray_workers_train_what_one_does(
    replay: RamReplay, spec: BodySpec, tmp_path: Path
) -> None:
    pytest.importorskip(
        "ray.train", reason="needs the optional group `processes`", exc_type=ImportError
    )
    data = DataSpec(
        memory_folder=tmp_path / "memory",
        replay=ReplayConfig(probe_every=4),
        version=replay.version,
        body=body_to_dict(spec),
        num_windows=8,
    )
    LanceReplay(data.memory_folder, data.replay).append(replay._rows)
    specs = [
        RunSpec(
            recipe=recipe_of(name),
            seed=SEED,
            budget=Budget(amount=STEPS),
            data=data,
            out=tmp_path,
            keep_model=True,
            num_processes=2,
        )
        for name in ("lewm", "agentd")
    ]
    runs = RayRuns(RayConfig(num_cpus=2), tmp_path / "ray")
    try:
        found = {result.recipe: result for result in runs.results(specs) if result is not None}
    finally:
        runs.close()
    for run_spec in specs:
        name = run_spec.recipe.name
        result = found[name]
        assert result.failure is None, result.failure
        assert result == RunResult.model_validate_json(run_spec.result_file.read_text())
        log, weights = _train(name, replay, spec, ALONE)
        mean = {key: sum(step[key] for step in log) / STEPS for key in log[0]}
        check_losses(dict(result.losses), mean)
        model, _ = load_model(run_spec.model_folder)
        assert weights_apart(name, model.state_dict(), weights) < WEIGHT_TOLERANCE
