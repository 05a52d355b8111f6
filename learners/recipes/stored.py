"""Trained recipes, and trainings on their way, as files: numbers in safetensors, words in JSON."""

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Shaped
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from learners.errors import DamagedCheckpointError, NewerCheckpointError, RecipeError
from learners.manifest import MANIFEST_FILE, WEIGHTS_FILE, sha256_of
from learners.recipes.build import build
from learners.recipes.model import ComposedModel
from learners.recipes.run_spec import FORMAT, Budget, RunSpec
from learners.recipes.spec import Recipe, values_sha256
from learners.recipes.train import Training
from learners.update import load_optimizer, optimizer_tensors
from memory.files import write_atomic

_WORDS = "training"
_KEPT_LOSSES = 50
"""Steps whose losses are kept with a training: those that its mean is taken over."""


class RecipeManifest(BaseModel):
    """What a kept model says about itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = FORMAT
    recipe: Recipe
    recipe_sha256: str
    seed: int
    budget: Budget
    replay_version: int
    """Rows with steps below this were trained from."""
    body: dict[str, Any]
    updates: int
    weights_sha256: str


def save_model(spec: RunSpec, model: ComposedModel, updates: int) -> Path:
    """Write a trained model into the run's folder and return that."""
    folder = spec.model_folder
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({name: value.contiguous() for name, value in model.state_dict().items()})
    manifest = RecipeManifest(
        recipe=spec.recipe,
        recipe_sha256=values_sha256(spec.recipe.model_dump(mode="json")),
        seed=spec.seed,
        budget=spec.budget,
        replay_version=spec.data.version,
        body=spec.data.body,
        updates=updates,
        weights_sha256=sha256_of(weights),
    )
    write_atomic(folder / WEIGHTS_FILE, weights)
    # Last: a folder without it is not a model.
    write_atomic(folder / MANIFEST_FILE, manifest.model_dump_json(indent=1).encode() + b"\n")
    return folder


def load_model(folder: Path, recipe: Recipe | None = None) -> tuple[ComposedModel, RecipeManifest]:
    """Return a kept model, in evaluation mode, and its manifest.

    Args:
        folder: As `save_model` returned it.
        recipe: What the model has to be; None takes whatever it is.

    Raises:
        RecipeError: If it is of another recipe than asked for.
        NewerCheckpointError: If a newer program wrote it.
        DamagedCheckpointError: If a file is missing, changed or does not fit the other.
    """
    manifest = _manifest(folder)
    if recipe is not None and recipe != manifest.recipe:
        other = values_sha256(recipe.model_dump(mode="json"))
        raise RecipeError(
            f"{folder} holds a model of recipe {manifest.recipe.name!r} "
            f"({manifest.recipe_sha256[:12]}), not of {recipe.name!r} "
            f"({other[:12]}); train it again, or load it with its own recipe"
        )
    try:
        weights = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise _damaged(folder / WEIGHTS_FILE, str(error.strerror)) from error
    if (found := sha256_of(weights)) != manifest.weights_sha256:
        raise _damaged(
            folder / WEIGHTS_FILE,
            f"sha256 {found[:12]}, the manifest says {manifest.weights_sha256[:12]}",
        )
    model = build(manifest.recipe, manifest.seed)
    try:
        model.load_state_dict(load(weights))
    except (RuntimeError, SafetensorError) as error:
        raise _damaged(folder / WEIGHTS_FILE, str(error).splitlines()[0]) from error
    return model.eval(), manifest


def _manifest(folder: Path) -> RecipeManifest:
    file = folder / MANIFEST_FILE
    try:
        values = json.loads(file.read_text("utf-8"))
        version = values["format_version"]
        if version > FORMAT:
            raise NewerCheckpointError(
                f"{file} has format {version}; this program reads up to {FORMAT}: use the newer "
                "program that wrote it"
            )
        manifest = RecipeManifest.model_validate(values)
    except OSError as error:
        raise _damaged(file, str(error.strerror)) from error
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        raise _damaged(file, str(error).splitlines()[0]) from error
    # As it was written: a field that came later must not make an older one look altered.
    if (found := values_sha256(values["recipe"])) != manifest.recipe_sha256:
        raise _damaged(
            file,
            f"its recipe has the hash {found[:12]}, it says {manifest.recipe_sha256[:12]}",
        )
    return manifest


def save_training(path: Path, training: Training, name: str) -> None:
    """Write a training on its way, `torch`'s own generator included.

    Args:
        path: File; an older one is replaced in one step.
        training: What to keep.
        name: Of the run, so that no other goes on from it.
    """
    updater, log = training.updater, training.log
    tensors = {f"model.{k}": v.contiguous() for k, v in updater.model.state_dict().items()}
    tensors |= {f"optimizer.{k}": v for k, v in optimizer_tensors(updater).items()}
    tensors["generator.losses"] = training.generator.get_state()
    tensors["generator.torch"] = torch.get_rng_state()
    words = {
        "name": name,
        "num_updates": log.num_updates,
        "seconds": log.seconds,
        "waited_s": log.waited_s,
        "losses": log.losses[-_KEPT_LOSSES:],
        "wall_s": log.wall_s,
        "cpu_s": log.cpu_s,
        "flops_per_update": log.flops_per_update,
    }
    write_atomic(path, save(tensors, {_WORDS: json.dumps(words)}))


def load_training(path: Path, training: Training, name: str) -> bool:
    """Bring a begun training to where a saved one was; its steps then are bit for bit the same.

    `torch`'s own generator is set, too.

    Args:
        path: File of `save_training`.
        training: Of the same recipe, from `learners.recipes.train.begin`; changed in place.
        name: Of the run.

    Returns:
        False if there is no such file.

    Raises:
        DamagedCheckpointError: If it cannot be read, or belongs to another run.
    """
    if not path.exists():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            words = json.loads(file.metadata()[_WORDS])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, str(error).splitlines()[0]) from error
    if words["name"] != name:
        raise _damaged(path, f"it belongs to the run {words['name']}, not to {name}")
    updater, log = training.updater, training.log
    try:
        updater.model.load_state_dict(_under("model.", tensors))
    except RuntimeError as error:
        raise _damaged(path, str(error).splitlines()[0]) from error
    load_optimizer(updater, _under("optimizer.", tensors))
    training.generator.set_state(tensors["generator.losses"])
    torch.set_rng_state(tensors["generator.torch"])
    log.num_updates, log.seconds = words["num_updates"], words["seconds"]
    log.waited_s, log.losses = words["waited_s"], words["losses"]
    log.wall_s, log.cpu_s = words["wall_s"], words["cpu_s"]
    log.flops_per_update = words["flops_per_update"]
    return True


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Shaped[Tensor, "..."]]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _damaged(path: Path, why: str) -> DamagedCheckpointError:
    return DamagedCheckpointError(
        f"{path} is damaged or missing ({why}); delete it and train again"
    )
