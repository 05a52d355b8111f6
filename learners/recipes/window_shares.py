"""Metrics of `learners.recipes.measure` window by window, for intervals over windows.

Each value of a window is its share: the mean over the windows is the metric itself. Metrics that
are no such mean (ranks, curves, entropies) are missing here.

Axis letters: w windows, t time, n frames, d latent, m targets.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from learners.probes import (
    HORIZONS,
    ProbeData,
    chunks,
    prediction_errors,
    ridge_predict,
)
from learners.recipes.model import ComposedModel


@torch.inference_mode()
def window_shares(
    model: ComposedModel, data: ProbeData, found: Mapping[str, Any]
) -> dict[str, Float64[np.ndarray, "w"]]:
    """Return for each metric the share of every probe window.

    The denominator of a ratio is the mean over all windows: relative to its own change, a window
    without motion would outweigh all others. `r2_egomotion_probe` has half of the windows, as the
    other half fits the map.

    Args:
        model: Trained.
        data: Probe windows.
        found: What `measure` returned for them: what it could not measure has no shares.
    """
    model.eval()
    z = torch.cat([model.encode(part).z for part in chunks(data.windows)])
    z_fit = torch.cat([model.encode(part).z for part in chunks(data.fit)])[:, 0]
    shares = _places(z_fit, z, data)
    shares["r2_egomotion_probe"] = _egomotion(z, data)
    if found["k1"] is not None:
        error, change = prediction_errors(model, z, data.windows.command)
        shuffled, _ = prediction_errors(model, z, data.windows.command[data.shuffle])
        first, fourth, eighth = (HORIZONS.index(k) for k in (1, 4, 8))
        shares["k1"] = error[:, first] / max(change[:, first].mean(), 1e-12)
        shares["k8"] = error[:, eighth] / max(change[:, eighth].mean(), 1e-12)
        shares["action_sensitivity"] = shuffled[:, fourth] / max(error[:, fourth].mean(), 1e-12)
    return shares


def _places(
    z_fit: torch.Tensor, z: torch.Tensor, data: ProbeData
) -> dict[str, Float64[np.ndarray, "w"]]:
    x, x_test = z_fit.double().numpy(), z.flatten(0, 1).double().numpy()
    fit, test = (p.reshape(-1, 3).astype(np.float64) for p in (data.fit_pose, data.pose))

    def heading(p: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 2"]:
        return np.stack([np.sin(p[:, 2]), np.cos(p[:, 2])], axis=1)

    def share(
        y: Float64[np.ndarray, "n m"], truth: Float64[np.ndarray, "q m"]
    ) -> Float64[np.ndarray, "w"]:
        return _explained(truth, ridge_predict(x, y, x_test), len(z))

    return {
        "r2_xy": share(fit[:, :2], test[:, :2]),
        "r2_heading": share(heading(fit), heading(test)),
    }


def _egomotion(z: torch.Tensor, data: ProbeData) -> Float64[np.ndarray, "w"]:
    pairs = torch.cat([z[:, :-1], z[:, 1:]], dim=-1).double()
    motion = data.windows.ego[:, 1:, :3].double()
    half = len(z) // 2
    fit_x, test_x = (part.flatten(0, 1).numpy() for part in (pairs[:half], pairs[half:]))
    fit_y, test_y = (part.flatten(0, 1).numpy() for part in (motion[:half], motion[half:]))
    return _explained(test_y, ridge_predict(fit_x, fit_y, test_x), len(z) - half)


def _explained(
    truth: Float64[np.ndarray, "n m"], predicted: Float64[np.ndarray, "n m"], num_windows: int
) -> Float64[np.ndarray, "w"]:
    """Return 1 minus the squared error of each window over the mean variance of a window."""

    def per_window(deviation: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "w"]:
        return np.square(deviation).reshape(num_windows, -1).sum(axis=1)

    total = per_window(truth - truth.mean(axis=0)).mean()
    return 1 - per_window(truth - predicted) / max(total, 1e-12 / num_windows)
