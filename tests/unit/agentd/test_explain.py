"""The explanation holds the facts that a person needs, and fits a screen."""

from typing import Any

import numpy as np

from agentd.explain import MAX_LINES, explain
from agentd.room_names import RoomNames

KITCHEN, BEDROOM = [1.0, 1.0], [9.0, 1.0]


def place(xy_m) -> str:
    return "the kitchen" if xy_m[0] < 5 else "the bedroom"


def chapter(step: int, mode: str, reason: str, ended: str = "", **more: Any) -> dict[str, Any]:
    return {
        "step": step,
        "until_step": step + 5,
        "stamp_ns": step * 200_000_000,
        "xy_m": BEDROOM,
        "mode": mode,
        "reason": reason,
        "ended": ended,
        **more,
    }


def option(kind: str, name: str, xy_m: list[float], **more: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name, "xy_m": xy_m, "distance_m": 5.0, **more}


def goal(state: str, story: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "goal_id": "g1",
        "kind": "object",
        "label": "chair",
        "state": state,
        "reason": "",
        "steps": 75,
        "path_m": 8.8,
        "story": story,
        **more,
    }


TO_CHAIR = chapter(
    100,
    "goto",
    "chair #12 remembered 5.0 m away",
    "arrived, looks at it",
    chosen=option("slot", "chair #12", KITCHEN, chance=0.87, age_s=185.0, slot_id=12),
    others=[option("slot", "chair #4", BEDROOM, chance=0.9, note="4.1 m farther")],
    refused=[{"name": "chair #3", "reason": "not seen in 4 looks from close by (step 60)"}],
)


def test_it_says_where_why_and_why_not_elsewhere_in_the_first_line() -> None:
    story = [TO_CHAIR, chapter(160, "verify", "looking at chair #12", "reached: seen twice")]
    found = explain(goal("reached", story, reason="seen twice"), place)
    assert found.headline == (
        "Went to the kitchen because chair #12 was seen there 3 min ago (87% likely still there); "
        "chair #4 in the bedroom is 4.1 m farther."
    )
    assert found.timeline == [
        " 1. 0:00 the bedroom: goto: chair #12 remembered 5.0 m away -> arrived, looks at it",
        " 2. 0:12 the bedroom: verify: looking at chair #12 -> reached: seen twice",
    ]
    assert found.refused == ["chair #3: not seen in 4 looks from close by (step 60)"]
    assert found.outcome == "reached after 75 steps and 8.8 m: seen twice"
    assert found.next_step == ""
    screen = found.lines()
    assert screen[0] == found.headline
    assert any("chair #4 in the bedroom, 5.0 m of way, 90% likely" in line for line in screen)


def test_an_active_goal_says_what_it_does_now() -> None:
    found = explain(goal("active", [TO_CHAIR]), place)
    assert found.headline.startswith("Goes to the kitchen because chair #12 was seen there")
    assert found.outcome == "under way, 75 steps and 8.8 m so far"
    assert found.next_step == "goto: chair #12 remembered 5.0 m away (towards the kitchen)"


def frontier(step: int, ended: str = "looked at") -> dict[str, Any]:
    chosen = option("frontier", "frontier", KITCHEN, note="frontier 5.0 m away opens 3.0 m2")
    return chapter(step, "explore", "no chair known: frontier", ended, chosen=chosen)


def test_frontiers_in_a_row_are_one_line_and_what_came_into_view_is_the_reason() -> None:
    seen = chapter(
        40,
        "goto",
        "chair (new) is in view",
        "reached: seen twice",
        chosen=option("seen", "chair (new)", KITCHEN, chance=0.7, age_s=0.0),
    )
    story = [frontier(0), frontier(10), frontier(20, "chair (new) came into view"), seen]
    found = explain(goal("reached", story, reason="seen twice"), place)
    assert found.headline.startswith("Went to the kitchen because chair (new) came into view")
    assert len(found.timeline) == 2
    assert "explore, 3 frontiers (the kitchen) -> chair (new) came into view" in found.timeline[0]


def test_a_goal_that_failed_says_why_first() -> None:
    reason = "everything within reach was searched and no chair found"
    found = explain(goal("failed", [frontier(0)], reason=reason), place)
    assert found.headline.startswith(f"Gave the chair up: {reason}. Before that it explored")
    assert "because no chair was known" in found.headline


def test_a_goal_that_waits_or_was_just_taken_up_is_told_too() -> None:
    waits = explain(goal("queued", [], reason="", steps=0), place)
    assert "other goals go first" in waits.headline
    assert waits.next_step == "begins when its turn comes"
    assert explain(goal("active", []), place).next_step == "begins with the next step"
    gave_way = chapter(9, "goto", "x", "gives way to g2, which is more urgent")
    told = explain(goal("queued", [gave_way], reason="gives way to g2"), place)
    assert told.outcome == "waits: gives way to g2, 75 steps and 8.8 m so far"


def test_a_long_story_fits_the_screen() -> None:
    story = [chapter(step, "goto", f"to {step}", "gone") for step in range(40)]
    timeline = explain(goal("active", story), place).timeline
    assert len(timeline) == MAX_LINES
    assert "29 more" in timeline[MAX_LINES // 2]
    assert "to 39" in timeline[-1]


def test_rooms_are_named_by_what_stands_in_them() -> None:
    def rooms_of(xy_m):
        return np.where(xy_m[:, 0] < 0, 0, 1 + (xy_m[:, 0] // 10)).astype(np.int64)

    objects = [
        ("refrigerator", [1.0, 1.0, 0.5]),
        ("chair", [1.0, 2.0, 0.5]),
        ("bed", [11.0, 1.0, 0.5]),
        ("bed", [21.0, 1.0, 0.5]),
        ("desk", [31.0, 1.0, 0.5]),
        ("bed", [31.0, 2.0, 0.5]),
    ]
    names = RoomNames(rooms_of, objects)
    assert names.place([2.0, 2.0]) == "the kitchen"
    assert [names.place([x, 0.0]) for x in (15.0, 25.0)] == ["bedroom 1", "bedroom 2"]
    assert names.place([35.0, 0.0]) == "room 4"  # two kinds at once: no guess
    assert names.place([-1.0, 2.04]) == "(-1.0, 2.0)"
    assert RoomNames().place([1.0, 2.0]) == "(1.0, 2.0)"
