"""What a recipe's model is worth: the same probes for all, on windows that none was trained on.

Axis letters: w windows, t time, n frames, d latent.
"""

from typing import Any

import numpy as np
import torch

from learners.batch import Windows
from learners.losses.forward import Forward
from learners.losses.sub_sigreg import FLOOR, sigreg
from learners.parts.kinds import LatentPredictor
from learners.parts.targets import target_tokens
from learners.pose_graph import PoseGraph
from learners.probes import (
    HORIZONS,
    ProbeData,
    chunks,
    distance_probes,
    effective_rank,
    motion_probes,
    place_probes,
    prediction_errors,
    ridge_r2,
)
from learners.recipes.calibration import calibration_probe
from learners.recipes.dense_probes import encode, token_depth
from learners.recipes.identifiability import identifiability
from learners.recipes.model import ComposedModel
from learners.recipes.surprise import teleport_auc
from learners.recipes.view_probes import VIEW_METRICS, view_probes

METRICS = {
    "k1": "one-step error over the latent's change, lower is better",
    "k8": "eight-step error over the latent's change, lower is better",
    "action_sensitivity": "four-step error with shuffled over true actions, higher is better",
    "r2_xy": "position read linearly from the latent",
    "r2_heading": "sine and cosine of the heading read linearly from the latent",
    "r2_egomotion_probe": "egomotion read linearly from two latents",
    "r2_token_depth": "depth of a patch read linearly from its token",
    "effective_rank": "dimensions that the latent uses",
    "sigreg": "normality statistic over its floor, 1 is Gaussian",
    "distance": "rank correlation of the distance head with steps walked",
    "collision_auc": "stops foreseen",
    "teleport_auc": "one-step surprise tells teleports from ordinary steps",
    "r2_latent": "latent read linearly from position and heading; with r2_xy, r2_heading both ways",
    "calibration_error": "mean gap between coverage and level of predicted intervals, 0 is right",
    "residual_variance": "variance of errors in predicted standard deviations, 1 is right",
    "planning": "share of image goals that plans reach when driven in the world that was lived in",
    "planning_random": "the same with random plans",
    **VIEW_METRICS,
}
"""Names and meanings; None where a recipe has no such part."""

_ARRAYS = ("image", "ego", "action", "command", "geometry", "valid", "slots")


@torch.inference_mode()
def measure(model: ComposedModel, data: ProbeData, graph: PoseGraph, seed: int) -> dict[str, Any]:
    """Return `METRICS` and the number of parameters.

    Args:
        model: Trained.
        data: The same for all models that are compared.
        graph: Knows the steps between the probes' poses.
        seed: Draws slices and pairs.
    """
    model.eval()
    encoded = encode(model, data.windows)
    z = encoded.z
    z_fit = torch.cat([model.encode(part).z for part in chunks(data.fit)])[:, 0]
    frames = z.flatten(0, 1).double().numpy()
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Any] = dict.fromkeys(METRICS)
    found |= place_probes(z_fit, data.fit_pose, z, data.pose)
    found |= {
        "r2_egomotion_probe": _egomotion_probe(z, data),
        "effective_rank": effective_rank(frames),
        "sigreg": float(sigreg(z.transpose(0, 1)[::3], generator)) / FLOOR,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
    if len(z_fit) > z_fit.shape[1] + 1:
        found["r2_latent"] = identifiability(z_fit, z, data)["state"].r2_latent
    if encoded.dense is not None:
        found["r2_token_depth"] = _token_depth(model, encoded.dense, data)
    if model.has("predictor") and isinstance(model.predictor, LatentPredictor):
        found |= _prediction(model, z, data)
        found["teleport_auc"] = teleport_auc(model, data.windows, data.shuffle)
    if model.has("spread"):
        target = torch.cat([_target(model, part) for part in chunks(data.windows)])
        calibrated = calibration_probe(model, z, target, data.windows.command)
        found["calibration_error"] = calibrated.error
        found["residual_variance"] = calibrated.residual_variance
    found |= view_probes(model, z_fit, z, data)
    if model.has("motion"):
        found["collision_auc"] = motion_probes(model, z, data.windows)["collision_auc"]
    if model.has("quasi_distance"):
        distances = distance_probes(model, z, data.pose, graph, seed)
        found["distance"] = distances["distance_spearman_near"]
    return found


def _prediction(model: ComposedModel, z: torch.Tensor, data: ProbeData) -> dict[str, float]:
    error, change = prediction_errors(model, z, data.windows.command)
    shuffled, _ = prediction_errors(model, z, data.windows.command[data.shuffle])
    normalised = error.sum(0) / np.maximum(change.sum(0), 1e-12)
    k4 = HORIZONS.index(4)
    return {
        "k1": float(normalised[HORIZONS.index(1)]),
        "k8": float(normalised[HORIZONS.index(8)]),
        "action_sensitivity": float(shuffled[:, k4].sum() / max(error[:, k4].sum(), 1e-12)),
    }


def _target(model: ComposedModel, windows: Windows) -> torch.Tensor:
    target: torch.Tensor = target_tokens(Forward(model, windows, torch.Generator())).z
    return target


def _egomotion_probe(z: torch.Tensor, data: ProbeData) -> float:
    """Return R2 of a linear map from two latents to the motion between them, over halves."""
    pairs = torch.cat([z[:, :-1], z[:, 1:]], dim=-1).double()
    motion = data.windows.ego[:, 1:, :3].double()
    half = len(z) // 2
    fit_x, test_x = (part.flatten(0, 1).numpy() for part in (pairs[:half], pairs[half:]))
    fit_y, test_y = (part.flatten(0, 1).numpy() for part in (motion[:half], motion[half:]))
    return ridge_r2(fit_x, fit_y, test_x, test_y)


def _token_depth(model: ComposedModel, dense: torch.Tensor, data: ProbeData) -> float:
    """Return R2 of a linear map from a patch's token to its depth, over halves."""
    half = len(dense) // 2
    first, second = (
        Windows(**{name: getattr(data.windows, name)[part] for name in _ARRAYS})
        for part in (slice(None, half), slice(half, None))
    )
    return token_depth(model, dense[:half], first, dense[half:], second)["r2_token_depth"]
