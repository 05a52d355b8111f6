"""Weights to and from the files of a checkpoint."""

from pathlib import Path

import torch
from jaxtyping import Shaped
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load, save
from torch import Tensor

from learners.errors import DamagedCheckpointError, RecipeError
from learners.manifest import CURIOSITY_FILE, OPTIMIZER_FILE, WEIGHTS_FILE, Manifest
from learners.old_checkpoints import LAST_OLD_FORMAT, renamed
from learners.recipes.build import build
from learners.recipes.model import ComposedModel
from learners.registry import read_checked
from learners.update import Updater, optimizer_tensors
from memory.config import CuriosityConfig
from memory.replay.curiosity import Curiosity


def to_files(model: ComposedModel, updater: Updater, curiosity: Curiosity) -> dict[str, bytes]:
    """Return the contents of a checkpoint's files.

    They hold the weights with subspaces and statistics, the optimiser, and what the model got
    better at: all that a later round goes on from.
    """
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    return {
        WEIGHTS_FILE: save(weights),
        OPTIMIZER_FILE: save(optimizer_tensors(updater)),
        CURIOSITY_FILE: save_arrays(curiosity.to_arrays()),
    }


def load_model(folder: Path, manifest: Manifest) -> ComposedModel:
    """Return the model of a checkpoint, in evaluation mode.

    Raises:
        DamagedCheckpointError: If its weights are missing, changed, of another shape or not
            finite, or its recipe has parts that this program does not know.
    """
    try:
        # With the lineage's seed, so that a loss can pull towards the weights that it began with.
        model = build(manifest.recipe, manifest.init_seed)
    except RecipeError as error:
        raise DamagedCheckpointError(
            f"checkpoint {manifest.id}: this program cannot build what it describes ({error}); "
            "use the program that made it, or let another checkpoint act"
        ) from error
    try:
        model.load_state_dict(_tensors(folder, manifest, WEIGHTS_FILE))
    except RuntimeError as error:
        raise DamagedCheckpointError(
            f"checkpoint {manifest.id}: {folder / WEIGHTS_FILE} does not fit the model that its "
            f"manifest describes ({str(error).splitlines()[0]})"
        ) from error
    if odd := not_finite(model):
        raise DamagedCheckpointError(
            f"checkpoint {manifest.id}: {folder / WEIGHTS_FILE} holds values that are not finite "
            f"in {odd}; roll back to another checkpoint"
        )
    return model.eval()


def not_finite(model: ComposedModel) -> str:
    """Return the first weights or statistics that are not finite, empty if all are."""
    state = model.state_dict().items()
    return next((name for name, value in state if not bool(torch.isfinite(value).all())), "")


def load_optimizer_tensors(folder: Path, manifest: Manifest) -> dict[str, Shaped[Tensor, "..."]]:
    """Return the optimiser's state of a checkpoint.

    Raises:
        DamagedCheckpointError: If it is missing or was changed.
    """
    return _tensors(folder, manifest, OPTIMIZER_FILE)


def load_curiosity(folder: Path, manifest: Manifest, config: CuriosityConfig) -> Curiosity:
    """Return what the learner of a checkpoint got better at; fresh if it was not saved with it.

    Raises:
        DamagedCheckpointError: If it is missing though the manifest names it, or was changed.
    """
    if CURIOSITY_FILE not in manifest.files:
        return Curiosity(config)
    data = read_checked(folder, manifest, CURIOSITY_FILE)
    try:
        return Curiosity.of_arrays(config, load_arrays(data))
    except (SafetensorError, ValueError) as error:
        raise DamagedCheckpointError(
            f"checkpoint {manifest.id}: {folder / CURIOSITY_FILE} cannot be used ({error})"
        ) from error


def _tensors(folder: Path, manifest: Manifest, name: str) -> dict[str, torch.Tensor]:
    data = read_checked(folder, manifest, name)
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise DamagedCheckpointError(
            f"checkpoint {manifest.id}: {folder / name} is not a safetensors file ({error})"
        ) from error
    return renamed(tensors) if manifest.format_version <= LAST_OLD_FORMAT else tensors
