"""What views keep of their pose, and what an aggregate of views keeps of their place.

Fitted on the first half of the probe windows and judged on the second: the relative pose of two
views, from the products of what describes them (a turn is no sum of two headings), and the place
of the last view of a sequence, from what has been gathered of it.

Axis letters: w windows, t time, s sequences, n samples, d latent, k components, q pose features.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from learners.probes import ProbeData, r2
from learners.recipes.dense_probes import linear_readout, place_accuracy, squares
from learners.recipes.model import ComposedModel

VIEW_METRICS = {
    "r2_relative_pose": "way and turn between two views, from products of their latents",
    "aggregate_place_accuracy": "share of places told from several views gathered",
}
"""Names and meanings; None where a recipe has no such part."""

VIEWS_APART = 2
"""Frames between two views whose relative pose is asked for."""

_COMPONENTS = 12


def view_probes(model: ComposedModel, z: Float[Tensor, "w t d"], data: ProbeData) -> dict[str, Any]:
    """Return `VIEW_METRICS` of a model.

    Args:
        model: Trained.
        z: Latents of the probe windows.
        data: Probe windows.
    """
    found: dict[str, Any] = dict.fromkeys(VIEW_METRICS)
    half = len(z) // 2
    found["r2_relative_pose"] = relative_pose_r2(
        z[:half], data.pose[:half], z[half:], data.pose[half:]
    )
    if model.has("aggregate"):
        whole = model.aggregate(z, data.windows.command).z.double().numpy()
        last = (model.aggregate.views - 1) * model.aggregate.stride
        place = squares(data.pose[:, last : last + whole.shape[1], :2])
        found["aggregate_place_accuracy"] = place_accuracy(
            whole[:half].reshape(-1, whole.shape[2]),
            place[:half].ravel(),
            whole[half:].reshape(-1, whole.shape[2]),
            place[half:].ravel(),
        )
    return found


def relative_pose_r2(
    z: Float[Tensor, "w t d"],
    pose: Float32[np.ndarray, "w t 3"],
    z_test: Float[Tensor, "v t d"],
    pose_test: Float32[np.ndarray, "v t 3"],
) -> float:
    """Return the explained share of the relative pose of views `VIEWS_APART` frames apart.

    Poses count as way ahead, way to the left and sine of the turn, each in its own spread.
    """
    x, y, x_test, truth = relative_pose_pairs(z, pose, z_test, pose_test)
    return r2(truth, linear_readout(x, y, x_test))


def relative_pose_pairs(
    z: Float[Tensor, "w t d"],
    pose: Float32[np.ndarray, "w t 3"],
    z_test: Float[Tensor, "v t d"],
    pose_test: Float32[np.ndarray, "v t 3"],
) -> tuple[
    Float64[np.ndarray, "n f"],
    Float64[np.ndarray, "n 3"],
    Float64[np.ndarray, "m f"],
    Float64[np.ndarray, "m 3"],
]:
    """Return what describes pairs of views and their relative pose, to fit on and to test."""
    basis = _principal(z.flatten(0, 1).double().numpy())
    x, x_test = (_products(basis(part.double().numpy())) for part in (z, z_test))
    y, truth = (_relative(part) for part in (pose, pose_test))
    spread = np.maximum(y.std(axis=0), 1e-9)
    return x, y / spread, x_test, truth / spread


def _principal(frames: Float64[np.ndarray, "n d"]) -> Any:
    """Return a map to the whitened largest principal components."""
    mean = frames.mean(axis=0)
    _, values, axes = np.linalg.svd(frames - mean, full_matrices=False)
    kept = axes[:_COMPONENTS].T / np.maximum(values[:_COMPONENTS] / np.sqrt(len(frames)), 1e-9)
    return lambda z: (z - mean) @ kept


def _products(z: Float64[np.ndarray, "w t k"]) -> Float64[np.ndarray, "n f"]:
    """Return both views of each pair, and all products of a number of one with one of the other."""
    first, second = (
        part.reshape(-1, z.shape[2]) for part in (z[:, :-VIEWS_APART], z[:, VIEWS_APART:])
    )
    products = (first[:, :, None] * second[:, None, :]).reshape(len(first), -1)
    return np.concatenate([first, second, products], axis=1)


def _relative(pose: Float32[np.ndarray, "w t 3"]) -> Float64[np.ndarray, "n 3"]:
    first, second = pose[:, :-VIEWS_APART].astype(np.float64), pose[:, VIEWS_APART:]
    east, north, turn = np.moveaxis(second - first, -1, 0)
    cos, sin = np.cos(first[..., 2]), np.sin(first[..., 2])
    parts = (cos * east + sin * north, cos * north - sin * east, np.sin(turn))
    return np.stack(parts, axis=-1).reshape(-1, 3)
