"""Why the robot went there: the story of a goal in words that are read in ten seconds.

Plain rows in, plain sentences out, so that a running life and a stopped one are told alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agentd.commands.output import duration

Place = Callable[[Sequence[float]], str]

MAX_LINES = 12
"""Lines of the timeline: one screen with the rest."""
TARGETS = ("slot", "seen", "past", "view", "point")
"""What is gone for because the goal may be there; frontiers and places are only looked at."""
_IN_VIEW_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The story of one goal.

    Attributes:
        headline: Where it went and why, in a sentence.
        timeline: What was done, with times and places.
        alternatives: What else there was at the decisive choice.
        refused: What was ruled out, and why.
        outcome: How it ended, or how it stands.
        next_step: What it does now, "" if it ended.
    """

    headline: str
    timeline: list[str]
    alternatives: list[str]
    refused: list[str]
    outcome: str
    next_step: str

    def as_dict(self) -> dict[str, Any]:
        """Return the explanation for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}

    def lines(self) -> list[str]:
        """Return the screen."""
        lines = [self.headline, "", *self.timeline]
        if self.alternatives:
            lines += ["", "instead of", *(f"  {line}" for line in self.alternatives)]
        if self.refused:
            lines += ["", "ruled out", *(f"  {line}" for line in self.refused)]
        lines += ["", f"outcome  {self.outcome}"]
        return [*lines, f"next     {self.next_step}"] if self.next_step else lines


def explain(goal: dict[str, Any], place: Place) -> Explanation:
    """Return why a goal went as it did.

    Args:
        goal: Row of the goal with its `story`; see `agentd.goals.GoalEntry.told`.
        place: Names a place on the floor.
    """
    story: list[dict[str, Any]] = goal.get("story") or []
    decisive = _decisive(story)
    refused: list[dict[str, Any]] = next(
        (c["refused"] for c in reversed(story) if c.get("refused")), []
    )
    return Explanation(
        headline=_headline(goal, story, decisive, place),
        timeline=_timeline(story, place),
        alternatives=_alternatives(decisive, place),
        refused=[f"{item['name']}: {item['reason']}" for item in refused],
        outcome=_outcome(goal, story),
        next_step=_next(goal, story, place),
    )


def _decisive(story: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the choice that led to the end: the last thing that was gone for, else looked at."""
    chosen = [chapter for chapter in story if chapter.get("chosen")]
    targets = [chapter for chapter in chosen if chapter["chosen"]["kind"] in TARGETS]
    if targets and (chosen[-1] is targets[-1] or chosen[-1]["chosen"]["kind"] in TARGETS):
        return targets[-1]
    return chosen[-1] if chosen else None


# ---------------------------------------------------------------------- headline
def _headline(
    goal: dict[str, Any],
    story: Sequence[dict[str, Any]],
    decisive: dict[str, Any] | None,
    place: Place,
) -> str:
    if decisive is None:
        if goal["state"] == "queued":
            return f"Has not begun to look for {_asked(goal)}: other goals go first."
        return f"Did nothing for {_asked(goal)} yet."
    is_past = goal["state"] in ("reached", "failed", "cancelled")
    text = f"{_went(decisive, goal, place, is_past=is_past)}{_rival(decisive, place)}."
    if goal["state"] == "failed":
        reason = str(goal["reason"]).removeprefix(f"{_point_name(goal)}: ")
        return f"Gave {_asked(goal)} up: {reason}. Before that it {text[0].lower()}{text[1:]}"
    return text


def _went(chapter: dict[str, Any], goal: dict[str, Any], place: Place, *, is_past: bool) -> str:
    chosen = chapter["chosen"]
    where, kind = place(chosen["xy_m"]), chosen["kind"]
    goes, looks = ("Went", "Looked") if is_past else ("Goes", "Looks")
    was, age_s = f"{goes} to {where} because", chosen.get("age_s")
    likely = f"{chosen['chance']:.0%} likely" if chosen.get("chance") is not None else ""
    if kind in ("slot", "seen"):
        if age_s is not None and age_s <= _IN_VIEW_S:
            return f"{was} {chosen['name']} came into view there{_before(chapter)}"
        return f"{was} {chosen['name']} was seen there {_ago(age_s)} ({likely} still there)"
    if kind == "past":
        back = f" ({likely} to be back)" if likely else ""
        return f"{looks} at {where} because a {goal['label']} stood there before{back}"
    if kind == "view":
        return f"{was} {chosen.get('note', 'a kept view looks like the image')}"
    if kind == "point":
        return f"{goes} to {where} because it was asked to, {_metres(chosen)} of way"
    note = str(chosen.get("note", ""))
    if kind == "frontier":
        explores, is_ = ("Explored", "was") if is_past else ("Explores", "is")
        because = f" because no {goal['label']} {is_} known" if goal["kind"] == "object" else ""
        return f"{explores} towards {where}{because}: {note}"
    return f"{looks} at {where} again: {note}"


def _before(chapter: dict[str, Any]) -> str:
    return f" at {_metres(chapter['chosen'])}" if chapter["chosen"].get("distance_m") else ""


def _rival(chapter: dict[str, Any], place: Place) -> str:
    """Return the best alternative in half a sentence, "" without any."""
    rivals = [o for o in chapter.get("others", ()) if o["kind"] in TARGETS]
    if not rivals:
        return ""
    rival = rivals[0]
    note = str(rival.get("note", ""))
    verb = "" if note.startswith("there is") else "is "
    return f"; {rival['name']} in {place(rival['xy_m'])} {verb}{note}".replace("  ", " ")


# ---------------------------------------------------------------------- timeline
def _timeline(story: Sequence[dict[str, Any]], place: Place) -> list[str]:
    if not story:
        return []
    began_ns = story[0]["stamp_ns"]
    entries = [_told(group, began_ns, place) for group in _grouped(story)]
    if len(entries) > MAX_LINES:
        left_out = len(entries) - MAX_LINES + 1
        half = MAX_LINES // 2
        entries = [*entries[:half], f"... {left_out} more ...", *entries[1 - MAX_LINES + half :]]
    numbered = []
    for number, entry in enumerate(entries, start=1):
        numbered.append(f"{number:2d}. {entry}")
    return numbered


def _grouped(story: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Put frontiers that were looked at one after the other into one line."""
    groups: list[list[dict[str, Any]]] = []
    for chapter in story:
        last = groups[-1][-1] if groups else None
        went_on = last is not None and last.get("ended", "") in ("", "looked at")
        if last is not None and went_on and _is_search(chapter) and _is_search(last):
            groups[-1].append(chapter)
        else:
            groups.append([chapter])
    return groups


def _is_search(chapter: dict[str, Any]) -> bool:
    chosen = chapter.get("chosen")
    return chosen is not None and chosen["kind"] in ("frontier", "place")


def _told(group: Sequence[dict[str, Any]], began_ns: int, place: Place) -> str:
    first, last = group[0], group[-1]
    at = _clock((first["stamp_ns"] - began_ns) / 1e9)
    where = place(first["xy_m"])
    ended = f" -> {_ending(last)}" if last.get("ended") else ""
    if len(group) > 1:
        kind = "frontiers" if last["chosen"]["kind"] == "frontier" else "places"
        rooms = list(dict.fromkeys(place(c["chosen"]["xy_m"]) for c in group))
        through = ", ".join(rooms[:3]) + (" and on" if len(rooms) > 3 else "")
        return f"{at} {where}: {first['mode']}, {len(group)} {kind} ({through}){ended}"
    return f"{at} {where}: {first['mode']}: {first['reason']}{ended}"


def _ending(chapter: dict[str, Any]) -> str:
    """Return how a chapter ended, without repeating what it says already."""
    return str(chapter["ended"]).removesuffix(f": {chapter['reason']}")


def _clock(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"


# ---------------------------------------------------------------------- the rest
def _alternatives(decisive: dict[str, Any] | None, place: Place) -> list[str]:
    if decisive is None:
        return []
    told = []
    for option in decisive.get("others", ()):
        parts = [f"{option['name']} in {place(option['xy_m'])}"]
        if option.get("distance_m") is not None:
            parts.append(f"{option['distance_m']:.1f} m of way")
        if option.get("chance") is not None:
            parts.append(f"{option['chance']:.0%} likely")
        told.append(", ".join(parts) + (f": {option['note']}" if option.get("note") else ""))
    return told


def _outcome(goal: dict[str, Any], story: Sequence[dict[str, Any]]) -> str:
    spent = f"{goal['steps']} steps and {goal['path_m']:.1f} m"
    if goal["state"] == "active":
        return f"under way, {spent} so far"
    if goal["state"] == "queued":
        waits = f": {goal['reason']}" if goal["reason"] else ""
        return f"waits{waits}" + (f", {spent} so far" if goal["steps"] else "")
    return f"{goal['state']} after {spent}: {goal['reason']}"


def _next(goal: dict[str, Any], story: Sequence[dict[str, Any]], place: Place) -> str:
    if goal["state"] == "queued":
        return "begins when its turn comes"
    if goal["state"] != "active":
        return ""
    if not story:
        return "begins with the next step"
    chosen = story[-1].get("chosen")
    target = f" (towards {place(chosen['xy_m'])})" if chosen else ""
    return f"{story[-1]['mode']}: {story[-1]['reason']}{target}"


def _asked(goal: dict[str, Any]) -> str:
    kind, label = goal["kind"], goal["label"]
    return {"object": f"the {label}", "point": f"the point {label}", "image": "the image"}.get(
        kind, label
    )


def _point_name(goal: dict[str, Any]) -> str:
    """Return how reasons call the point of a goal."""
    if not goal.get("xy_m"):
        return ""
    x, y = goal["xy_m"]
    return f"point ({x:.1f}, {y:.1f})"


def _ago(age_s: float | None) -> str:
    return "earlier" if age_s is None else f"{duration(age_s)} ago"


def _metres(option: dict[str, Any]) -> str:
    distance_m = option.get("distance_m")
    return f"{distance_m:.1f} m" if distance_m is not None else "an unknown length"
