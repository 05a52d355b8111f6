"""Goals are served in order, people before practice, and every ending has a reason."""

from agentd.goals import GoalBook


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
