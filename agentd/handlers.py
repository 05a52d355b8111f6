"""What the control socket answers: one function per command, all of them quick."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agentd import status
from agentd.control import ControlError

if TYPE_CHECKING:
    from agentd.life import Life

Handler = Callable[[dict[str, Any]], dict[str, Any]]


def handlers(life: "Life") -> dict[str, Handler]:
    """Return the commands of a running life."""
    return {
        "status": lambda args: status.status(life),
        "map": lambda args: status.map_(life),
        "slots": lambda args: status.slots(life),
        "camera": lambda args: status.camera(life),
        "events": lambda args: life.events.since(_integer(args, "since", 0)),
        "goal.add": lambda args: _add_goal(life, args),
        "goal.list": lambda args: {"goals": life.goals.as_dicts()},
        "goal.cancel": lambda args: _cancel_goal(life, args),
        "pause": lambda args: _pause(life, True),
        "resume": lambda args: _pause(life, False),
        "stop": lambda args: _stop(life),
        "learn.now": lambda args: life.learning.request(),
        "checkpoint.rollback": lambda args: life.learning.rollback(),
        "checkpoint.promote": lambda args: life.learning.promote(_text(args, "id")),
    }


def _add_goal(life: "Life", args: dict[str, Any]) -> dict[str, Any]:
    deadline = args.get("deadline_steps")
    if deadline is not None:
        deadline = _integer(args, "deadline_steps", 0)
        if deadline < 1:
            raise ControlError("invalid", f"deadline_steps must be >= 1, got {deadline}")
    if "label" in args:
        label = _text(args, "label").strip().lower()
        if not label:
            raise ControlError("invalid", "label must not be empty; name what to find")
        goal_id = life.goals.add_object(label, deadline)
        known = [s for s in life.slots.slots(label) if s.state.value in ("confirmed", "tentative")]
        note = (
            f"{len(known)} remembered"
            if known
            else f"no {label} remembered yet: the agent will explore for it"
        )
    else:
        x, y = _number(args, "x"), _number(args, "y")
        goal_id, note = life.goals.add_point((x, y), deadline), "a point of the map"
    life.events.emit("goal", life.loop.state.step, f"{goal_id} accepted: {note}")
    return {"goal_id": goal_id, "note": note}


def _cancel_goal(life: "Life", args: dict[str, Any]) -> dict[str, Any]:
    goal_id = _text(args, "goal_id")
    entry = life.goals.find(goal_id)
    if entry is None:
        known = ", ".join(g["goal_id"] for g in life.goals.as_dicts()[-5:]) or "none"
        raise ControlError("not_found", f"no goal {goal_id!r}; the last goals are: {known}")
    life.goals.finish(goal_id, "cancelled", "cancelled by the operator")
    life.loop.post(lambda: life.navigator.reset(keep_map=True))
    return {"goal": entry.as_dict()}


def _pause(life: "Life", paused: bool) -> dict[str, Any]:
    if paused:
        life.loop.paused.set()
    else:
        life.loop.paused.clear()
    life.events.emit("life", life.loop.state.step, "paused" if paused else "resumed")
    return {"paused": paused}


def _stop(life: "Life") -> dict[str, Any]:
    life.events.emit("life", life.loop.state.step, "asked to stop")
    life.loop.stop_event.set()
    return {"stopping": True, "drain_s": life.config.life.drain_s}


def _text(args: dict[str, Any], key: str) -> str:
    value = args.get(key)
    if not isinstance(value, str) or len(value) > 200:
        raise ControlError("invalid", f"{key} must be a text of at most 200 characters")
    return value


def _integer(args: dict[str, Any], key: str, default: int) -> int:
    value = args.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ControlError("invalid", f"{key} must be an integer, got {value!r}")
    return value


def _number(args: dict[str, Any], key: str) -> float:
    value = args.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ControlError("invalid", f"{key} must be a finite number, got {value!r}")
    return float(value)
