"""What a life wrote down beside its tables, step by step: events, goals, decisions.

Events carry the clock of the computer and goals that of the body; both know the step, so they are
put at the time of the row of their step.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentd.exit_codes import AgentdError, ExitCode
from agentd.export.schemas import EVENTS, GOALS, INTERVENTIONS, LEARNING, PLAN
from agentd.home import Home

_ENDED = ("reached", "failed", "cancelled")
_CHECKPOINT = re.compile(r"\bckpt-[\w.-]*\w")


class DamagedStateError(AgentdError):
    """What a life saved about its goals cannot be read."""

    exit_code = ExitCode.DAMAGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that happened at a step.

    Attributes:
        step: When.
        topic: Channel that it belongs to.
        message: Its fields, but for time and step.
    """

    step: int
    topic: str
    message: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was found.

    Attributes:
        happenings: In the order of steps.
        goals: Rows of the goals, with their stories.
        notes: What could not be read or was not kept.
    """

    happenings: list[Happening]
    goals: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


def read_record(home: Home) -> Record:
    """Return everything that a life wrote down.

    Raises:
        DamagedStateError: If its goals cannot be read.
    """
    notes: list[str] = []
    events = read_events(home.log_folder / "events.jsonl", notes)
    goals = read_goals(home.state_folder / "life_state.json")
    happenings = [*_of_events(events, goals), *_of_goals(goals)]
    if home.holder_pid() is not None:
        notes.append("the life runs: goals and decisions are those of its last snapshot")
    return Record(
        happenings=sorted(happenings, key=lambda item: item.step), goals=goals, notes=notes
    )


def read_events(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    """Return the kept events, the oldest first; a line that was cut off is left out and told."""
    events: list[dict[str, Any]] = []
    num_bad = 0
    for part in (path.with_suffix(".1.jsonl"), path):
        if not part.exists():
            continue
        for line in part.read_text("utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
                events.append({key: event[key] for key in ("step", "stamp_ns", "kind", "text")})
            except (ValueError, KeyError, TypeError):
                num_bad += 1
    if num_bad:
        notes.append(f"{num_bad} lines of {path} cannot be read and are left out")
    if path.with_suffix(".1.jsonl").exists() and events:
        notes.append(f"the log of events was rotated: it begins at step {events[0]['step']}")
    return events


def read_goals(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the goals of a life's last snapshot, empty before the first.

    Raises:
        DamagedStateError: If they cannot be read.
    """
    try:
        return [dict(row) for row in json.loads(path.read_bytes())["goals"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedStateError(f"{path} cannot be read: {error}") from error


def _of_events(events: list[dict[str, Any]], goals: list[dict[str, Any]]) -> Iterator[Happening]:
    told = {
        (chapter["step"], chapter["mode"]) for goal in goals for chapter in goal.get("story", ())
    }
    for event in events:
        step, kind, text = int(event["step"]), str(event["kind"]), str(event["text"])
        yield Happening(
            step=step,
            topic=EVENTS,
            message={"kind": kind, "text": text, "wall_ns": int(event["stamp_ns"])},
        )
        if kind == "safety":
            yield Happening(
                step=step, topic=INTERVENTIONS, message={"source": "event", "text": text}
            )
        elif kind == "learning":
            named = _CHECKPOINT.search(text)
            message = {
                "source": "event",
                "checkpoint_id": named.group() if named else "",
                "text": text,
            }
            yield Happening(step=step, topic=LEARNING, message=message)
        elif kind == "mode":
            mode, _, reason = text.partition(": ")
            if (step, mode) not in told:
                yield Happening(
                    step=step,
                    topic=PLAN,
                    message={"mode": mode, "reason": reason, "goal_id": None, "goal": None},
                )


def _of_goals(goals: list[dict[str, Any]]) -> Iterator[Happening]:
    for goal in goals:
        story: list[dict[str, Any]] = goal.get("story") or []
        for chapter in story:
            kept = ("mode", "reason", "until_step", "xy_m", "ended", "chosen", "others", "refused")
            message = {key: chapter[key] for key in kept if chapter.get(key) is not None}
            message |= {"goal_id": goal["goal_id"], "goal": goal["label"]}
            yield Happening(step=int(chapter["step"]), topic=PLAN, message=message)
        if not story:
            continue  # nothing says when it was
        first, last = int(story[0]["step"]), int(story[-1]["until_step"])
        yield Happening(step=first, topic=GOALS, message=_goal(goal, "active", 0, 0.0))
        if goal["state"] in _ENDED:
            message = _goal(goal, goal["state"], int(goal["steps"]), float(goal["path_m"]))
            yield Happening(step=last, topic=GOALS, message=message)


def _goal(goal: dict[str, Any], state: str, steps: int, path_m: float) -> dict[str, Any]:
    return {
        **{name: str(goal[name]) for name in ("goal_id", "kind", "label", "origin")},
        "state": state,
        "reason": str(goal["reason"]) if state in _ENDED else "",
        "steps": steps,
        "path_m": path_m,
    }
