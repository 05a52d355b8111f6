"""The life report: what a life did, found and learned, scored against the truth if there is one."""

import math
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from agentd import build
from agentd.evaluate.coverage import coverage
from agentd.evaluate.slots import score_slots
from agentd.loop import percentile_ms
from memory.records import SlotState

if TYPE_CHECKING:
    from agentd.life import Life

REPORT_FORMAT = 1


def life_report(life: "Life") -> dict[str, Any]:
    """Return the report as plain data (it is also written to `log/report.json` in the home)."""
    state = life.loop.state
    goals = life.goals.as_dicts()
    return {
        "format": REPORT_FORMAT,
        "life": life.config.life.name,
        "home": str(life.home.path),
        "place": life.config.world.body.place,
        "steps": {
            "total": state.step,
            "this_run": state.ticks,
            "wall_s": round(time.monotonic() - life.started_s, 1),
            "lived_s": round(state.ticks * life.world.spec.tick_s, 1),
            "missed_ticks": state.missed_ticks,
            "tick_p50_ms": round(percentile_ms(state.latencies_s, 50), 2),
            "tick_p99_ms": round(percentile_ms(state.latencies_s, 99), 2),
        },
        "coverage": _coverage(life),
        "slots": _slots(life),
        "goals": {
            "reached": sum(g["state"] == "reached" for g in goals),
            "failed": sum(g["state"] == "failed" for g in goals),
            "last": goals[-10:],
        },
        "rounds": life.learning.history,
        "freshness_s": life.learning.freshness_s,
        "rows_committed": life.rows_at_start + life.recorder.rows_committed,
        "rows_dropped": life.recorder.dropped_rows,
        "disk_mb": round(life.disk_bytes / 2**20, 1),
        "last_error": life.last_error,
    }


def _coverage(life: "Life") -> dict[str, Any]:
    map_ = life.navigator.map
    out: dict[str, Any] = {
        "explored_m2": round(map_.explored_m2, 1),
        "history": [list(row) for row in life.coverage],
        "reachable_share": None,
    }
    oracle = build.build_oracle(life.world)
    if oracle is not None:
        x, y = (float(v) for v in map_.origin_m)
        share = coverage(map_.grid(), (x, y), map_.cell_m, oracle.true_map())
        out["reachable_share"] = round(share, 4)
    return out


def _slots(life: "Life") -> dict[str, Any]:
    confirmed = [s for s in life.slots.slots() if s.state == SlotState.CONFIRMED]
    out: dict[str, Any] = {"confirmed": len(confirmed)}
    oracle = build.build_oracle(life.world)
    if oracle is not None:
        score = score_slots(confirmed, oracle.objects())
        for key in ("num_objects", "num_matched", "precision", "recall", "f1", "centroid_error_m"):
            value = getattr(score, key)
            out[key] = None if math.isnan(value) else round(value, 3)
    return out


def print_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Print the report for people."""
    console = console or Console()
    steps, cover, slots = report["steps"], report["coverage"], report["slots"]
    table = Table(title="Life report", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    table.add_row(
        "Steps",
        f"{steps['total']} in all, {steps['this_run']} now "
        f"({steps['lived_s']:.0f} s of robot time in {steps['wall_s']:.0f} s)",
    )
    table.add_row(
        "Ticks",
        f"observe-to-act p50 {steps['tick_p50_ms']} ms, p99 {steps['tick_p99_ms']} ms, "
        f"missed {steps['missed_ticks']}",
    )
    share = cover["reachable_share"]
    table.add_row(
        "Coverage",
        f"{cover['explored_m2']} m2 explored"
        + (f", {share:.1%} of what is reachable" if share is not None else "")
        + f"  ({_over_time(cover['history'])})",
    )
    found = f"{slots['confirmed']} confirmed"
    if slots.get("f1") is not None:
        found += (
            f"; against {slots['num_objects']} true objects: F1 {slots['f1']:.2f} "
            f"(precision {slots['precision']:.2f}, recall {slots['recall']:.2f}, "
            f"median error {slots['centroid_error_m']:.2f} m)"
        )
    table.add_row("Objects", found)
    goals = report["goals"]
    table.add_row("Goals", f"{goals['reached']} reached, {goals['failed']} failed")
    fresh = report["freshness_s"]
    table.add_row(
        "Freshness",
        "no checkpoint promoted yet"
        if fresh is None
        else f"{fresh:.0f} s from the oldest new observation to the model that trained on it",
    )
    table.add_row(
        "Memory",
        f"{report['rows_committed']} rows, {report['disk_mb']} MB on disk, "
        f"{report['rows_dropped']} rows dropped",
    )
    if report["last_error"]:
        table.add_row("Last error", report["last_error"])
    console.print(table)
    if report["rounds"]:
        console.print(_rounds_table(report["rounds"]))
        for line in _refusals(report["rounds"]):
            console.print(line, style="dim", highlight=False)


def _rounds_table(rounds: list[dict[str, Any]]) -> Table:
    table = Table(
        title="Model error over rounds (copying the past = 1)",
        title_justify="left",
        box=None,
        padding=(0, 1),
    )
    heads = ("#", "step", "updates", "k=1", "k=4", "k=8", "A4", "R2 ego", "rank", "fresh s")
    for name in heads:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rounds[-12:]:
        metrics = row["metrics"]
        errors = metrics.get("k_step_error", {})
        numbers = [errors.get(k) for k in ("1", "4", "8")]
        numbers += [metrics.get(k) for k in ("action_sensitivity_4", "r2_egomotion")]
        cells = ["-" if v is None else f"{v:.2f}" for v in numbers]
        rank = metrics.get("effective_rank")
        fresh = row.get("freshness_s")
        table.add_row(
            str(row["round"]),
            str(row["step"]),
            str(row["num_updates"]),
            *cells,
            "-" if rank is None else f"{rank:.0f}",
            "-" if fresh is None else f"{fresh:.0f}",
            "on trial" if row.get("on_trial") else "promoted" if row["accepted"] else "refused",
        )
    return table


def _refusals(rounds: list[dict[str, Any]]) -> list[str]:
    """Return why the last rounds were refused, one sentence each."""
    refused = [r for r in rounds[-12:] if not r["accepted"] and not r.get("on_trial")]
    return [f"round {r['round']} refused: {r['reason']}" for r in refused[-3:]]


def _over_time(history: list[list[float]]) -> str:
    """Return a few points of explored area over steps."""
    if not history:
        return "no history"
    picks = sorted({round(i * (len(history) - 1) / 4) for i in range(5)})
    return ", ".join(f"{history[i][0]}: {history[i][1]:.0f} m2" for i in picks)
