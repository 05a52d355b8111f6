"""T0 of the gate: what no comparison is needed for. No torch here: the agent imports this."""

import math
from typing import Any

from learners.config import GateConfig
from learners.manifest import Check, Manifest
from learners.recipes.spec import Recipe, differing_parts


def check_metrics(metrics: dict[str, Any], config: GateConfig) -> Check:
    """Return whether a candidate's probes are finite and its latents not collapsed."""
    values = {**metrics, **{f"k_step_error {k}": v for k, v in metrics["k_step_error"].items()}}
    odd = [
        name for name, v in values.items() if isinstance(v, float | int) and not math.isfinite(v)
    ]
    if odd:
        return Check(
            stage="T0", name="finite", passed=False, reason=f"not finite: {', '.join(odd)}"
        )
    rank, std = metrics["effective_rank"], metrics["latent_std_min"]
    reasons = []
    if rank < config.min_effective_rank:
        reasons.append(
            f"collapsed: effective rank {rank:.1f} is below {config.min_effective_rank:g}"
        )
    if std < config.min_latent_std:
        reasons.append(
            f"collapsed: smallest latent standard deviation {std:.3f} is below "
            f"{config.min_latent_std:g}"
        )
    reason = "; ".join(reasons) or f"finite, effective rank {rank:.1f}, smallest std {std:.2f}"
    return Check(stage="T0", name="latents", passed=not reasons, reason=reason)


def check_cost(ratio: float, config: GateConfig) -> Check:
    """Return whether a candidate is quick enough.

    Args:
        ratio: CPU time of looking and planning once over the incumbent's.
        config: Thresholds.
    """
    listing = f"looking and planning once takes {ratio:.2f} times the incumbent's CPU time"
    if ratio <= config.max_cost_ratio:
        return Check(stage="T0", name="cost", passed=True, reason=listing)
    reason = f"slow: {listing}, {config.max_cost_ratio:g} is allowed (learners.gate.max_cost_ratio)"
    return Check(stage="T0", name="cost", passed=False, reason=reason)


def check_origin(manifest: Manifest, body: dict[str, Any], recipe: Recipe) -> Check:
    """Return whether a checkpoint is of a kind that can act here.

    Args:
        manifest: Its description.
        body: Body that it would drive, as `learners.round_spec.body_to_dict` describes it.
        recipe: Recipe whose parts it has to have, every setting spelled out.
    """
    reason = ""
    if odd := differing_parts(manifest.recipe, recipe):
        reason = (
            f"{manifest.id} is of another recipe, {manifest.recipe.name!r} "
            f"({manifest.recipe_sha256[:12]}): {'; '.join(odd)}; learners.recipe is {recipe.name!r}"
        )
    elif manifest.body != body:
        odd = sorted(k for k in {*body, *manifest.body} if body.get(k) != manifest.body.get(k))
        reason = f"{manifest.id} was trained for another body: {', '.join(odd)} differ"
    return Check(
        stage="T0", name="origin", passed=not reason, reason=reason or "made for this body"
    )
