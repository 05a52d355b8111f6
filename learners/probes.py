"""How good a model is, measured on windows that no model was trained on.

Axis letters: w windows, t time, k horizons, n frames, d latent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from scipy.stats import rankdata, spearmanr

from learners.batch import Scale, Windows, to_windows
from learners.losses.sub_sigreg import FLOOR, sigreg, subspace_statistic
from learners.paired import HORIZONS
from learners.pose_graph import PoseGraph
from learners.recipes.model import ComposedModel
from learners.update import NotFiniteError
from memory.protocols import ReplayStore

NEAR_STEPS = 12.0
"""The quasi-distance is judged up to here; beyond, the map plans."""

_NUM_STARTS = 2
_FIT_FRAMES_PER_WINDOW = 8
_RIDGE = 1.0
_NUM_SOURCES = 96
_MAX_PAIRS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeData:
    """Windows that models are compared on; the same object for all of them.

    Attributes:
        windows: Held-out windows.
        pose: Their poses.
        fit: Training frames, one per window, that the linear probes are fitted on.
        fit_pose: Their poses.
        shuffle: Where each window's actions come from when actions are shuffled.
    """

    windows: Windows
    pose: Float32[np.ndarray, "w t 3"]
    fit: Windows
    fit_pose: Float32[np.ndarray, "n 3"]
    shuffle: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What the probes found.

    Attributes:
        metrics: Plain values by name; None where it could not be measured.
        error: Squared prediction error per window and horizon.
        change: Squared change of the latent, the error of predicting no change.
        xy_m: Position of each window.
    """

    metrics: dict[str, Any]
    error: Float64[np.ndarray, "w k"]
    change: Float64[np.ndarray, "w k"]
    xy_m: Float64[np.ndarray, "w 2"]


def draw_probes(
    replay: ReplayStore, scale: Scale, num_windows: int, horizon: int, rng: np.random.Generator
) -> ProbeData:
    """Draw probe windows from the held-out episodes and frames to fit linear probes on."""
    horizon = probe_frames(horizon)
    batch = replay.sample(num_windows, horizon, rng, held_out=True)
    fit = replay.sample(_FIT_FRAMES_PER_WINDOW * num_windows, 1, rng)
    return ProbeData(
        windows=to_windows(batch, scale, rng),
        pose=batch.pose,
        fit=to_windows(fit, scale, rng),
        fit_pose=fit.pose[:, 0],
        shuffle=_derangement(num_windows, rng),
    )


@torch.inference_mode()
def probe(model: ComposedModel, data: ProbeData, graph: PoseGraph, seed: int) -> ProbeResult:
    """Measure a model. Batch normalisation runs on its stored statistics, as when acting.

    Raises:
        NotFiniteError: If a latent is not finite.
    """
    model.eval()
    z = torch.cat([model.encode(part).z for part in chunks(data.windows)])
    z_fit = torch.cat([model.encode(part).z for part in chunks(data.fit)])[:, 0]
    if not bool(torch.isfinite(z).all() and torch.isfinite(z_fit).all()):
        raise NotFiniteError("latents of the probe windows")
    error, change = prediction_errors(model, z, data.windows.command)
    shuffled, _ = prediction_errors(model, z, data.windows.command[data.shuffle])
    k4 = HORIZONS.index(4)
    normalised = error.sum(0) / np.maximum(change.sum(0), 1e-12)
    frames = z.flatten(0, 1).double().numpy()
    metrics: dict[str, Any] = {
        "k_step_error": {str(k): float(e) for k, e in zip(HORIZONS, normalised, strict=True)},
        "action_sensitivity_4": float(shuffled[:, k4].sum() / max(error[:, k4].sum(), 1e-12)),
        "latent_change_1": float(change[:, 0].mean()),
        "effective_rank": effective_rank(frames),
        "latent_std_min": float(frames.std(axis=0).min()),
        "sigreg_ratio": sigreg_ratio(model, z, seed),
        "num_probe_windows": len(z),
    }
    metrics |= place_probes(z_fit, data.fit_pose, z, data.pose)
    metrics |= motion_probes(model, z, data.windows)
    metrics |= distance_probes(model, z, data.pose, graph, seed)
    return ProbeResult(
        metrics=metrics, error=error, change=change, xy_m=data.pose[:, 0, :2].astype(np.float64)
    )


def probe_frames(horizon: int) -> int:
    """Return the frames of a probe window: at least the longest horizon from every start."""
    return max(horizon, max(HORIZONS) + _NUM_STARTS)


def normalised_per_window(
    error: Float64[np.ndarray, "w k"], change: Float64[np.ndarray, "w k"]
) -> Float64[np.ndarray, "w"]:
    """Return one error per window, each horizon relative to the mean change over all windows.

    Relative to its own change, a window without motion would outweigh all others.
    """
    return (error / np.maximum(change.mean(axis=0), 1e-12)).mean(axis=1)


def window_errors(
    model: ComposedModel, windows: Windows
) -> tuple[Float64[np.ndarray, "w k"], Float64[np.ndarray, "w k"]]:
    """Return squared error and change of each window, as `ProbeResult` holds them."""
    model.eval()
    with torch.inference_mode():
        z = torch.cat([model.encode(part).z for part in chunks(windows)])
        return prediction_errors(model, z, windows.command)


def effective_rank(z: Float64[np.ndarray, "n d"]) -> float:
    """Return exp of the entropy of the normalised singular values of the centred latents.

    References:
        Roy and Vetterli 2007, EUSIPCO, Eq. (3).
    """
    values = np.linalg.svd(z - z.mean(axis=0), compute_uv=False)
    share = values / max(values.sum(), 1e-12)
    return float(np.exp(-(share * np.log(np.maximum(share, 1e-12))).sum()))


def ridge_r2(
    x: Float64[np.ndarray, "n d"],
    y: Float64[np.ndarray, "n m"],
    x_test: Float64[np.ndarray, "q d"],
    y_test: Float64[np.ndarray, "q m"],
) -> float:
    """Return how much of `y_test` a linear map fitted on (x, y) explains; can be negative."""
    return r2(y_test, ridge_predict(x, y, x_test))


def ridge_predict(
    x: Float64[np.ndarray, "n d"], y: Float64[np.ndarray, "n m"], x_test: Float64[np.ndarray, "q d"]
) -> Float64[np.ndarray, "q m"]:
    """Return what a linear map fitted on (x, y) makes of `x_test`."""
    mean, target_mean = x.mean(axis=0), y.mean(axis=0)
    centred = x - mean
    gram = centred.T @ centred + _RIDGE * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, centred.T @ (y - target_mean))
    predicted: Float64[np.ndarray, "q m"] = (x_test - mean) @ weights + target_mean
    return predicted


def r2(truth: Float64[np.ndarray, "n m"], predicted: Float64[np.ndarray, "n m"]) -> float:
    """Return the explained share of the variance, all columns together."""
    total = np.square(truth - truth.mean(axis=0)).sum()
    return float(1 - np.square(truth - predicted).sum() / max(total, 1e-12))


def area_under_curve(
    score: Float64[np.ndarray, "n"], is_true: Bool[np.ndarray, "n"]
) -> float | None:
    """Return the chance that a true case scores above a false one; None if one kind is missing."""
    num_true, num_false = int(is_true.sum()), int((~is_true).sum())
    if num_true == 0 or num_false == 0:
        return None
    ranks = rankdata(score)[is_true].sum()
    return float((ranks - num_true * (num_true + 1) / 2) / (num_true * num_false))


def _derangement(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return a permutation without a fixed point (one random cycle)."""
    order = rng.permutation(count)
    out = np.empty(count, dtype=np.int64)
    out[order] = np.roll(order, 1)
    return out


def chunks(windows: Windows, frames: int = 512) -> Sequence[Windows]:
    """Return the windows in parts of about this many frames, without crops and pairs."""
    size = max(1, frames // windows.image.shape[1])
    names = ("image", "ego", "action", "command", "geometry", "valid", "slots")
    return [
        Windows(**{n: getattr(windows, n)[i : i + size] for n in names})
        for i in range(0, len(windows.image), size)
    ]


def prediction_errors(
    model: Any, z: torch.Tensor, command: torch.Tensor
) -> tuple[Float64[np.ndarray, "w k"], Float64[np.ndarray, "w k"]]:
    """Return squared error and change per window and horizon; the model has `rollout`."""
    longest = max(HORIZONS)
    error = np.zeros((len(z), len(HORIZONS)))
    change = np.zeros_like(error)
    for s in range(_NUM_STARTS):
        rolled = model.rollout(z[:, s], command[:, s : s + longest])
        for i, k in enumerate(HORIZONS):
            truth = z[:, s + k]
            error[:, i] += (rolled[:, k - 1] - truth).square().sum(-1).double().numpy()
            change[:, i] += (z[:, s] - truth).square().sum(-1).double().numpy()
    return error / _NUM_STARTS, change / _NUM_STARTS


def sigreg_ratio(model: ComposedModel, z: torch.Tensor, seed: int) -> float:
    """Return the statistic of normality over that of a standard Gaussian.

    In the planes in which the model is held to it, in the whole space if it has none.
    """
    generator, frames = torch.Generator().manual_seed(seed), z.transpose(0, 1)[::3]
    if model.has("subspaces"):
        statistic = subspace_statistic(frames, model.planes, generator)
    else:
        statistic = sigreg(frames, generator)
    return float(statistic) / FLOOR


def place_probes(
    z_fit: torch.Tensor,
    fit_pose: Float32[np.ndarray, "n 3"],
    z: torch.Tensor,
    pose: Float32[np.ndarray, "w t 3"],
) -> dict[str, float]:
    """Return how much of position and heading a linear map reads from the latent."""
    x, x_test = z_fit.double().numpy(), z.flatten(0, 1).double().numpy()
    y, y_test = (p.reshape(-1, 3).astype(np.float64) for p in (fit_pose, pose))

    def heading(p: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 2"]:
        return np.stack([np.sin(p[:, 2]), np.cos(p[:, 2])], axis=1)

    return {
        "r2_xy": ridge_r2(x, y[:, :2], x_test, y_test[:, :2]),
        "r2_heading": ridge_r2(x, heading(y), x_test, heading(y_test)),
    }


def motion_probes(model: Any, z: torch.Tensor, windows: Windows) -> dict[str, Any]:
    """Return how well the head `motion` foresees egomotion and stops."""
    command = windows.command[:, :-1].flatten(0, 1)
    egomotion, logit = model.motion(z[:, :-1].flatten(0, 1), command)
    after = windows.ego[:, 1:].flatten(0, 1).double().numpy()
    return {
        "r2_egomotion": r2(after[:, :3], egomotion.double().numpy()),
        "collision_auc": area_under_curve(logit.double().numpy(), after[:, 3] > 0.5),
    }


def distance_probes(
    model: Any,
    z: torch.Tensor,
    pose: Float32[np.ndarray, "w t 3"],
    graph: PoseGraph,
    seed: int,
) -> dict[str, Any]:
    """Return the rank correlation of distances with steps walked: head, straight line, latent."""
    rng = np.random.default_rng(seed)
    poses, latents = pose.reshape(-1, 3), z.flatten(0, 1)
    chosen = rng.permutation(len(poses))[:_NUM_SOURCES]
    steps = graph.steps(poses[chosen], poses, limit=NEAR_STEPS)
    source, goal = np.nonzero((steps > 0) & (steps <= NEAR_STEPS))
    pick = rng.permutation(len(source))[:_MAX_PAIRS]
    source, goal = source[pick], goal[pick]
    names = (
        "distance_spearman_near",
        "distance_spearman_euclid_near",
        "distance_spearman_latent_near",
    )
    if len(source) < 10:
        return dict.fromkeys(names)
    start = chosen[source]
    a, b = latents[start], latents[goal]
    predictions = (
        model.quasi_distance(a, b).numpy(),
        np.linalg.norm(poses[start, :2] - poses[goal, :2], axis=1),
        (a - b).norm(dim=-1).numpy(),
    )
    return {
        name: _spearman(values, steps[source, goal])
        for name, values in zip(names, predictions, strict=True)
    }


def _spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b).statistic)
