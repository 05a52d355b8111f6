"""T0 and T1: whether a candidate may be tried in life. Numbers in, verdict with reasons out.

Episode success cannot decide this: telling 5 points apart takes some 500 pairs. Dense probes can.
Comparing with the incumbent alone lets small losses add up, each too small to be seen; so the best
checkpoint of the past, the anchor, is compared with as well.
"""

from typing import Any

import numpy as np

from learners.config import GateConfig
from learners.manifest import Check, Comparison, Verdict
from learners.paired import HORIZONS, Paired, compare
from learners.probes import ProbeResult
from learners.sanity import check_cost, check_metrics


def judge(
    candidate: ProbeResult,
    incumbent: ProbeResult | None,
    config: GateConfig,
    seed: int,
    *,
    anchor: ProbeResult | None = None,
    cost_ratio: float | None = None,
) -> Verdict:
    """Return whether the candidate may be tried, and why.

    Args:
        candidate: Probes of the candidate.
        incumbent: Probes of the model that acts, on the same windows; None if none acts.
        config: Thresholds.
        seed: Draws the bootstrap.
        anchor: Probes of the best model so far, on the same windows; None if it is the incumbent.
        cost_ratio: CPU time of acting over the incumbent's, None if there is nothing to compare.
    """
    latents = check_metrics(candidate.metrics, config)
    if not latents.passed:
        return refused(latents, sane=False)
    checks = [latents]
    if cost_ratio is not None:
        checks.append(check_cost(cost_ratio, config))
    checks.append(_check_actions(candidate.metrics, config))
    if failed := [check for check in checks if not check.passed]:
        return Verdict(accepted=False, reasons=_reasons(failed), checks=tuple(checks))
    if incumbent is None:
        first = _check_first(candidate)
        return Verdict(
            accepted=True,
            reasons=(first.reason,),
            checks=(*checks, first),
            beats_anchor=anchor is None,
        )
    return _judge_paired(candidate, incumbent, anchor, checks, config, seed)


def refused(check: Check, *, sane: bool) -> Verdict:
    """Return the verdict on a candidate that failed its first check."""
    return Verdict(accepted=False, reasons=(check.reason,), sane=sane, checks=(check,))


def is_trusted(metrics: dict[str, Any], config: GateConfig) -> bool:
    """Return whether egomotion and rollouts are good enough to steer the body."""
    return bool(
        metrics["r2_egomotion"] >= config.trust_egomotion_r2
        and metrics["action_sensitivity_4"] >= config.trust_action_sensitivity
        and max(metrics["k_step_error"].values()) < 1
    )


def _check_actions(metrics: dict[str, Any], config: GateConfig) -> Check:
    sensitivity, least = metrics["action_sensitivity_4"], config.min_action_sensitivity
    reason = f"shuffling actions changes the 4-step error by a factor of {sensitivity:.3f}"
    if sensitivity < least:
        reason = (
            f"ignores actions: shuffling them changes the 4-step error by a factor of "
            f"{sensitivity:.3f} only, {least:g} is needed"
        )
    return Check(stage="T1", name="actions", passed=sensitivity >= least, reason=reason)


def _check_first(candidate: ProbeResult) -> Check:
    errors = candidate.metrics["k_step_error"]
    listing = ", ".join(f"{v:.2f} at {k}" for k, v in errors.items())
    if float(np.mean(list(errors.values()))) < 1:
        reason = f"first model: beats copying (normalised error {listing})"
    else:
        reason = f"first model that is not collapsed (normalised error {listing})"
    return Check(stage="T1", name="incumbent", passed=True, reason=reason)


def _judge_paired(
    candidate: ProbeResult,
    incumbent: ProbeResult,
    anchor: ProbeResult | None,
    checks: list[Check],
    config: GateConfig,
    seed: int,
) -> Verdict:
    paired = compare(candidate, incumbent, seed)
    own = [_check_incumbent(paired, config)]
    best = paired
    if anchor is not None:
        best = compare(candidate, anchor, seed)
        own.append(_check_anchor(best, config))
    failed = [check for check in own if not check.passed]
    return Verdict(
        accepted=not failed,
        reasons=_reasons(failed or own),
        comparisons=_comparisons(candidate, incumbent, paired),
        checks=(*checks, *own),
        anchor_comparisons=_comparisons(candidate, anchor, best) if anchor is not None else (),
        beats_anchor=best.upper < 0,
    )


def _check_incumbent(paired: Paired, config: GateConfig) -> Check:
    passed = False
    if paired.change >= 0:
        reason = f"not better: {paired.text()}"
    elif paired.upper > config.max_regression:
        reason = (
            f"not surely better: {paired.text()}; the bound may be {config.max_regression:+.1%}"
        )
    else:
        passed, reason = True, f"better: {paired.text()}"
    return Check(stage="T1", name="incumbent", passed=passed, reason=reason)


def _check_anchor(paired: Paired, config: GateConfig) -> Check:
    limit = config.max_anchor_regression
    if paired.upper <= limit:
        reason = f"against the anchor: {paired.text()}"
        return Check(stage="T1", name="anchor", passed=True, reason=reason)
    reason = f"creeps away from the anchor: {paired.text()}; the bound may be {limit:+.1%}"
    return Check(stage="T1", name="anchor", passed=False, reason=reason)


def _comparisons(
    candidate: ProbeResult, reference: ProbeResult, paired: Paired
) -> tuple[Comparison, ...]:
    errors = [r.metrics["k_step_error"] for r in (candidate, reference)]
    return tuple(
        Comparison(
            metric=f"k_step_error {k}",
            candidate=errors[0][str(k)],
            incumbent=errors[1][str(k)],
            relative_change=paired.changes[i],
            upper_95=paired.uppers[i],
        )
        for i, k in enumerate(HORIZONS)
    )


def _reasons(checks: list[Check]) -> tuple[str, ...]:
    return tuple(check.reason for check in checks)
