"""Weights to and from the files of a checkpoint."""

from pathlib import Path

import torch
from jaxtyping import Shaped
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from learners.errors import DamagedCheckpointError
from learners.manifest import OPTIMIZER_FILE, WEIGHTS_FILE, Manifest
from learners.registry import read_checked
from learners.update import Updater, optimizer_tensors
from learners.world_model import WorldModel


def to_files(model: WorldModel, updater: Updater) -> dict[str, bytes]:
    """Return the contents of a checkpoint's files: weights, subspaces, statistics, optimiser."""
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    return {WEIGHTS_FILE: save(weights), OPTIMIZER_FILE: save(optimizer_tensors(updater))}


def load_model(folder: Path, manifest: Manifest) -> WorldModel:
    """Return the model of a checkpoint, in evaluation mode.

    Raises:
        DamagedCheckpointError: If its weights are missing, changed or of another shape.
    """
    model = WorldModel(manifest.model, seed=0)
    try:
        model.load_state_dict(_tensors(folder, manifest, WEIGHTS_FILE))
    except RuntimeError as error:
        raise DamagedCheckpointError(
            f"checkpoint {manifest.id}: {folder / WEIGHTS_FILE} does not fit the model that its "
            f"manifest describes ({str(error).splitlines()[0]})"
        ) from error
    return model.eval()


def load_optimizer_tensors(folder: Path, manifest: Manifest) -> dict[str, Shaped[Tensor, "..."]]:
    """Return the optimiser's state of a checkpoint.

    Raises:
        DamagedCheckpointError: If it is missing or was changed.
    """
    return _tensors(folder, manifest, OPTIMIZER_FILE)


def _tensors(folder: Path, manifest: Manifest, name: str) -> dict[str, torch.Tensor]:
    data = read_checked(folder, manifest, name)
    try:
        return load(data)
    except SafetensorError as error:
        raise DamagedCheckpointError(
            f"checkpoint {manifest.id}: {folder / name} is not a safetensors file ({error})"
        ) from error
