"""What was decided for a goal, chapter by chapter: kept by the loop, told by `goal explain`.

A chapter is one thing that was gone for, looked at or recovered from. The loop notes every tick;
nearly always that is two comparisons of identity.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from policies.protocols import Decision, Mode
from policies.why import Option, Why

KEPT_CHAPTERS = 24
"""Of one goal: the first few and the newest."""
FIRST_CHAPTERS = 6
SAME_M = 0.8
"""A frontier this close to the last one is the same one, moved on."""


@dataclass(slots=True, kw_only=True)
class Chapter:
    """One choice and how it ended.

    Attributes:
        step: When it began.
        until_step: Its last step so far.
        stamp_ns: When it began, by the body's clock.
        xy_m: Where the body was then.
        mode: What the agent did.
        reason: The sentence of the log.
        why: The reasons as data, where something was chosen.
        ended: How it ended, "" while it goes on.
    """

    step: int
    until_step: int
    stamp_ns: int
    xy_m: tuple[float, float]
    mode: str
    reason: str
    why: Why | None = None
    ended: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the chapter for JSON."""
        row: dict[str, Any] = {
            "step": self.step,
            "until_step": self.until_step,
            "stamp_ns": self.stamp_ns,
            "xy_m": _rounded(self.xy_m),
            "mode": self.mode,
            "reason": self.reason,
            "ended": self.ended,
        }
        if self.why is not None:
            row["chosen"] = _option_row(self.why.chosen)
            row["others"] = [_option_row(option) for option in self.why.others]
            row["refused"] = [dataclasses.asdict(item) for item in self.why.refused]
        return row


@dataclass(slots=True)
class Story:
    """The chapters of a goal; those of an earlier process as they were read."""

    chapters: list[Chapter] = field(default_factory=list)
    earlier: list[dict[str, Any]] = field(default_factory=list)
    _last: tuple[Mode, Why | None] | None = None

    def note(self, step: int, stamp_ns: int, xy_m: tuple[float, float], decision: Decision) -> None:
        """Take in what was decided in a tick."""
        last = self._last
        if last is not None and last[0] is decision.mode and last[1] is decision.why:
            self.chapters[-1].until_step = step
            return
        self._last = (decision.mode, decision.why)
        chapter = self.chapters[-1] if self.chapters else None
        if chapter is not None and _goes_on(chapter, decision):
            chapter.until_step = step
            return
        if chapter is not None:
            chapter.ended = self._ending(chapter, decision)
        self.chapters.append(
            Chapter(
                step=step,
                until_step=step,
                stamp_ns=stamp_ns,
                xy_m=xy_m,
                mode=decision.mode.value,
                reason=decision.reason,
                why=decision.why,
            )
        )
        if len(self.chapters) > KEPT_CHAPTERS:
            del self.chapters[FIRST_CHAPTERS]

    def close(self, ended: str) -> None:
        """Note how the goal ended, or why it waits."""
        if self.chapters and not self.chapters[-1].ended:
            self.chapters[-1].ended = ended
        self._last = None

    def freeze(self) -> None:
        """Keep the story of a goal that ended as plain rows: it is written again and again."""
        self.earlier, self.chapters = self.rows(), []

    @property
    def doing(self) -> str:
        """The sentence of the newest chapter, "" before the first."""
        if self.chapters:
            return self.chapters[-1].reason
        return str(self.earlier[-1]["reason"]) if self.earlier else ""

    def rows(self) -> list[dict[str, Any]]:
        """Return all chapters for JSON, the oldest first."""
        rows = [*self.earlier, *(chapter.as_dict() for chapter in list(self.chapters))]
        return rows[:FIRST_CHAPTERS] + rows[FIRST_CHAPTERS:][-KEPT_CHAPTERS:]

    @staticmethod
    def _ending(chapter: Chapter, decision: Decision) -> str:
        why = decision.why
        if why is not None and why.after:
            return why.after
        if decision.mode is Mode.VERIFY:
            return "arrived, looks at it"
        if decision.mode is Mode.RECOVER:
            return "the body got stuck"
        if why is not None and why.chosen.kind in ("slot", "seen") and why.chosen.age_s is not None:
            fresh = why.chosen.age_s <= 1.0 and (
                chapter.why is None or chapter.why.chosen.kind not in ("slot", "seen")
            )
            if fresh:
                return f"{why.chosen.name} came into view"
        if chapter.why is not None and chapter.why.chosen.kind == "frontier":
            return "looked at" if decision.mode.value == chapter.mode else ""
        return ""


def _goes_on(chapter: Chapter, decision: Decision) -> bool:
    """Return whether a decision is the chapter's own choice, planned again."""
    if chapter.mode != decision.mode.value:
        return False
    if chapter.why is None or decision.why is None:
        return chapter.why is decision.why
    a, b = chapter.why.chosen, decision.why.chosen
    if decision.why.after or a.kind != b.kind or a.slot_id != b.slot_id:
        return False
    return a.slot_id is not None or math.dist(a.xy_m, b.xy_m) < SAME_M


def _option_row(option: Option) -> dict[str, Any]:
    row = {key: value for key, value in dataclasses.asdict(option).items() if value is not None}
    row["xy_m"] = _rounded(option.xy_m)
    for key in ("distance_m", "price_m", "chance", "age_s"):
        if key in row:
            row[key] = round(float(row[key]), 2) if math.isfinite(row[key]) else None
    return row


def _rounded(xy_m: tuple[float, float]) -> list[float]:
    return [round(float(v), 2) if math.isfinite(v) else 0.0 for v in xy_m]
