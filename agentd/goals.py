"""The goals of a life: queued, one at a time, with the reason of every ending."""

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from agentd.goal_rows import goal_from_row, goal_row, kept_row, label_of
from agentd.story import Story
from memory.records import Goal, ImageGoal, ObjectGoal, PointGoal
from policies.protocols import Decision

GoalState = Literal["queued", "active", "reached", "failed", "cancelled"]

OPEN = ("active", "queued")
_ORIGINS = {"care": 0, "operator": 1}
KEPT_STORIES = 50
"""Goals whose story is kept; of older ones only the ending is."""


@dataclass(slots=True)
class GoalEntry:
    """A goal and what became of it.

    Attributes:
        goal: The goal.
        origin: "operator", "practice", or "care" of the body.
        state: Where it stands.
        reason: How it ended, or why it waits.
        steps: Steps that were spent on it.
        path_m: Way that was driven for it.
        priority: Higher goes first.
        deadline_s: Seconds by the body's clock, from when it was given.
        given_ns: When it was given, by the body's clock; None until the next tick.
        note: What the person was told when it was accepted.
        story: What was decided for it.
        pixels: What an image goal is rebuilt from; made once, as it is written often.
    """

    goal: Goal
    origin: str
    state: GoalState = "queued"
    reason: str = ""
    steps: int = 0
    path_m: float = 0.0
    priority: int = 0
    deadline_s: float | None = None
    given_ns: int | None = None
    note: str = ""
    story: Story = field(default_factory=Story)
    pixels: dict[str, Any] | None = None

    @property
    def label(self) -> str:
        """What is asked for, in a word."""
        return label_of(self.goal)

    @property
    def rank(self) -> tuple[int, int]:
        """The body's needs, goals of people, practice; then by priority; the least goes first."""
        return (_ORIGINS.get(self.origin, len(_ORIGINS)), -self.priority)

    def as_dict(self) -> dict[str, Any]:
        """Return the entry for status and control socket."""
        return {
            **goal_row(self.goal),
            "deadline_s": self.deadline_s,
            "priority": self.priority,
            "origin": self.origin,
            "state": self.state,
            "reason": self.reason,
            "doing": self.story.doing if self.state == "active" else "",
            "steps": self.steps,
            "path_m": round(self.path_m, 3),
            "note": self.note,
        }

    def told(self) -> dict[str, Any]:
        """Return the entry with its story."""
        return {**self.as_dict(), "given_ns": self.given_ns, "story": self.story.rows()}

    def kept(self, *, story: bool) -> dict[str, Any]:
        """Return the entry for the disk; an image that is done with is not kept."""
        row = self.told() if story else {**self.as_dict(), "given_ns": self.given_ns}
        if not isinstance(self.goal, ImageGoal):
            row |= kept_row(self.goal)
        elif self.state in OPEN:
            if self.pixels is None:
                self.pixels = kept_row(self.goal)
            row |= self.pixels
        return row


class GoalBook:
    """The body's needs before goals of people before practice; then by priority, then by age.

    An active goal that must give way waits in the queue, with its steps and its story.

    Args:
        max_steps: Deadline of a goal that brings none.
        keep: Goals that are remembered.
    """

    def __init__(self, max_steps: int, keep: int = 200) -> None:
        self._max_steps = max_steps
        self._entries: deque[GoalEntry] = deque()
        self._keep = keep
        self._count = 0
        self._lock = threading.RLock()

    def add(
        self,
        make: Callable[[str], Goal],
        *,
        origin: str = "operator",
        priority: int = 0,
        deadline_s: float | None = None,
        note: str = "",
    ) -> str:
        """Queue a goal and return its id.

        Args:
            make: Returns the goal with the id that it is given.
            origin: "operator", "practice" or "care".
            priority: Higher goes first.
            deadline_s: Seconds by the body's clock after which it is given up.
            note: What the person is told.
        """
        with self._lock:
            self._count += 1
            goal_id = f"g{self._count}"
            entry = GoalEntry(
                make(goal_id), origin, priority=priority, deadline_s=deadline_s, note=note
            )
            self._entries.append(entry)
            self._forget_oldest()
        return goal_id

    def add_object(
        self, label: str, deadline_steps: int | None = None, origin: str = "operator"
    ) -> str:
        """Queue "find a `label`" and return the goal's id."""
        return self.add(
            lambda goal_id: ObjectGoal(goal_id=goal_id, label=label, deadline_steps=deadline_steps),
            origin=origin,
        )

    def add_point(
        self, xy_m: tuple[float, float], deadline_steps: int | None = None, origin: str = "operator"
    ) -> str:
        """Queue "go to this point of the world frame" and return the goal's id."""
        return self.add(
            lambda goal_id: PointGoal(goal_id=goal_id, xy_m=xy_m, deadline_steps=deadline_steps),
            origin=origin,
        )

    def active(self) -> GoalEntry | None:
        """Return the goal in hand; the next from the queue where there is none or it goes first."""
        with self._lock:
            queued = [e for e in self._entries if e.state == "queued"]
            now = next((e for e in self._entries if e.state == "active"), None)
            if not queued:
                return now
            first = min(queued, key=lambda e: e.rank)
            if now is not None:
                if now.rank <= first.rank:
                    return now
                if now.origin == "practice":
                    self._close(now, "cancelled", "an operator's goal came in")
                else:
                    now.state = "queued"
                    now.reason = f"gives way to {first.goal.goal_id}, which is more urgent"
                    now.story.close(now.reason)
            first.state, first.reason = "active", ""
            return first

    @property
    def busy(self) -> bool:
        """Whether a goal is active or waits."""
        with self._lock:
            return any(e.state in OPEN for e in self._entries)

    def num_waiting(self, kind: type[Goal]) -> int:
        """Return how many goals of a kind are active or wait."""
        with self._lock:
            return sum(e.state in OPEN and isinstance(e.goal, kind) for e in self._entries)

    def note(
        self,
        entry: GoalEntry,
        step: int,
        stamp_ns: int,
        xy_m: tuple[float, float],
        decision: Decision,
    ) -> None:
        """Add what was decided for the goal in hand to its story, unless it just ended."""
        with self._lock:
            if entry.state in OPEN:
                entry.story.note(step, stamp_ns, xy_m, decision)

    def step(
        self, moved_m: float, stamp_ns: int | None = None, *, is_served: bool = True
    ) -> GoalEntry | None:
        """Count one step on the active goal; return it if its deadline has just passed.

        Args:
            moved_m: Way of this step.
            stamp_ns: The body's clock, for deadlines in seconds; goals that wait have them, too.
            is_served: Whether anything was done for the goal in hand: else it waits, too.
        """
        late: GoalEntry | None = None
        with self._lock:
            for entry in self._entries:
                if entry.state not in OPEN:
                    continue
                # A clock that runs behind began anew, as of a world whose state was lost.
                if stamp_ns is not None and stamp_ns < (entry.given_ns or math.inf):
                    entry.given_ns = stamp_ns
                over_s = entry.deadline_s
                is_over = (
                    over_s is not None
                    and stamp_ns is not None
                    and entry.given_ns is not None
                    and stamp_ns - entry.given_ns >= over_s * 1e9
                )
                if entry.state == "queued" or not is_served:
                    if is_over:
                        why = f"its turn did not come within {over_s:g} s"
                        self._close(entry, "failed", why)
                    continue
                entry.steps += 1
                entry.path_m += moved_m
                limit = entry.goal.deadline_steps or self._max_steps
                if is_over or entry.steps >= limit:
                    within = f"{over_s:g} s" if is_over else f"{limit} steps"
                    self._close(entry, "failed", f"not reached within {within}")
                    late = entry
        return late

    def finish(self, goal_id: str, state: GoalState, reason: str) -> bool:
        """Close an active or queued goal; closing it twice changes nothing.

        Returns:
            Whether it was the goal in hand.
        """
        with self._lock:
            for entry in self._entries:
                if entry.goal.goal_id == goal_id and entry.state in OPEN:
                    was_active = entry.state == "active"
                    self._close(entry, state, reason)
                    return was_active
        return False

    def find(self, goal_id: str) -> GoalEntry | None:
        """Return the entry of a goal, or None."""
        with self._lock:
            return next((e for e in self._entries if e.goal.goal_id == goal_id), None)

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return all kept goals, oldest first."""
        with self._lock:
            return [e.as_dict() for e in self._entries]

    def told(self, goal_id: str) -> dict[str, Any] | None:
        """Return a goal with its story, or None."""
        with self._lock:
            entry = self.find(goal_id)
            return None if entry is None else entry.told()

    def kept(self) -> list[dict[str, Any]]:
        """Return all goals as they go to disk, oldest first."""
        with self._lock:
            oldest = len(self._entries) - KEPT_STORIES
            return [e.kept(story=i >= oldest) for i, e in enumerate(self._entries)]

    def restore(self, rows: list[dict[str, Any]]) -> None:
        """Take over the goals of an earlier process; an active one is queued again."""
        with self._lock:
            for row in rows:
                number = row["goal_id"].removeprefix("g")
                self._count = max(self._count, int(number) if number.isdigit() else 0)
                goal = goal_from_row(row)
                if goal is None:
                    continue
                entry = GoalEntry(
                    goal,
                    row["origin"],
                    state="queued" if row["state"] == "active" else row["state"],
                    reason=row["reason"],
                    steps=row["steps"],
                    path_m=row["path_m"],
                    priority=row.get("priority", 0),
                    deadline_s=row.get("deadline_s"),
                    given_ns=row.get("given_ns"),
                    note=row.get("note", ""),
                    story=Story(earlier=list(row.get("story", ()))),
                )
                self._entries.append(entry)
            self._forget_oldest()

    def _close(self, entry: GoalEntry, state: GoalState, reason: str) -> None:
        entry.state, entry.reason = state, reason
        entry.story.close(f"{state}: {reason}")
        entry.story.freeze()
        entry.pixels = None

    def _forget_oldest(self) -> None:
        """Keep the newest goals; one that waits is never forgotten."""
        while len(self._entries) > self._keep:
            done = next((e for e in self._entries if e.state not in OPEN), None)
            if done is None:
                return
            self._entries.remove(done)
