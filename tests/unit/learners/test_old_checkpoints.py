"""Checkpoints that were made before they carried a recipe: planted as they were written then."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from learners.checkpoint import load_model
from learners.errors import DamagedCheckpointError
from learners.inference import TorchModel
from learners.manifest import sha256_of
from learners.recipes.spec import values_sha256
from learners.registry import Registry
from learners.round import run_round
from learners.round_spec import RoundSpec
from memory.replay.ram import RamReplay

MakeSpec = Callable[..., RoundSpec]

SHAPE = {"latent_dim": 32, "width": 64, "predictor_blocks": 2, "subspace_dim": 8}
OLD = (
    ("encoder.frames.", "encoder."),
    ("predictor.steps.", "predictor."),
    ("subspaces.planes", "subspaces"),
)


def old_name(name: str) -> str:
    for now, then in OLD:
        name = name.replace(now, then) if name.startswith(now) else name
    return name


def age(folder: Path, version: int, **changes: Any) -> None:
    """Rewrite a checkpoint as a program of an older format would have written it."""
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    recipe = manifest.pop("recipe")
    del manifest["recipe_sha256"]
    manifest |= {"format_version": version, "model": SHAPE, "losses": recipe["losses"]}
    if version == 3:
        manifest |= {"recipe": "agentd", "losses": {**recipe["losses"], "l2_init": 0.0}}
    for name in ("weights.safetensors", "optimizer.safetensors"):
        tensors = {old_name(k): v.clone() for k, v in load_file(folder / name).items()}
        save_file(tensors, folder / name)
        manifest["files"][name] = sha256_of((folder / name).read_bytes())
    file.write_text(json.dumps(manifest | changes))


@pytest.fixture
def first(arena_spec: MakeSpec, arena_replay: RamReplay) -> tuple[RoundSpec, Registry, str]:
    """A round's spec, and the checkpoint that it made."""
    spec = arena_spec(2)
    made = run_round(spec, arena_replay).checkpoint_id
    assert made is not None
    registry = Registry(spec.checkpoints_folder)
    registry.promote(made)
    return spec.model_copy(update={"parent_id": made}), registry, made


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_old_checkpoint_acts_as_it_did(
    first: tuple[RoundSpec, Registry, str], arena_replay: RamReplay, version: int
) -> None:
    _, registry, made = first
    folder, batch = registry.path(made), arena_replay.sample(4, 3, np.random.default_rng(0))
    before = TorchModel.load(folder, registry.manifest(made)).latents(batch)
    age(folder, version)
    manifest = registry.verify(made)
    assert (manifest.format_version, manifest.recipe.latent_dim) == (version, 32)
    after = TorchModel.load(folder, manifest).latents(batch)
    np.testing.assert_array_equal(before, after)


def test_a_round_goes_on_from_an_old_checkpoint_to_the_bit(
    first: tuple[RoundSpec, Registry, str], arena_replay: RamReplay
) -> None:
    spec, registry, made = first
    found = []
    for is_old in (False, True):
        if is_old:
            age(registry.path(made), 3)
        result = run_round(spec.model_copy(update={"trunk_id": made}), arena_replay)
        assert result.new_lineage == ""
        child = registry.manifest(result.checkpoint_id or "")
        assert (child.parent_id, child.format_version) == (made, 4)
        found.append((result.metrics, load_model(registry.path(child.id), child).state_dict()))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(found[0][1][name], value) for name, value in found[1][1].items())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": {"depth": 3}}, r"model has unknown settings \['depth'\]; accepted: \["),
        ({"model": {**SHAPE, "width": 128}}, "does not fit the model that its manifest describes"),
        ({"losses": {"invented": 1.0}}, "cannot build what it describes .*'invented' is unknown"),
    ],
)
def test_an_old_checkpoint_that_cannot_be_read_is_refused_by_name(
    first: tuple[RoundSpec, Registry, str], changes: dict[str, Any], told: str
) -> None:
    _, registry, made = first
    age(registry.path(made), 3, **changes)
    with pytest.raises(DamagedCheckpointError, match=told) as caught:
        load_model(registry.path(made), registry.manifest(made))
    assert made in str(caught.value)


def test_a_recipe_that_was_altered_in_the_manifest_is_refused(
    first: tuple[RoundSpec, Registry, str],
) -> None:
    _, registry, made = first
    file = registry.path(made) / "manifest.json"
    values = json.loads(file.read_text())
    values["recipe"]["losses"]["rollout"] = 3.0
    file.write_text(json.dumps(values))
    with pytest.raises(DamagedCheckpointError, match="the recipe has the hash"):
        registry.manifest(made)


def test_a_field_that_recipes_got_later_makes_no_older_one_look_altered(
    first: tuple[RoundSpec, Registry, str],
) -> None:
    _, registry, made = first
    file = registry.path(made) / "manifest.json"
    values = json.loads(file.read_text())
    del values["recipe"]["training"]["rates"]
    values["recipe_sha256"] = values_sha256(values["recipe"])
    file.write_text(json.dumps(values))
    manifest = registry.verify(made)
    assert manifest.recipe.training.rates == {}
    load_model(registry.path(made), manifest)
