"""A checkpoint in tables: what it is, what its probes say, what the gate said."""

from collections.abc import Callable
from typing import Any

import typer

from agentd.commands.output import ago, duration, print_table

_PROBES: tuple[tuple[str, Callable[[dict[str, Any]], Any], str], ...] = (
    ("prediction error, 1 step", lambda m: m.get("k_step_error", {}).get("1"), "< 1"),
    ("prediction error, 4 steps", lambda m: m.get("k_step_error", {}).get("4"), "< 1"),
    ("prediction error, 8 steps", lambda m: m.get("k_step_error", {}).get("8"), "< 1"),
    ("action sensitivity, 4 steps", lambda m: m.get("action_sensitivity_4"), "> 1.2"),
    ("R2 of x, y from z", lambda m: m.get("r2_xy"), "towards 1"),
    ("R2 of heading from z", lambda m: m.get("r2_heading"), "towards 1"),
    ("R2 of egomotion", lambda m: m.get("r2_egomotion"), "towards 1"),
    ("AUC of collisions", lambda m: m.get("collision_auc"), "> 0.5"),
    ("effective rank of z", lambda m: m.get("effective_rank"), "high"),
    ("smallest std of z", lambda m: m.get("latent_std_min"), "> 0"),
    ("SIGReg over its floor", lambda m: m.get("sigreg_ratio"), "towards 1"),
    (
        "near-field rank correlation, quasi-distance",
        lambda m: m.get("distance_spearman_near"),
        "above Euclid",
    ),
    (
        "near-field rank correlation, straight line",
        lambda m: m.get("distance_spearman_euclid_near"),
        "baseline",
    ),
    ("probe windows", lambda m: m.get("num_probe_windows"), ""),
)
"""Name, value and what it should be; errors are relative to predicting no change."""


def probe_rows(metrics: dict[str, Any]) -> list[list[Any]]:
    """Return name, value and what it should be of all probes."""
    return [[name, get(metrics), want] for name, get, want in _PROBES]


def print_checkpoint(data: dict[str, Any]) -> None:
    """Print a manifest (as JSON data, with `promoted` and `freshness_s`) for people."""
    _print_head(data)
    metrics = data["metrics"]
    typer.echo("\nProbes on windows that were never trained on")
    print_table(("probe", "value", "wanted"), probe_rows(metrics))
    losses = metrics.get("losses", {})
    if losses:
        typer.echo("\nLosses at the end of the round")
        print_table(("loss", "value"), list(losses.items()))
    if "sampling" in metrics:
        _print_sampling(metrics["sampling"], data["waited_share"])
    if data.get("throughput"):
        typer.echo(f"Speed: {speed_text(data['throughput'])}")
    if "truth" in data:
        _print_truth(data["truth"])
    if "plasticity" in metrics:
        _print_plasticity(metrics["plasticity"])
    _print_gate(data)


def _print_gate(data: dict[str, Any]) -> None:
    verdict = data["verdict"]
    typer.echo(f"\nGate: {'accepted' if verdict['accepted'] else 'refused'}")
    for check in verdict["checks"]:
        typer.echo(f"  {check['stage']} {_passed(check['passed'])}: {check['reason']}")
    if not verdict["checks"]:
        for reason in verdict["reasons"]:
            typer.echo(f"  {reason}")
    for row in data["decisions"]:
        who = row["stage"] or "a person"
        reason = f": {row['reason']}" if row["reason"] else ""
        typer.echo(f"  {who} {row['event'].replace('_', ' ')} {ago(row['time_ns'])}{reason}")
    _print_comparisons(data["incumbent_id"] or "the incumbent", verdict["comparisons"])
    _print_comparisons(f"the anchor {data['anchor_id']}", verdict["anchor_comparisons"])


def speed_text(found: dict[str, float | None]) -> str:
    """Return a training's throughput in a line; see `learners.throughput.Throughput`."""
    text = f"{found['windows_per_s']:.1f} windows/s, {found['frames_per_s']:.0f} frames/s"
    if found["mfu"] is None or found["flops_per_update"] is None:
        return text
    work, ceiling = found["flops_per_update"] / 1e9, (found["ceiling_flops"] or 0.0) / 1e9
    used = f"{found['mfu']:.0%} of the {ceiling:.0f} GFLOP/s of a matrix product"
    return f"{text}, {work:.1f} GFLOP per update, {used}"


def _passed(passed: bool) -> str:
    return "passed" if passed else "failed"


def _print_comparisons(who: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    typer.echo(f"\nAgainst {who}, on the same windows")
    columns = ("metric", "candidate", "incumbent", "relative_change", "upper_95")
    print_table(
        ("metric", "candidate", "other", "change", "upper 95 %"),
        [[row[column] for column in columns] for row in rows],
    )


def _print_plasticity(gauges: dict[str, Any]) -> None:
    worst = gauges["dormant_worst_layer"]
    typer.echo("\nWhether it can still learn")
    print_table(
        ("gauge", "value", "wanted"),
        [
            ["dormant units, share", gauges["dormant_share"], "< 0.2"],
            [f"of the worst layer ({worst})", gauges["dormant_worst_share"], ""],
            ["norm of the weights", gauges["weight_norm"], "steady"],
            ["norm of the gradient", gauges["grad_norm"], "not towards 0"],
            ["effective rank, against its parent", gauges["effective_rank_change"], "not falling"],
        ],
    )


def _print_sampling(sampling: dict[str, Any], waited_share: float | None) -> None:
    low, high = sampling["min_samples_per_insert"], sampling["max_samples_per_insert"]
    note = ""
    if sampling["limited"]:
        note = "; the upper bound ended the round"
    elif sampling["too_little"]:
        note = "; too little is learned from what is lived"
    ratio = sampling["samples_per_insert"]
    typer.echo(
        f"\nFrames trained on per row of life: {ratio:.1f} (wanted {low:g} to {high:g}{note})"
    )
    if waited_share is not None:
        typer.echo(f"Share of the training time that waited for data: {waited_share:.1%}")


def _print_truth(truth: dict[str, Any]) -> None:
    advantage = truth["advantage"]
    typer.echo(
        f"\nNear places of the true house ({truth['num_goals']} goals, {truth['num_pairs']} pairs)"
    )
    print_table(
        ("rank correlation with the geodesic", "quasi-distance", "straight line"),
        [
            ["all pairs", truth["spearman"], truth["spearman_euclid"]],
            ["starts of one goal, mean", truth["within_goal"], truth["within_goal_euclid"]],
        ],
    )
    typer.echo(
        f"advantage per goal {advantage['mean']:+.3f} "
        f"[{advantage['low']:+.3f}, {advantage['high']:+.3f}]"
    )


def _print_head(data: dict[str, Any]) -> None:
    acts = "acts now" if data["promoted"] else "does not act"
    trust = "may steer the body" if data["trusted"] else "may not steer the body yet"
    first, last = data["rows"]
    freshness = data["freshness_s"]
    fresh = "unknown" if freshness is None else duration(freshness)
    lines = {
        "checkpoint": f"{data['id']} ({acts}, {trust}{', the anchor' if data['anchor'] else ''})",
        "recipe": f"{data['recipe']['name']}, sha256 {data['recipe_sha256'][:12]}",
        "version": f"{data['level']}, encoder of {data['encoder_id'] or data['id']}",
        "parent": data["parent_id"] or "none: the first of its lineage",
        "made": f"{ago(data['created_ns'])}, in {data['round_seconds']:.0f} s",
        "updates": f"{data['num_updates']} in this round, {data['total_updates']} in all",
        "trained on": f"steps {first} to {last}, version {data['replay_version']}",
        "freshness": f"{fresh} from its oldest new observation",
        "settings": f"sha256 {data['config_sha256'][:12]}, commit {data['git_commit'] or 'none'}",
    }
    for name, text in lines.items():
        typer.echo(f"{name:<11} {text}")
