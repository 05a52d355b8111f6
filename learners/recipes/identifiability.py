"""Whether the latent is the state of the world up to a rotation: read both ways, linearly.

    R2(h -> s)            what of the state the latent tells; high alone means decodable
    R2(s -> h)            what of the latent the state tells; high means nothing else is in it
    orthogonality error   | A^T A - I |_F / sqrt(n), A the least-squares map between whitened h, s
    Procrustes error      mean square of h Q - s per number, Q the best orthogonal map

References:
    Klindt et al. 2026, arXiv:2605.26379, linear identifiability.

Axis letters: n samples, d latent, m state, w windows, t time.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from learners.probes import ProbeData, r2

_FEW = 10
"""Samples per latent dimension below which a least-squares fit gets a small ridge."""
_RIDGE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiability:
    """How much latent and state are one; on samples that nothing was fitted on.

    Attributes:
        r2_state: Explained share of the state, read from the latent.
        r2_latent: Explained share of the latent, read from the state.
        orthogonality_error: 0 if the map between the whitened two is a rotation.
        procrustes_mse: Mean squared gap per number after the best rotation of the whitened latent
            onto the whitened state.
    """

    r2_state: float
    r2_latent: float
    orthogonality_error: float
    procrustes_mse: float


def identify(
    h: Float64[np.ndarray, "n d"],
    state: Float64[np.ndarray, "n m"],
    h_test: Float64[np.ndarray, "q d"],
    state_test: Float64[np.ndarray, "q m"],
) -> Identifiability:
    """Compare latents with states.

    Args:
        h: Latents that the maps are fitted on, at least as many numbers as the state has.
        state: Their states; headings as sine and cosine.
        h_test: Other latents.
        state_test: Their states.

    Raises:
        ValueError: If the latent has fewer numbers than the state, or samples are missing.
    """
    if h.shape[1] < state.shape[1]:
        raise ValueError(
            f"a latent of {h.shape[1]} numbers cannot be a state of {state.shape[1]}: "
            f"the latent needs at least {state.shape[1]}"
        )
    if len(h) <= h.shape[1] + 1 or len(h_test) < 2:
        raise ValueError(
            f"{len(h)} samples to fit and {len(h_test)} to test are too few for a latent of "
            f"{h.shape[1]} numbers: at least {h.shape[1] + 2} and 2"
        )
    whiten_h, whiten_state = _whitening(h), _whitening(state)
    white, white_state = whiten_h(h), whiten_state(state)
    between = white_state.T @ white / len(h)
    gram = between @ between.T - np.eye(state.shape[1])
    u, _, vt = np.linalg.svd(between.T, full_matrices=False)
    rotated = whiten_h(h_test) @ (u @ vt)
    return Identifiability(
        r2_state=r2(state_test, _fit(h, state)(h_test)),
        r2_latent=r2(h_test, _fit(state, h)(state_test)),
        orthogonality_error=float(np.linalg.norm(gram) / np.sqrt(state.shape[1])),
        procrustes_mse=float(np.square(rotated - whiten_state(state_test)).mean()),
    )


def states(pose: Float32[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 4"]:
    """Return x, y, sine and cosine of the heading of poses."""
    x, y, yaw = pose.astype(np.float64).T
    return np.stack([x, y, np.sin(yaw), np.cos(yaw)], axis=1)


def identifiability(
    z_fit: Float[Tensor, "n d"], z: Float[Tensor, "w t d"], data: ProbeData
) -> dict[str, Identifiability]:
    """Return what latents are of the whole state, of place and of heading.

    Args:
        z_fit: Of the frames that maps are fitted on.
        z: Of the held-out windows.
        data: Their poses.
    """
    h, h_test = z_fit.double().numpy(), z.flatten(0, 1).double().numpy()
    state, state_test = states(data.fit_pose), states(data.pose.reshape(-1, 3))
    parts = {"state": slice(0, 4), "place": slice(0, 2), "heading": slice(2, 4)}
    return {
        name: identify(h, state[:, part], h_test, state_test[:, part])
        for name, part in parts.items()
    }


def _fit(x: Float64[np.ndarray, "n a"], y: Float64[np.ndarray, "n b"]) -> Any:
    mean, target_mean = x.mean(axis=0), y.mean(axis=0)
    centred = x - mean
    gram = centred.T @ centred
    if x.shape[1] > len(x) / _FEW:
        gram = gram + _RIDGE * len(x) * np.eye(x.shape[1])
    weights = np.linalg.lstsq(gram, centred.T @ (y - target_mean), rcond=None)[0]
    return lambda new: (new - mean) @ weights + target_mean


def _whitening(x: Float64[np.ndarray, "n a"]) -> Any:
    mean = x.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True).reshape(x.shape[1], -1))
    # Symmetric: of all whitenings this one turns the least, so a rotated copy stays a rotated copy.
    scale = vectors / np.sqrt(np.maximum(values, 1e-9 * max(values.max(), 1e-9))) @ vectors.T
    return lambda new: (new - mean) @ scale
