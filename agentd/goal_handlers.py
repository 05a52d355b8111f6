"""What the control socket answers about goals."""

import base64
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agentd.control import ControlError
from agentd.goal_images import BadImageError, fit_image
from memory.records import ExploreGoal, Goal, ImageGoal, ObjectGoal, PatrolGoal, PointGoal
from policies.free_points import why_not_at
from policies.words import resolve

if TYPE_CHECKING:
    from agentd.life import Life

Handler = Callable[[dict[str, Any]], dict[str, Any]]

MAX_PRIORITY = 100
MAX_IMAGES = 16
"""Image goals that may wait at a time: their pixels are kept on disk."""
MAX_WAITING = 100
_TARGETS = ("label", "x", "image", "explore", "patrol")


class _Asked(NamedTuple):
    """A goal that can be accepted: how to make it, and what the person is told."""

    make: Callable[[str], Goal]
    note: str


def goal_handlers(life: "Life") -> dict[str, Handler]:
    """Return the commands about goals of a running life."""
    return {
        "goal.add": lambda args: _add(life, args),
        "goal.list": lambda args: {"goals": life.goals.as_dicts()},
        "goal.cancel": lambda args: _cancel(life, args),
        "goal.explain": lambda args: _explain(life, args),
    }


def _add(life: "Life", args: dict[str, Any]) -> dict[str, Any]:
    steps = _bounded(args, "deadline_steps", 1, 10**9)
    priority = _bounded(args, "priority", -MAX_PRIORITY, MAX_PRIORITY) or 0
    deadline_s = None if args.get("deadline_s") is None else number(args, "deadline_s")
    if deadline_s is not None and deadline_s <= 0:
        raise ControlError("invalid", f"deadline_s must be above 0, got {deadline_s}")
    named = [k for k in _TARGETS if args.get(k) is not None and args[k] is not False]
    if len(named) != 1:
        given = ", ".join(named) or "none"
        raise ControlError("invalid", f"a goal needs one of {', '.join(_TARGETS)}; given: {given}")
    if sum(g["state"] == "queued" for g in life.goals.as_dicts()) >= MAX_WAITING:
        raise ControlError("invalid", f"{MAX_WAITING} goals wait already; cancel some first")
    limit = _limit(life, steps, deadline_s)
    asked = _ASK[named[0]](life, args, steps, limit)
    goal_id = life.goals.add(asked.make, priority=priority, deadline_s=deadline_s, note=asked.note)
    life.events.emit("goal", life.loop.state.step, f"{goal_id} accepted: {asked.note}")
    return {"goal_id": goal_id, "note": asked.note}


def _limit(life: "Life", steps: int | None, deadline_s: float | None) -> str:
    most = steps or life.config.life.max_goal_steps
    return f"{most} steps" if deadline_s is None else f"{deadline_s:g} s"


def _ask_object(life: "Life", args: dict[str, Any], steps: int | None, limit: str) -> _Asked:
    wanted = text(args, "label").strip().lower()
    if not wanted:
        raise ControlError("invalid", "label must not be empty; name what to find")
    seen, closed = life.slots.labels(), life.words.vocabulary
    found = resolve(wanted, (*seen, *(closed or ())), life.words.matcher)
    hint = f"; did you mean {' or '.join(found.near)}?" if found.near else ""
    if closed is not None and not found.known:
        raise ControlError(
            "invalid",
            f"the detector has no word for {wanted!r}, so it would never be seen{hint}",
        )
    known = [
        slot
        for label in (found.label, *found.also)
        for slot in life.slots.slots(label)
        if slot.state.value in ("confirmed", "tentative")
    ]
    taken = f"{wanted} taken for {found.label}: " if found.guessed else ""
    if known:
        note = f"{taken}{len(known)} remembered"
    elif not found.known:
        note = f"never seen anything like {wanted}: will explore, at most {limit}{hint}"
    else:
        note = f"{taken}no {found.label} remembered yet: the agent will explore for it"
    return _Asked(
        lambda goal_id: ObjectGoal(
            goal_id=goal_id, label=found.label, deadline_steps=steps, also=found.also
        ),
        note,
    )


def _ask_point(life: "Life", args: dict[str, Any], steps: int | None, limit: str) -> _Asked:
    xy_m = (number(args, "x"), number(args, "y"))
    why_not = why_not_at(
        life.navigator.map,
        life.world.spec,
        life.config.policies.map,
        np.array(life.loop.state.pose[:2]),
        xy_m,
    )
    if why_not:
        raise ControlError("invalid", why_not)
    return _Asked(
        lambda goal_id: PointGoal(goal_id=goal_id, xy_m=xy_m, deadline_steps=steps),
        "a point of the map",
    )


def _ask_image(life: "Life", args: dict[str, Any], steps: int | None, limit: str) -> _Asked:
    coded = args["image"]
    if not isinstance(coded, str):
        raise ControlError("invalid", "image must be a text in base64")
    if life.goals.num_waiting(ImageGoal) >= MAX_IMAGES:
        raise ControlError("invalid", f"{MAX_IMAGES} image goals wait already; cancel some first")
    spec = life.world.spec
    try:
        rgb = fit_image(base64.b64decode(coded, validate=True), spec.width_px, spec.height_px)
    except BadImageError as error:
        raise ControlError("invalid", f"the image cannot be used: {error}") from error
    except ValueError as error:  # binascii.Error, or letters that are not ASCII
        raise ControlError("invalid", f"the image cannot be used: no base64 ({error})") from error
    note = f"an image, seen as {spec.width_px} x {spec.height_px} pixels"
    if life.loop.model is None:
        note += "; there is no model yet that could compare views, so it explores until there is"
    return _Asked(lambda goal_id: ImageGoal(goal_id=goal_id, rgb=rgb, deadline_steps=steps), note)


def _ask_explore(life: "Life", args: dict[str, Any], steps: int | None, limit: str) -> _Asked:
    return _Asked(
        lambda goal_id: ExploreGoal(goal_id=goal_id, deadline_steps=steps),
        f"explores until nothing is left, at most {limit}",
    )


def _ask_patrol(life: "Life", args: dict[str, Any], steps: int | None, limit: str) -> _Asked:
    rounds = _bounded(args, "rounds", 0, 10_000)
    rounds = 1 if rounds is None else rounds or None
    times = "until the deadline" if rounds is None else f"{rounds} rounds"
    return _Asked(
        lambda goal_id: PatrolGoal(goal_id=goal_id, rounds=rounds, deadline_steps=steps),
        f"looks at every place again, the oldest look first: {times}, at most {limit}",
    )


_ASK: dict[str, Callable[["Life", dict[str, Any], int | None, str], _Asked]] = {
    "label": _ask_object,
    "x": _ask_point,
    "image": _ask_image,
    "explore": _ask_explore,
    "patrol": _ask_patrol,
}


def _cancel(life: "Life", args: dict[str, Any]) -> dict[str, Any]:
    goal_id = text(args, "goal_id")
    entry = life.goals.find(goal_id)
    if entry is None:
        raise _unknown(life, goal_id)
    if life.goals.finish(goal_id, "cancelled", "cancelled by the operator"):
        # Only then: what is in hand for another goal goes on.
        life.loop.post(lambda: life.navigator.reset(keep_map=True))
    return {"goal": entry.as_dict()}


def _explain(life: "Life", args: dict[str, Any]) -> dict[str, Any]:
    goal_id = text(args, "goal_id")
    told = life.goals.told(goal_id)
    if told is None:
        raise _unknown(life, goal_id)
    state = life.loop.state
    now_ns = state.observation.stamp_ns if state.observation is not None else None
    return {
        "goal": told,
        "now": {
            "step": state.step,
            "stamp_ns": now_ns,
            "xy_m": [round(v, 2) for v in state.pose[:2]],
        },
        "tick_s": life.world.spec.tick_s,
    }


def _unknown(life: "Life", goal_id: str) -> ControlError:
    known = ", ".join(g["goal_id"] for g in life.goals.as_dicts()[-5:]) or "none"
    return ControlError("not_found", f"no goal {goal_id!r}; the last goals are: {known}")


def text(args: dict[str, Any], key: str) -> str:
    """Return a short text of a request; refuse anything else."""
    value = args.get(key)
    if not isinstance(value, str) or len(value) > 200:
        raise ControlError("invalid", f"{key} must be a text of at most 200 characters")
    return value


def integer(args: dict[str, Any], key: str, default: int) -> int:
    """Return an integer of a request; refuse anything else."""
    value = args.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ControlError("invalid", f"{key} must be an integer, got {value!r}")
    return value


def number(args: dict[str, Any], key: str) -> float:
    """Return a finite number of a request; refuse anything else."""
    value = args.get(key)
    try:
        found = math.nan if isinstance(value, bool | str) else float(value)  # type: ignore[arg-type]
    except (TypeError, OverflowError):  # no number, or an integer beyond all floats
        found = math.nan
    if not math.isfinite(found):
        raise ControlError("invalid", f"{key} must be a finite number, got {str(value)[:80]}")
    return found


def _bounded(args: dict[str, Any], key: str, low: int, high: int) -> int | None:
    if args.get(key) is None:
        return None
    value = integer(args, key, 0)
    if not low <= value <= high:
        at = f">= {low}" if value < low else f"<= {high}"
        raise ControlError("invalid", f"{key} must be {at}, got {value}")
    return value
