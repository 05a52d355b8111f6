"""Goals are served in order, people before practice, and every ending has a reason."""

import json
from dataclasses import replace

import numpy as np

from agentd.goals import GoalBook
from agentd.story import FIRST_CHAPTERS, KEPT_CHAPTERS, Story
from memory.records import Action, ExploreGoal, ImageGoal, ObjectGoal, PatrolGoal
from policies.protocols import Decision, Mode
from policies.why import Option, Why


def test_an_operators_goal_goes_before_practice() -> None:
    book = GoalBook(100)
    practice = book.add_object("chair", origin="practice")
    assert book.active().goal.goal_id == practice
    asked = book.add_object("bed")
    assert book.active().goal.goal_id == asked
    assert book.find(practice).state == "cancelled"


def test_a_goal_fails_at_its_own_deadline_else_at_the_default() -> None:
    book = GoalBook(5)
    book.add_object("bed", deadline_steps=2)
    book.active()
    assert book.step(0.1) is None
    late = book.step(0.1)
    assert late.state == "failed"
    assert "2 steps" in late.reason
    assert late.path_m == 0.2
    book.add_object("sofa")
    book.active()
    assert [book.step(0.0) for _ in range(4)] == [None] * 4
    assert book.step(0.0).state == "failed"


def test_finishing_twice_keeps_the_first_ending() -> None:
    book = GoalBook(5)
    goal = book.add_object("bed")
    book.active()
    book.finish(goal, "reached", "seen twice from 0.6 m")
    book.finish(goal, "cancelled", "too late")
    assert book.find(goal).as_dict()["reason"] == "seen twice from 0.6 m"
    assert book.active() is None
    assert not book.busy


def test_a_restart_keeps_goals_ids_and_takes_the_active_one_up_again() -> None:
    book = GoalBook(50)
    book.add_object("bed")
    book.active()
    book.add_point((1.5, -2.0), deadline_steps=9)
    again = GoalBook(50)
    again.restore(book.as_dicts())
    assert again.active().as_dict() == book.find("g1").as_dict()
    assert again.find("g2").goal == book.find("g2").goal
    assert again.add_object("sofa") == "g3"


def decide(mode: Mode, reason: str, why: Why | None = None) -> Decision:
    action = Action(v_mps=0.1, w_radps=0.0, duration_s=0.2)
    return Decision(action=action, mode=mode, reason=reason, why=why)


def why_of(name: str, kind: str = "slot", xy=(1.0, 2.0), **more) -> Why:
    chosen = Option(kind=kind, name=name, xy_m=xy, distance_m=3.0, **more)
    return Why(chosen=chosen)


def test_the_higher_priority_interrupts_and_the_other_comes_back_with_its_steps() -> None:
    book = GoalBook(100)
    low = book.add_object("bed")
    assert book.active().goal.goal_id == low
    book.step(0.5)
    same = book.add_object("chair")
    assert book.active().goal.goal_id == low  # an equal one waits
    high = book.add(lambda i: ObjectGoal(goal_id=i, label="sofa"), priority=5)
    assert book.active().goal.goal_id == high
    assert book.find(low).state == "queued"
    assert f"gives way to {high}" in book.find(low).reason
    book.finish(high, "reached", "seen")
    assert book.active().goal.goal_id == low
    assert (book.find(low).steps, book.find(low).reason) == (1, "")
    book.finish(low, "reached", "seen")
    assert book.active().goal.goal_id == same


def test_practice_gives_way_to_people_whatever_its_priority() -> None:
    book = GoalBook(100)
    practice = book.add(
        lambda i: ObjectGoal(goal_id=i, label="bed"), origin="practice", priority=50
    )
    book.active()
    asked = book.add(lambda i: ObjectGoal(goal_id=i, label="sofa"), priority=-5)
    assert book.active().goal.goal_id == asked
    assert book.find(practice).state == "cancelled"


def test_a_deadline_in_seconds_runs_by_the_bodys_clock_also_while_it_waits() -> None:
    book = GoalBook(1000)
    first = book.add(lambda i: ExploreGoal(goal_id=i), deadline_s=2.0)
    second = book.add(lambda i: ExploreGoal(goal_id=i), deadline_s=1.0)
    book.active()
    start_ns = 10**15
    assert book.step(0.0, start_ns) is None
    assert book.step(0.0, start_ns + 1_500_000_000) is None
    assert book.find(second).reason == "its turn did not come within 1 s"
    late = book.step(0.0, start_ns + 2_000_000_000)
    assert late is book.find(first)
    assert late.reason == "not reached within 2 s"


def test_every_kind_of_goal_survives_a_restart_with_its_story_and_terms() -> None:
    book = GoalBook(50)
    rgb = np.random.default_rng(0).integers(0, 255, (24, 32, 3)).astype(np.uint8)
    book.add(lambda i: ImageGoal(goal_id=i, rgb=rgb), priority=3, deadline_s=60.0)
    book.add(lambda i: PatrolGoal(goal_id=i, rounds=None))
    book.add(lambda i: ExploreGoal(goal_id=i, deadline_steps=9))
    book.add(lambda i: ObjectGoal(goal_id=i, label="sofa", also=("couch",)))
    entry = book.active()
    book.note(entry, 7, 5, (1.0, 2.0), decide(Mode.EXPLORE, "towards a frontier"))
    kept = json.loads(json.dumps(book.kept()))
    again = GoalBook(50)
    again.restore(kept)
    for number in range(1, 5):
        assert again.find(f"g{number}").goal == book.find(f"g{number}").goal
    image = again.find("g1")
    np.testing.assert_array_equal(image.goal.rgb, rgb)
    assert (image.state, image.priority, image.deadline_s) == ("queued", 3, 60.0)
    assert [chapter["reason"] for chapter in again.told("g1")["story"]] == ["towards a frontier"]
    assert again.active() is image


def test_the_pixels_of_an_image_goal_that_ended_are_not_kept() -> None:
    book = GoalBook(50)
    goal_id = book.add(lambda i: ImageGoal(goal_id=i, rgb=np.zeros((8, 8, 3), np.uint8)))
    assert "png" in book.kept()[0]
    book.finish(goal_id, "reached", "stands there")
    assert "png" not in book.kept()[0]
    again = GoalBook(50)
    again.restore(book.kept())
    assert again.find(goal_id).state == "reached"


def test_a_damaged_image_is_left_out_and_the_others_are_restored() -> None:
    book = GoalBook(50)
    book.add(lambda i: ImageGoal(goal_id=i, rgb=np.zeros((8, 8, 3), np.uint8)))
    book.add_object("bed")
    rows = book.kept()
    rows[0]["png"] = "AAAA"
    again = GoalBook(50)
    again.restore(rows)
    assert [row["goal_id"] for row in again.as_dicts()] == ["g2"]


def test_a_story_has_one_chapter_per_choice_and_says_how_each_ended() -> None:
    story = Story()
    frontier, chair = why_of("frontier", "frontier"), why_of("chair #3", slot_id=3)
    moved_on = why_of("frontier", "frontier", xy=(1.3, 2.0))
    for step, decision in enumerate(
        [
            decide(Mode.EXPLORE, "a", frontier),
            decide(Mode.EXPLORE, "a", frontier),
            decide(Mode.EXPLORE, "a moved on", moved_on),
            decide(Mode.GOTO, "b", chair),
            decide(Mode.GOTO, "b again", why_of("chair #3", slot_id=3)),
            decide(Mode.VERIFY, "c", chair),
            decide(Mode.GOTO, "d", replace(why_of("bed #4", slot_id=4), after="chair #3 is gone")),
        ]
    ):
        story.note(step, step * 10, (0.0, 0.0), decision)
    story.close("reached: seen twice")
    told = [(c["step"], c["until_step"], c["reason"], c["ended"]) for c in story.rows()]
    assert told == [
        (0, 2, "a", ""),
        (3, 4, "b", "arrived, looks at it"),
        (5, 5, "c", "chair #3 is gone"),
        (6, 6, "d", "reached: seen twice"),
    ]


def test_a_long_story_keeps_its_beginning_and_its_end() -> None:
    story = Story()
    for step in range(500):
        why = why_of(f"chair #{step}", slot_id=step, xy=(float(step), float("nan")))
        story.note(step, step, (0.0, 0.0), decide(Mode.GOTO, f"to {step}", why))
    steps = [chapter["step"] for chapter in story.rows()]
    assert len(steps) == KEPT_CHAPTERS
    assert steps[:FIRST_CHAPTERS] == list(range(FIRST_CHAPTERS))
    assert steps[-1] == 499
    json.dumps(story.rows(), allow_nan=False)


def test_waiting_goals_are_not_forgotten_for_new_ones() -> None:
    book = GoalBook(10, keep=3)
    first = book.add_object("bed")
    for _ in range(5):
        book.finish(book.add_object("sofa"), "cancelled", "no")
    assert book.find(first) is not None
    assert len(book.as_dicts()) == 3


def test_a_goal_that_was_closed_meanwhile_gets_no_further_chapter() -> None:
    book = GoalBook(50)
    goal_id = book.add_object("bed")
    entry = book.active()
    book.note(entry, 1, 1, (0.0, 0.0), decide(Mode.EXPLORE, "towards a frontier"))
    assert book.finish(goal_id, "cancelled", "no")  # by another thread, amid a tick
    book.note(entry, 2, 2, (0.0, 0.0), decide(Mode.GOTO, "to the bed"))
    (chapter,) = book.told(goal_id)["story"]
    assert (chapter["reason"], chapter["ended"]) == ("towards a frontier", "cancelled: no")
    assert not book.finish(book.add_object("chair"), "cancelled", "was not in hand")


def test_a_clock_that_begins_anew_does_not_put_a_deadline_off() -> None:
    book = GoalBook(1000)
    book.add(lambda i: ExploreGoal(goal_id=i), deadline_s=2.0)
    book.active()
    assert book.step(0.0, 10**15) is None
    assert book.step(0.0, 10**9) is None
    assert book.step(0.0, 3 * 10**9).reason == "not reached within 2 s"


def test_rows_of_an_older_and_of_a_newer_program_are_taken_as_far_as_they_go() -> None:
    old = {
        **{"goal_id": "g4", "kind": "object", "label": "bed", "xy_m": None, "deadline_steps": None},
        **{"origin": "operator", "state": "active", "reason": "", "steps": 3, "path_m": 1.0},
    }
    image = {**old, "goal_id": "g6", "kind": "image", "label": "image", "png": "AAAA"}
    book = GoalBook(50)
    book.restore([old, {**old, "goal_id": "g5", "kind": "follow"}, image])
    assert [row["goal_id"] for row in book.as_dicts()] == ["g4"]
    assert (book.active().goal.label, book.told("g4")["story"]) == ("bed", [])
    assert book.add_object("sofa") == "g7"
