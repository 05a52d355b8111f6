"""What a life tells about itself: the dictionaries behind status, map, slots and camera.

Plain data for JSON, so that the command line, the live view, the terminal interface and a remote
client all see the same. Every function only reads.
"""

import base64
import math
import os
import time
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from agentd import __version__
from agentd.loop import percentile_ms

if TYPE_CHECKING:
    from agentd.life import Life

STATUS_FORMAT = 1


def status(life: "Life") -> dict[str, Any]:
    """Return the whole state of a life in words and numbers."""
    config = life.config
    return {
        "format": STATUS_FORMAT,
        "life": {
            "id": life.life_id,
            "name": config.life.name,
            "home": str(life.home.path),
            "pid": os.getpid(),
            "started_ns": life.started_ns,
            "uptime_s": round(time.monotonic() - life.started_s, 1),
            "seed": config.life.seed,
            "world": config.world.kind,
            "place": config.world.body.place,
            "version": __version__,
        },
        "steps": _steps(life),
        "doing": _doing(life),
        "pose": dict(zip(("x_m", "y_m", "yaw_rad"), life.loop.state.pose, strict=True)),
        "map": {
            "explored_m2": round(life.navigator.map.explored_m2, 2),
            "history": [list(row) for row in life.coverage],
        },
        "memory": _memory(life),
        "learning": life.learning.as_dict(),
        "goals": life.goals.as_dicts()[-20:],
        "guardian": life.guardian.state(),
        "care": {**life.care.as_dict(), "fence": _fence(life)},
        "health": _health(life),
    }


def _steps(life: "Life") -> dict[str, Any]:
    state = life.loop.state
    running_s = max(1e-6, time.monotonic() - life.started_s)
    return {
        "total": state.step,
        "this_run": state.ticks,
        "episode": state.episode_id,
        "per_s": round(state.ticks / running_s, 2),
        "pace": life.config.life.pace,
        "tick_p50_ms": round(percentile_ms(state.latencies_s, 50), 2),
        "tick_p99_ms": round(percentile_ms(state.latencies_s, 99), 2),
        "missed_ticks": state.missed_ticks,
        "acting_share": round(state.acting_s / max(1e-9, state.acting_s + state.world_s), 3),
        "paused": life.loop.paused.is_set(),
    }


def _doing(life: "Life") -> dict[str, Any]:
    state = life.loop.state
    decision, action = state.decision, state.action
    entry = life.goals.find(decision.goal_id) if decision and decision.goal_id else None
    goal = None
    if entry is not None:
        row = entry.as_dict()
        goal = {key: row[key] for key in ("goal_id", "kind", "label")}
    return {
        "mode": decision.mode.value if decision else "initialise",
        "reason": _reason(life, decision.reason if decision else "starting"),
        "goal": goal,
        "target_m": list(decision.target_m) if decision and decision.target_m else None,
        "slot_id": decision.slot_id if decision else None,
        "action": {
            "v_mps": round(action.v_mps, 3) if action else 0.0,
            "w_radps": round(action.w_radps, 3) if action else 0.0,
            "source": action.source if action else "none",
        },
        "surprise": None if math.isnan(state.surprise) else round(state.surprise, 3),
    }


def _fence(life: "Life") -> dict[str, Any]:
    """Return how many areas there are, and whether the body is where it may be, if known."""
    fence, (x_m, y_m, _) = life.config.guardian.fence, life.loop.state.pose
    counts = {"keep_in": len(fence.keep_in), "keep_out": len(fence.keep_out)}
    is_known = life.loop.state.observation is not None and math.isfinite(x_m + y_m)
    is_inside = life.fence.contains((x_m, y_m)) if is_known and life.fence.is_set else None
    return {**counts, "is_inside": is_inside}


def _reason(life: "Life", reason: str) -> str:
    trouble = life.loop.asking.trouble
    return f"waits for the body, at rest: {trouble}" if trouble else reason


def _memory(life: "Life") -> dict[str, Any]:
    counts = {state.value: count for state, count in life.slots.num_by_state().items()}
    return {
        "rows_committed": life.rows_at_start + life.recorder.rows_committed,
        "rows_queued": life.recorder.rows_queued,
        "rows_waiting": life.replay.rows_waiting,
        "version": life.recorder.version,
        "disk_bytes": life.disk_bytes,
        "slots": counts,
        "views": life.slots.num_views(),
        "encoder": life.slots.active_encoder,
    }


def _health(life: "Life") -> dict[str, Any]:
    return {
        "rss_mb": round(psutil.Process().memory_info().rss / 2**20, 1),
        "ray_rss_mb": life.learning.ray_rss_mb(),
        "safety_interventions": life.loop.parts.safety.interventions,
        "dropped_rows": life.recorder.dropped_rows,
        "last_error": life.last_error,
    }


def map_(life: "Life") -> dict[str, Any]:
    """Return the occupancy grid (row 0 is the smallest y) and what is drawn on it."""
    occupancy = life.navigator.map
    cells = (occupancy.grid() + 1).astype(np.uint8).T
    state = life.loop.state
    decision = state.decision
    return {
        "width": int(cells.shape[1]),
        "height": int(cells.shape[0]),
        "cell_m": occupancy.cell_m,
        "origin_m": [float(v) for v in occupancy.origin_m],
        "cells": base64.b64encode(zlib.compress(cells.tobytes(), 1)).decode(),
        "trail_m": [[round(x, 2), round(y, 2)] for x, y in list(state.trail_m)[-600:]],
        "path_m": [[round(x, 2), round(y, 2)] for x, y in decision.path_m] if decision else [],
        "frontiers_m": [
            [round(float(v), 2) for v in f.xy_m] for f in life.navigator.explorer.frontiers
        ],
        "pose": dict(zip(("x_m", "y_m", "yaw_rad"), state.pose, strict=True)),
        "target_m": list(decision.target_m) if decision and decision.target_m else None,
    }


def slots(life: "Life") -> dict[str, Any]:
    """Return the remembered objects."""
    rows = []
    for slot in life.slots.slots(archived=True):
        rows.append(
            {
                "slot_id": slot.slot_id,
                "label": slot.label,
                "xyz_m": [round(float(v), 3) for v in slot.xyz_m],
                "extent_m": [round(float(v), 3) for v in slot.extent_m],
                "state": slot.state.value,
                "existence": round(slot.existence, 2),
                "num_hits": slot.num_hits,
                "num_views": life.slots.num_views(slot.slot_id),
                "last_seen_step": slot.last_seen_step,
                "last_seen_ns": slot.last_seen_ns,
            }
        )
    return {"slots": rows}


def camera(life: "Life") -> dict[str, Any]:
    """Return what the camera sees."""
    observation = life.loop.state.observation
    if observation is None:
        return {"width": 0, "height": 0, "rgb": ""}
    height, width = observation.rgb.shape[:2]
    rgb = base64.b64encode(np.ascontiguousarray(observation.rgb).tobytes()).decode()
    return {"width": width, "height": height, "rgb": rgb}
