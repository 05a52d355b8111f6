"""The goals of a life: queued, one at a time, with the reason of every ending."""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

from memory.records import Goal, ObjectGoal, PointGoal

GoalState = Literal["queued", "active", "reached", "failed", "cancelled"]


@dataclass(slots=True)
class GoalEntry:
    """A goal and what became of it."""

    goal: Goal
    origin: str
    state: GoalState = "queued"
    reason: str = ""
    steps: int = 0
    path_m: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the entry for status, control socket and disk."""
        goal = self.goal
        if isinstance(goal, ObjectGoal):
            kind, label, xy = "object", goal.label, None
        elif isinstance(goal, PointGoal):
            kind, label, xy = "point", f"({goal.xy_m[0]:.2f}, {goal.xy_m[1]:.2f})", list(goal.xy_m)
        else:
            kind, label, xy = "image", "image", None
        return {
            "goal_id": goal.goal_id,
            "kind": kind,
            "label": label,
            "xy_m": xy,
            "deadline_steps": goal.deadline_steps,
            "origin": self.origin,
            "state": self.state,
            "reason": self.reason,
            "steps": self.steps,
            "path_m": round(self.path_m, 3),
        }


class GoalBook:
    """First come, first served; goals of people go before the agent's own practice."""

    def __init__(self, max_steps: int, keep: int = 200) -> None:
        self._max_steps = max_steps
        self._entries: deque[GoalEntry] = deque(maxlen=keep)
        self._count = 0
        self._lock = threading.RLock()

    def add_object(
        self, label: str, deadline_steps: int | None = None, origin: str = "operator"
    ) -> str:
        """Queue "find a `label`" and return the goal's id."""
        goal_id = self._new_id()
        return self._add(
            ObjectGoal(goal_id=goal_id, label=label, deadline_steps=deadline_steps), origin
        )

    def add_point(
        self, xy_m: tuple[float, float], deadline_steps: int | None = None, origin: str = "operator"
    ) -> str:
        """Queue "go to this point of the world frame" and return the goal's id."""
        goal_id = self._new_id()
        return self._add(
            PointGoal(goal_id=goal_id, xy_m=xy_m, deadline_steps=deadline_steps), origin
        )

    def active(self) -> GoalEntry | None:
        """Return the goal in hand, taking the next from the queue when there is none."""
        with self._lock:
            queued = [e for e in self._entries if e.state == "queued"]
            for entry in self._entries:
                if entry.state != "active":
                    continue
                person_waits = any(e.origin == "operator" for e in queued)
                if entry.origin == "practice" and person_waits:
                    entry.state, entry.reason = "cancelled", "an operator's goal came in"
                    continue
                return entry
            if not queued:
                return None
            entry = min(queued, key=lambda e: e.origin != "operator")
            entry.state = "active"
            return entry

    @property
    def busy(self) -> bool:
        """Whether a goal is active or waits."""
        with self._lock:
            return any(e.state in ("active", "queued") for e in self._entries)

    def step(self, moved_m: float) -> GoalEntry | None:
        """Count one step on the active goal; return it if its deadline has just passed."""
        with self._lock:
            for entry in self._entries:
                if entry.state == "active":
                    entry.steps += 1
                    entry.path_m += moved_m
                    limit = entry.goal.deadline_steps or self._max_steps
                    if entry.steps >= limit:
                        entry.state = "failed"
                        entry.reason = f"not reached within {limit} steps"
                        return entry
        return None

    def finish(self, goal_id: str, state: GoalState, reason: str) -> None:
        """Close an active or queued goal; closing it twice changes nothing."""
        with self._lock:
            for entry in self._entries:
                if entry.goal.goal_id == goal_id and entry.state in ("active", "queued"):
                    entry.state, entry.reason = state, reason

    def find(self, goal_id: str) -> GoalEntry | None:
        """Return the entry of a goal, or None."""
        with self._lock:
            return next((e for e in self._entries if e.goal.goal_id == goal_id), None)

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return all kept goals, oldest first."""
        with self._lock:
            return [e.as_dict() for e in self._entries]

    def restore(self, rows: list[dict[str, Any]]) -> None:
        """Take over the goals of an earlier process; an active one is queued again."""
        with self._lock:
            for row in rows:
                number = row["goal_id"].removeprefix("g")
                self._count = max(self._count, int(number) if number.isdigit() else 0)
                if row["kind"] == "image":
                    continue
                goal: Goal
                if row["kind"] == "object":
                    goal = ObjectGoal(
                        goal_id=row["goal_id"],
                        label=row["label"],
                        deadline_steps=row["deadline_steps"],
                    )
                else:
                    x, y = row["xy_m"]
                    goal = PointGoal(
                        goal_id=row["goal_id"], xy_m=(x, y), deadline_steps=row["deadline_steps"]
                    )
                state: GoalState = "queued" if row["state"] == "active" else row["state"]
                self._entries.append(
                    GoalEntry(
                        goal, row["origin"], state, row["reason"], row["steps"], row["path_m"]
                    )
                )

    def _new_id(self) -> str:
        with self._lock:
            self._count += 1
            return f"g{self._count}"

    def _add(self, goal: Goal, origin: str) -> str:
        with self._lock:
            self._entries.append(GoalEntry(goal, origin))
        return goal.goal_id
