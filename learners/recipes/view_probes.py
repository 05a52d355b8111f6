"""What is in view, what views keep of their pose, and what an aggregate keeps of their place.

The relative pose of two views is told from the products of what describes them (a turn is no sum
of two headings), and the place of the last view of a sequence from what was gathered of it; both
are fitted on the first half of the probe windows and judged on the second. Places and objects are
told from single frames and fitted on training frames.

Axis letters: w windows, v other windows, t time, n m samples, d latent, k components, f features.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int
from torch import Tensor

from learners.probes import ProbeData, r2
from learners.recipes.dense_probes import linear_readout, object_auc, place_accuracy, squares
from learners.recipes.model import ComposedModel

VIEW_METRICS = {
    "place_accuracy": "share of held-out frames whose place is told, places counted alike",
    "object_auc": "mean area under the curve of remembered objects in view",
    "r2_relative_pose": "way and turn between two views, from products of their latents",
    "aggregate_place_accuracy": "share of places told from several views gathered",
}
"""Names and meanings; None where a recipe has no such part."""

VIEWS_APART = 4
"""Frames between two views whose relative pose is asked for: nearer, they show the same."""

_COMPONENTS = 8


def view_probes(
    model: ComposedModel, z_fit: Float[Tensor, "n d"], z: Float[Tensor, "w t d"], data: ProbeData
) -> dict[str, Any]:
    """Return `VIEW_METRICS` of a model.

    Args:
        model: Trained.
        z_fit: Latents of the training frames that lines are fitted on.
        z: Latents of the probe windows.
        data: Probe windows.
    """
    found: dict[str, Any] = dict.fromkeys(VIEW_METRICS)
    x, x_test = z_fit.double().numpy(), z.flatten(0, 1).double().numpy()
    found["place_accuracy"] = place_accuracy(
        x, squares(data.fit_pose[:, :2]), x_test, squares(data.pose[..., :2]).ravel()
    )
    slots = data.fit.slots[data.fit.slots > 0].unique()
    if len(slots):
        seen, seen_test = (_in_view(windows.slots, slots) for windows in (data.fit, data.windows))
        found["object_auc"] = object_auc(x, seen, x_test, seen_test)
    half = len(z) // 2
    found["r2_relative_pose"] = relative_pose_r2(
        z[:half], data.pose[:half], z[half:], data.pose[half:]
    )
    if model.has("aggregate") and z.shape[1] > model.aggregate.reach:
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


def _in_view(in_rows: Int[Tensor, "w t k"], slots: Int[Tensor, "m"]) -> Bool[np.ndarray, "n m"]:
    seen: np.ndarray = (in_rows[..., None] == slots).any(dim=2).flatten(0, 1).numpy()
    return seen


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
