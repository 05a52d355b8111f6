"""The channels that tell what the agent made of it: topics, names and JSON Schemas.

Every message has `timestamp` (the body's clock, as Foxglove expects times) and `step`.
"""

from typing import Any

SURPRISE, BELIEF, PLAN = "/agentd/surprise", "/agentd/belief", "/agentd/plan"
INTERVENTIONS, EVENTS = "/agentd/interventions", "/agentd/events"
GOALS, LEARNING = "/agentd/goals", "/agentd/learning"

_NUMBER, _TEXT, _COUNT = {"type": "number"}, {"type": "string"}, {"type": "integer"}
_MAYBE_NUMBER = {"type": ["number", "null"]}
_MAYBE_COUNT = {"type": ["integer", "null"]}
_MAYBE_TEXT = {"type": ["string", "null"]}
_XY = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
_XYZ = {"type": "array", "items": _NUMBER, "minItems": 3, "maxItems": 3}
_TIME = {
    "type": "object",
    "title": "time",
    "properties": {"sec": _COUNT, "nsec": _COUNT},
    "required": ["sec", "nsec"],
}


def _object(title: str, optional: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    fields = {"timestamp": _TIME, "step": _COUNT, **properties}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "properties": fields,
        "required": [name for name in fields if name not in optional],
        "additionalProperties": False,
    }


_OPTION = {
    "type": "object",
    "properties": {
        "kind": _TEXT,
        "name": _TEXT,
        "xy_m": _XY,
        "distance_m": _MAYBE_NUMBER,
        "price_m": _MAYBE_NUMBER,
        "chance": _MAYBE_NUMBER,
        "slot_id": _MAYBE_COUNT,
        "age_s": _MAYBE_NUMBER,
        "note": _TEXT,
    },
    "required": ["kind", "name", "xy_m"],
}
_BELIEVED = {
    "type": "object",
    "properties": {
        "slot_id": _COUNT,
        "now_id": _MAYBE_COUNT,
        "label": _TEXT,
        "state": {"enum": ["confirmed", "suspect"]},
        "xyz_m": _XYZ,
        "extent_m": {"anyOf": [_XYZ, {"type": "null"}]},
        "existence": _MAYBE_NUMBER,
        "probability": _MAYBE_NUMBER,
        "first_seen_ns": _COUNT,
        "last_seen_ns": _MAYBE_COUNT,
        "since_ns": _COUNT,
    },
    "required": ["slot_id", "label", "state", "xyz_m", "first_seen_ns", "last_seen_ns"],
    "additionalProperties": False,
}

SCHEMAS: dict[str, dict[str, Any]] = {
    SURPRISE: _object("agentd.Surprise", surprise=_NUMBER, checkpoint_id=_TEXT),
    BELIEF: _object("agentd.Belief", slots={"type": "array", "items": _BELIEVED}),
    PLAN: _object(
        "agentd.Plan",
        ("until_step", "xy_m", "ended", "chosen", "others", "refused"),
        mode=_TEXT,
        reason=_TEXT,
        goal_id=_MAYBE_TEXT,
        goal=_MAYBE_TEXT,
        until_step=_COUNT,
        xy_m=_XY,
        ended=_TEXT,
        chosen=_OPTION,
        others={"type": "array", "items": _OPTION},
        refused={"type": "array", "items": {"type": "object"}},
    ),
    INTERVENTIONS: _object(
        "agentd.Intervention",
        ("v_mps", "w_radps", "bumped"),
        source={"enum": ["action", "event"]},
        text=_TEXT,
        v_mps=_NUMBER,
        w_radps=_NUMBER,
        bumped={"type": "boolean"},
    ),
    EVENTS: _object("agentd.Event", kind=_TEXT, text=_TEXT, wall_ns=_COUNT),
    GOALS: _object(
        "agentd.Goal",
        goal_id=_TEXT,
        kind=_TEXT,
        label=_TEXT,
        origin=_TEXT,
        state={"enum": ["active", "reached", "failed", "cancelled"]},
        reason=_TEXT,
        steps=_COUNT,
        path_m=_NUMBER,
    ),
    LEARNING: _object(
        "agentd.Learning",
        ("before",),
        source={"enum": ["acting", "event"]},
        checkpoint_id=_TEXT,
        before=_TEXT,
        text=_TEXT,
    ),
}
"""JSON Schema of every topic; the title is the name of its messages."""


def timestamp(stamp_ns: int) -> dict[str, int]:
    """Return a time as the schemas have it."""
    sec, nsec = divmod(stamp_ns, 10**9)
    return {"sec": sec, "nsec": nsec}
