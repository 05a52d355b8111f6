"""A short life in a real house: arms meet the same home, whatever they did to it."""

from typing import Any

import pytest

from agentd.evaluate.episodes import Task, draw_tasks
from agentd.evaluate.errors import EvaluationError
from agentd.evaluate.life import lives
from agentd.evaluate.life.lives import LifeJob, live
from agentd.evaluate.life.player import LifePlayer
from agentd.evaluate.life.rows import LifeResult
from agentd.evaluate.life.scenario import LifeScenario
from agentd.worlds.oracle import Oracle
from configs.worlds import HouseConfig
from learners.config import LearnersConfig
from memory.config import ObjectConfig
from policies.config import PoliciesConfig

SCENARIO = LifeScenario.model_validate(
    {
        "about": "one home, left alone",
        "phases": [
            {"name": "A", "home": 0, "list": "first", "goals": 1},
            {"name": "A dim", "home": 0, "list": "second", "goals": 3, "lamps_dimmed": 1},
        ],
    }
)


def short_life(scenario: LifeScenario = SCENARIO) -> LifeResult:
    return live(
        LifeJob(
            life=0,
            arm="memory",
            learner_seed=0,
            houses=(7,),
            scenario=scenario,
            budget_steps=3,
            seed=0,
            learn_every=1000,
            shipped=None,
            world=HouseConfig(num_rooms=5, image_px=32),
            objects=ObjectConfig(),
            policies=PoliciesConfig(),
            learners=LearnersConfig(),
        )
    )


@pytest.mark.slow
def test_what_an_arm_pushed_is_put_back_before_the_next_goals_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left_alone = short_life()
    play = LifePlayer.play

    def clumsy(self: LifePlayer, home: Any, *args: Any, **kwargs: Any) -> Any:
        row = play(self, home, *args, **kwargs)
        stage = home.changeable.stage
        for index, _ in stage.standing():
            stage.remove_object(index)
        return row

    monkeypatch.setattr(LifePlayer, "play", clumsy)
    pushed = short_life()
    goals = [
        [(row.goal.label, row.goal.shortest_m) for row in lived.rows if row.repeat == 0]
        for lived in (left_alone, pushed)
    ]
    assert goals[0] == goals[1]
    assert len(goals[0]) == 4
    assert left_alone.events == pushed.events
    assert left_alone.steps <= 4 * 3


def test_an_event_that_cannot_be_is_told_with_its_phase() -> None:
    event = {"at_step": 0, "action": "actuation_delay", "value": 99.0}
    phases = [
        {"name": "A", "home": 0, "list": "first", "goals": 1},
        {"name": "A late", "home": 0, "list": "first", "goals": 1, "events": [event]},
    ]
    scenario = LifeScenario.model_validate({"about": "too late", "phases": phases})
    with pytest.raises(EvaluationError, match=r"phase 'A late' of the scenario: .*delay"):
        short_life(scenario)


def test_goals_are_drawn_from_an_earlier_start_where_a_door_shut_the_robot_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[float, float]] = []

    def draw(oracle: Oracle, **asked: Any) -> tuple[Task, ...]:
        x, y, _ = oracle.pose()
        calls.append((float(x), float(y)))
        if len(calls) == 2:
            raise EvaluationError("shut in")
        return draw_tasks(oracle, **asked)

    monkeypatch.setattr(lives, "draw_tasks", draw)
    result = short_life()
    assert len(calls) == 3
    assert calls[1] != calls[2]
    assert [row.phase for row in result.rows] == ["A", "A dim", "A dim", "A dim"]
