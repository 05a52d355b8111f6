"""What the robot was asked to do at each step, in words, for datasets that learn from words."""

from typing import Any

import numpy as np
from jaxtyping import Int64

NO_GOAL = "explore"
"""What it does with nothing asked for."""


def tasks_of(steps: Int64[np.ndarray, "n"], goals: list[dict[str, Any]]) -> list[str]:
    """Return the task of every step.

    A goal holds from its first decision to its last; one that interrupted it, in between.

    Args:
        steps: Growing steps.
        goals: Rows of goals with their stories.
    """
    spans = []
    for goal in goals:
        story = goal.get("story") or []
        if story:
            spans.append((int(story[0]["step"]), int(story[-1]["until_step"]), _task(goal)))
    tasks = np.full(len(steps), NO_GOAL, dtype=object)
    for first, last, task in sorted(spans, key=lambda span: span[0] - span[1]):
        begin, end = np.searchsorted(steps, [first, last + 1])
        tasks[begin:end] = task
    return [str(task) for task in tasks]


def _task(goal: dict[str, Any]) -> str:
    label = str(goal["label"])
    match goal["kind"]:
        case "object":
            return f"find the {label.replace('_', ' ')}"
        case "point":
            return f"go to the point {label}"
        case "image":
            return "go to where the image was taken"
        case "patrol":
            return "look at every place again"
        case _:
            return NO_GOAL
