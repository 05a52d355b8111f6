"""Whether a predicted spread is as wide as the errors are.

Axis letters: n predictions, d latent, b windows, t time.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.stats import norm

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.95)
"""Central intervals whose coverage is checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the errors say about the spread.

    Attributes:
        coverage: Share of the errors inside the central interval of each of `LEVELS`.
        error: Mean absolute gap between coverage and level: the expected calibration error.
        residual_variance: Mean square of the errors in predicted standard deviations: 1 is right,
            above 1 is overconfident.
        nll: Mean negative log-likelihood per dimension.
        nll_constant: The same of the one variance per dimension that fits these errors best; a
            spread that tells hard predictions from easy ones is below it.
    """

    coverage: dict[float, float]
    error: float
    residual_variance: float
    nll: float
    nll_constant: float


def calibration(
    error: Float64[np.ndarray, "n d"], log_variance: Float64[np.ndarray, "n d"]
) -> Calibration:
    """Compare errors with the log-variances that were predicted for them.

    Raises:
        ValueError: If there are none, or a value is not finite.
    """
    if error.size == 0:
        raise ValueError("calibration needs at least one prediction, found none")
    if not (np.isfinite(error).all() and np.isfinite(log_variance).all()):
        raise ValueError("calibration needs finite errors and log-variances")
    standardised = error * np.exp(-log_variance / 2)
    reach = np.abs(standardised)
    coverage = {level: float((reach <= norm.ppf((1 + level) / 2)).mean()) for level in LEVELS}
    squares = np.square(standardised)
    best = np.log(np.maximum(np.square(error).mean(axis=0), 1e-12))
    return Calibration(
        coverage=coverage,
        error=float(np.mean([abs(found - level) for level, found in coverage.items()])),
        residual_variance=float(squares.mean()),
        nll=float((np.log(2 * np.pi) + log_variance + squares).mean() / 2),
        nll_constant=float((np.log(2 * np.pi) + best + 1).mean() / 2),
    )


@torch.inference_mode()
def calibration_probe(
    model: Any,
    z: Float[torch.Tensor, "b t d"],
    target: Float[torch.Tensor, "b t d"],
    command: Float[torch.Tensor, "b t 2"],
) -> Calibration:
    """Return the calibration of one-step predictions.

    Args:
        model: Has `predict` and a part `spread`; in evaluation mode.
        z: Latents of held-out windows.
        target: What the predictions are made for: `z`, or what a slow copy makes of the windows.
        command: Commands of the windows.
    """
    before, commands = z[:, :-1], command[:, :-1]
    error = target[:, 1:] - model.predict(before, commands)
    log_variance = model.spread(before, commands)
    flat = (x.flatten(0, 1).double().numpy() for x in (error, log_variance))
    return calibration(*flat)
