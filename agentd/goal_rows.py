"""Goals as plain rows, for status, control socket and disk."""

import base64
from typing import Any

import numpy as np

from agentd.goal_images import BadImageError, fit_image, png_of
from memory.records import ExploreGoal, Goal, ImageGoal, ObjectGoal, PatrolGoal, PointGoal


def kind_of(goal: Goal) -> str:
    """Return the kind of a goal."""
    return type(goal).__name__.removesuffix("Goal").lower()


def label_of(goal: Goal) -> str:
    """Return what is asked for, in a word."""
    match goal:
        case ObjectGoal():
            return goal.label
        case PointGoal():
            return f"({goal.xy_m[0]:.2f}, {goal.xy_m[1]:.2f})"
        case ImageGoal():
            return "image"
        case ExploreGoal():
            return "explore"
        case PatrolGoal():
            return "patrol" if goal.rounds is None else f"patrol x{goal.rounds}"


def goal_row(goal: Goal) -> dict[str, Any]:
    """Return what tells a goal, but for the pixels of an image."""
    return {
        "goal_id": goal.goal_id,
        "kind": kind_of(goal),
        "label": label_of(goal),
        "xy_m": list(goal.xy_m) if isinstance(goal, PointGoal) else None,
        "deadline_steps": goal.deadline_steps,
    }


def kept_row(goal: Goal) -> dict[str, Any]:
    """Return what a goal is rebuilt from, beside its row."""
    match goal:
        case ObjectGoal() if goal.also:
            return {"also": list(goal.also)}
        case PatrolGoal():
            return {"rounds": goal.rounds}
        case ImageGoal():
            h, w = goal.rgb.shape[:2]
            return {"png": base64.b64encode(png_of(goal.rgb)).decode(), "size_px": [w, h]}
        case _:
            return {}


def goal_from_row(row: dict[str, Any]) -> Goal | None:
    """Return the goal of a row, None for an image without its pixels or a kind that is unknown."""
    goal_id, deadline = row["goal_id"], row["deadline_steps"]
    match row["kind"]:
        case "object":
            return ObjectGoal(
                goal_id=goal_id,
                label=row["label"],
                deadline_steps=deadline,
                also=tuple(row.get("also", ())),
            )
        case "explore":
            return ExploreGoal(goal_id=goal_id, deadline_steps=deadline)
        case "patrol":
            return PatrolGoal(goal_id=goal_id, rounds=row.get("rounds"), deadline_steps=deadline)
        case "image":
            return _image_goal(row)
        case "point":
            x, y = row["xy_m"]
            return PointGoal(goal_id=goal_id, xy_m=(x, y), deadline_steps=deadline)
        case _:
            return None


def _image_goal(row: dict[str, Any]) -> ImageGoal | None:
    pixels = np.zeros((1, 1, 3), dtype=np.uint8)
    if "png" in row:
        try:
            pixels = fit_image(base64.b64decode(row["png"]), *row["size_px"])
        except (BadImageError, KeyError, TypeError, ValueError):
            return None
    elif row["state"] in ("queued", "active"):
        return None
    return ImageGoal(goal_id=row["goal_id"], rgb=pixels, deadline_steps=row["deadline_steps"])
