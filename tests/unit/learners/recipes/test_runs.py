"""One run of a comparison: repeated, cut off, gone on with, kept, refused."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from learners.batch import Scale
from learners.errors import DamagedCheckpointError, NewerCheckpointError, RecipeError
from learners.manifest import MANIFEST_FILE, WEIGHTS_FILE
from learners.recipes.measure import measure
from learners.recipes.run import probe_set, run
from learners.recipes.run_spec import Budget, DataSpec, RunResult, RunSpec
from learners.recipes.spec import Recipe, recipe_sha256
from learners.recipes.stored import load_model, load_training, save_model, save_training
from learners.recipes.train import Training, begin, go_on, train_recipe
from learners.recipes.window_shares import window_shares
from learners.round_spec import body_to_dict
from memory.config import ReplayConfig
from memory.errors import NotEnoughDataError
from memory.records import BodySpec
from memory.replay.ram import RamReplay

FUSED = """
name = "fused"
title = "t"
source = "s"
claim = "c"
latent_dim = 32
[encoder]
kind = "fused"
width = 32
[target]
kind = "ema"
[predictor]
kind = "steered"
width = 32
blocks = 1
[heads.subspaces]
dim = 8
[heads.quasi_distance]
[losses]
prediction = 1.0
sub_sigreg = 0.09
quasi_distance = 0.3
[training]
batch_size = 4
"""
VIT = """
name = "pixels"
title = "t"
source = "s"
claim = "c"
latent_dim = 16
[encoder]
kind = "vit"
patch_px = 16
width = 32
layers = 1
[predictor]
kind = "causal"
width = 32
layers = 1
[losses]
prediction = 1.0
sigreg = 0.09
[training]
batch_size = 4
horizon = 4
"""


def recipe(text: str) -> Recipe:
    return Recipe.model_validate(tomllib.loads(text))


@pytest.fixture
def make(arena_replay: RamReplay, spec: BodySpec, tmp_path: Path) -> Callable[..., RunSpec]:
    def run_spec(text: str = VIT, **changes: object) -> RunSpec:
        data = DataSpec(
            memory_folder=tmp_path / "memory",
            replay=ReplayConfig(probe_every=4),
            version=arena_replay.version,
            body=body_to_dict(spec),
            num_windows=16,
        )
        fields = {
            "recipe": recipe(text),
            "seed": 1,
            "budget": Budget(amount=6),
            "data": data,
            "out": tmp_path / "out",
        }
        return RunSpec.model_validate(fields | changes)

    return run_spec


class CutOff(Exception):
    pass


def _cut_off_at(update: int, training: Training, path: Path) -> Callable[[int, int], None]:
    def note(done: int, planned: int) -> None:
        if done == update:
            save_training(path, training, "run")
            raise CutOff

    return note


@pytest.mark.parametrize(
    "text",
    [FUSED, VIT, FUSED + "accumulate = 2\n", VIT + 'precision = "bfloat16"\n'],
    ids=["fused", "pixels", "accumulated", "bfloat16"],
)
def test_a_training_that_was_cut_off_goes_on_bit_for_bit(
    text: str, arena_replay: RamReplay, spec: BodySpec, tmp_path: Path
) -> None:
    chosen, scale, budget = recipe(text), Scale.of(spec), Budget(amount=6)
    whole = train_recipe(chosen, arena_replay, scale, budget, 3)
    path = tmp_path / "state"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        first = begin(chosen, 3)
        with pytest.raises(CutOff):
            go_on(first, chosen, arena_replay, scale, budget, 3, _cut_off_at(3, first, path))
    torch.manual_seed(77)
    second = begin(chosen, 3)
    assert load_training(path, second, "run")
    assert second.log.num_updates == 3
    resumed = go_on(second, chosen, arena_replay, scale, budget, 3)
    assert resumed.log.num_updates == 6
    assert resumed.log.losses == whole.log.losses
    expected = whole.model.state_dict()
    found = resumed.model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_cut_off_run_takes_up_its_state_and_leaves_only_its_result(
    make: Callable[..., RunSpec], arena_replay: RamReplay, spec: BodySpec
) -> None:
    run_spec = make()
    whole = run(run_spec, arena_replay)
    assert whole.failure is None, whole.failure
    run_spec.result_file.unlink()
    training = begin(run_spec.recipe, 1)
    note = _cut_off_at(4, training, run_spec.state_file)
    budget, scale = run_spec.budget, Scale.of(spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        with pytest.raises(CutOff):
            go_on(training, run_spec.recipe, arena_replay, scale, budget, 1, note)
        save_training(run_spec.state_file, training, run_spec.name)
    again = run(run_spec, arena_replay)
    assert again.metrics == whole.metrics
    assert again.windows == whole.windows
    assert [p.name for p in run_spec.result_file.parent.iterdir()] == [run_spec.result_file.name]
    assert RunResult.model_validate_json(run_spec.result_file.read_text()) == again


def test_a_state_of_another_run_is_refused(make: Callable[..., RunSpec], tmp_path: Path) -> None:
    training = begin(recipe(VIT), 0)
    path = tmp_path / "state"
    assert not load_training(path, training, "mine")
    save_training(path, training, "other")
    with pytest.raises(DamagedCheckpointError, match="belongs to the run other, not to mine"):
        load_training(path, training, "mine")
    path.write_bytes(b"nonsense")
    with pytest.raises(DamagedCheckpointError, match="delete it"):
        load_training(path, training, "mine")


def test_the_name_of_a_run_changes_with_what_decides_its_result(
    make: Callable[..., RunSpec],
) -> None:
    first = make()
    other_data = first.data.model_copy(update={"version": first.data.version - 1})
    others = [
        make(VIT.replace("prediction = 1.0", "prediction = 2.0")),
        make(budget=Budget(amount=7)),
        make(budget=Budget(amount=6, unit="cpu_s")),
        make(data=other_data),
        make(seed=2),
    ]
    assert len({first.name, *(other.name for other in others)}) == 6
    assert make(out=first.out / "elsewhere", nice=0).name == first.name
    assert make("# a comment\n" + VIT).name == first.name


def test_a_field_that_a_later_program_adds_leaves_the_names_of_runs_alone(
    make: Callable[..., RunSpec],
) -> None:
    class Later(Recipe):
        added: int = 3

    recipe = make().recipe
    assert recipe_sha256(Later(**recipe.model_dump())) == recipe_sha256(recipe)
    assert recipe_sha256(Later(**recipe.model_dump(), added=4)) != recipe_sha256(recipe)


def test_shares_of_the_windows_have_the_metrics_as_their_means(
    make: Callable[..., RunSpec], arena_replay: RamReplay
) -> None:
    run_spec = make()
    probes, graph = probe_set(arena_replay, run_spec.data)
    model = begin(run_spec.recipe, 0).updater.model
    found = measure(model, probes, graph, 0)
    shares = window_shares(model, probes, found)
    assert {"k1", "k8", "action_sensitivity", "r2_xy", "r2_heading"} < set(shares)
    for name, share in shares.items():
        assert np.isclose(share.mean(), found[name], rtol=1e-9), name


def test_all_runs_are_probed_on_the_same_windows(
    make: Callable[..., RunSpec], arena_replay: RamReplay
) -> None:
    results = [run(make(text, seed=s), arena_replay) for text, s in ((VIT, 0), (FUSED, 5))]
    assert {r.failure for r in results} == {None}
    assert len({r.probes_sha256 for r in results}) == 1
    assert all(r.parameters > 0 and r.cpu_s > 0 and r.updates == 6 for r in results)


def test_a_recipe_that_fails_is_a_result_with_its_reason_and_is_tried_again(
    make: Callable[..., RunSpec], arena_replay: RamReplay
) -> None:
    for text, reason in (
        (VIT.replace("sigreg = 0.09", "rolout = 1.0"), "RecipeError: .*did you mean 'rollout'"),
        (VIT.replace("horizon = 4", "horizon = 400"), "NotEnoughDataError: no training episode"),
        (VIT.replace("[training]", "[training]\nlearning_rate = 1e30"), "NotFiniteError|finite"),
    ):
        run_spec = make(text)
        result = run(run_spec, arena_replay)
        assert re.search(reason, result.failure or ""), result.failure
        assert not run_spec.result_file.exists()


def test_too_little_held_out_data_says_what_is_there(
    make: Callable[..., RunSpec], arena_replay: RamReplay
) -> None:
    data = make().data.model_copy(update={"horizon": 41})
    with pytest.raises(NotEnoughDataError, match=r"no held-out episode has 41 frames.*40"):
        probe_set(arena_replay, data)


def test_a_kept_model_comes_back_bit_for_bit(
    make: Callable[..., RunSpec], arena_replay: RamReplay
) -> None:
    run_spec = make(FUSED, keep_model=True)
    assert run(run_spec, arena_replay).failure is None
    model, manifest = load_model(run_spec.model_folder, run_spec.recipe)
    assert manifest.seed == 1
    assert manifest.replay_version == arena_replay.version
    assert manifest.recipe == run_spec.recipe
    probes, _ = probe_set(arena_replay, run_spec.data)
    again = save_model(run_spec.model_copy(update={"out": run_spec.out / "b"}), model, 6)
    with torch.inference_mode():
        z = [load_model(f)[0].encode(probes.windows).z for f in (run_spec.model_folder, again)]
    assert torch.equal(*z)
    assert (again / WEIGHTS_FILE).read_bytes() == (
        run_spec.model_folder / WEIGHTS_FILE
    ).read_bytes()


def test_a_kept_model_of_another_recipe_format_or_content_is_refused(
    make: Callable[..., RunSpec],
) -> None:
    run_spec = make()
    folder = save_model(run_spec, begin(run_spec.recipe, 1).updater.model, 0)
    with pytest.raises(RecipeError, match=r"holds a model of recipe 'pixels'.*not of 'fused'"):
        load_model(folder, recipe(FUSED))
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    for change, error, words in (
        ({"format_version": 9}, NewerCheckpointError, "has format 9"),
        ({"recipe_sha256": "0" * 64}, DamagedCheckpointError, "its recipe has the hash"),
        ({"weights_sha256": "0" * 64}, DamagedCheckpointError, "the manifest says 0000"),
        ({"surprise": 1}, DamagedCheckpointError, "damaged"),
    ):
        (folder / MANIFEST_FILE).write_text(json.dumps(manifest | change))
        with pytest.raises(error, match=words):
            load_model(folder)
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(DamagedCheckpointError, match="No such file"):
        load_model(folder)
