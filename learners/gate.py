"""Whether a candidate may act. Numbers in, verdict with reasons out.

Episode success cannot decide this: telling 5 points apart takes some 500 pairs. Dense probes can.
"""

import math
from typing import Any

import numpy as np

from learners.config import GateConfig
from learners.manifest import Comparison, Verdict
from learners.probes import HORIZONS, ProbeResult

_NUM_DRAWS = 4000


def judge(
    candidate: ProbeResult, incumbent: ProbeResult | None, config: GateConfig, seed: int
) -> Verdict:
    """Return whether the candidate may act, and why.

    Args:
        candidate: Probes of the candidate.
        incumbent: Probes of the model that acts, on the same windows; None if none acts.
        config: Thresholds.
        seed: Draws the bootstrap.
    """
    insane = _insane(candidate.metrics, config)
    if insane:
        return Verdict(accepted=False, reasons=tuple(insane), sane=False)
    sensitivity = candidate.metrics["action_sensitivity_4"]
    if sensitivity < config.min_action_sensitivity:
        reason = (
            f"ignores actions: shuffling them changes the 4-step error by a factor of "
            f"{sensitivity:.3f} only, {config.min_action_sensitivity:g} is needed"
        )
        return Verdict(accepted=False, reasons=(reason,))
    if incumbent is None:
        return _judge_first(candidate)
    return _judge_paired(candidate, incumbent, config, seed)


def is_trusted(metrics: dict[str, Any], config: GateConfig) -> bool:
    """Return whether egomotion and rollouts are good enough to steer the body."""
    return bool(
        metrics["r2_egomotion"] >= config.trust_egomotion_r2
        and metrics["action_sensitivity_4"] >= config.trust_action_sensitivity
        and max(metrics["k_step_error"].values()) < 1
    )


def _insane(metrics: dict[str, Any], config: GateConfig) -> list[str]:
    values = {**metrics, **{f"k_step_error {k}": v for k, v in metrics["k_step_error"].items()}}
    odd = [
        name for name, v in values.items() if isinstance(v, float | int) and not math.isfinite(v)
    ]
    if odd:
        return [f"not finite: {', '.join(odd)}"]
    reasons = []
    rank, std = metrics["effective_rank"], metrics["latent_std_min"]
    if rank < config.min_effective_rank:
        reasons.append(
            f"collapsed: effective rank {rank:.1f} is below {config.min_effective_rank:g}"
        )
    if std < config.min_latent_std:
        reasons.append(
            f"collapsed: smallest latent standard deviation {std:.3f} is below "
            f"{config.min_latent_std:g}"
        )
    return reasons


def _judge_first(candidate: ProbeResult) -> Verdict:
    errors = candidate.metrics["k_step_error"]
    listing = ", ".join(f"{v:.2f} at {k}" for k, v in errors.items())
    if float(np.mean(list(errors.values()))) < 1:
        reason = f"first model: beats copying (normalised error {listing})"
    else:
        reason = f"first model that is not collapsed (normalised error {listing})"
    return Verdict(accepted=True, reasons=(reason,))


def _judge_paired(
    candidate: ProbeResult, incumbent: ProbeResult, config: GateConfig, seed: int
) -> Verdict:
    rng = np.random.default_rng(seed)
    num_windows = len(candidate.error)
    draws = rng.multinomial(num_windows, np.full(num_windows, 1 / num_windows), _NUM_DRAWS)
    point = _relative_changes(candidate, incumbent, np.ones((1, num_windows)))[0]
    bootstrap = _relative_changes(candidate, incumbent, draws.astype(np.float64))
    errors = [r.metrics["k_step_error"] for r in (candidate, incumbent)]
    comparisons = [
        Comparison(
            metric=f"k_step_error {k}",
            candidate=errors[0][str(k)],
            incumbent=errors[1][str(k)],
            relative_change=float(point[i]),
            upper_95=float(np.quantile(bootstrap[:, i], 0.95)),
        )
        for i, k in enumerate(HORIZONS)
    ]
    change, upper = float(point.mean()), float(np.quantile(bootstrap.mean(axis=1), 0.95))
    listing = f"normalised error {change:+.1%} (95 % bound {upper:+.1%}) on {num_windows} windows"
    if change >= 0:
        accepted, reason = False, f"not better: {listing}"
    elif upper > config.max_regression:
        accepted = False
        reason = f"not surely better: {listing}; the bound may be {config.max_regression:+.1%}"
    else:
        accepted, reason = True, f"better: {listing}"
    return Verdict(accepted=accepted, reasons=(reason,), comparisons=tuple(comparisons))


def _relative_changes(
    candidate: ProbeResult, incumbent: ProbeResult, counts: np.ndarray
) -> np.ndarray:
    """Return per draw and horizon: normalised error over the incumbent's, minus one."""

    def normalised(r: ProbeResult) -> np.ndarray:
        return (counts @ r.error) / np.maximum(counts @ r.change, 1e-12)

    return normalised(candidate) / np.maximum(normalised(incumbent), 1e-12) - 1
