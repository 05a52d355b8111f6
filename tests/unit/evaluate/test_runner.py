import math

import numpy as np
import pytest
from unit.evaluate.flatland import FlatWorld, Homing, ListMemory, make_stage, thing

from agentd.evaluate.arms import ARMS, arms_named
from agentd.evaluate.episodes import Task, draw_tasks
from agentd.evaluate.runner import NoSlots, Player, failure_of, path_length_m
from agentd.exit_codes import UsageError
from memory.records import Action, ObjectGoal
from policies.config import ExploreConfig, PoliciesConfig
from policies.protocols import Decision, Mode

THINGS = [thing(1, "chair", 1, 1), thing(2, "bed", 7, 7), thing(3, "sink", 1, 7)]


def _task(label: str, x_m: float, y_m: float, index: int = 0) -> Task:
    goal = ObjectGoal(goal_id=f"g{index}", label=label)
    start = np.array([x_m, y_m, 0.0])
    shortest_m = FlatWorld(THINGS).geodesic_m(goal, start)
    return Task(index=index, goal=goal, start=start, shortest_m=shortest_m)


def _decision(**changes: object) -> Decision:
    still = Action(v_mps=0.0, w_radps=0.0, duration_s=0.2)
    return Decision(**{"action": still, "mode": Mode.IDLE, "reason": "", **changes})


def test_a_goal_in_view_is_reached_along_the_shortest_path() -> None:
    memory = ListMemory()
    player = Player(make_stage(THINGS, memory, Homing(memory)), ARMS["kept"])
    row = player.play(_task("chair", 3.0, 1.0), 100)
    assert row.success
    assert row.failure == ""
    assert row.first_seen_step == 0
    assert row.path_m == pytest.approx(1.0, abs=0.2)
    assert row.spl == pytest.approx(1.0, abs=0.1)
    assert row.final_m == 0.0
    assert sum(row.modes.values()) == row.steps + 1
    assert row.act_ms > 0


def test_every_goal_starts_where_the_task_says_whatever_came_before() -> None:
    memory = ListMemory()
    stage = make_stage(THINGS, memory, Homing(memory))
    player = Player(stage, ARMS["kept"])
    player.play(_task("chair", 3.0, 1.0), 100)
    row = player.play(_task("bed", 5.2, 7.0, index=1), 1)
    assert row.shortest_m == pytest.approx(0.8)
    assert math.hypot(*(stage.oracle.pose()[:2] - (5.2, 7.0))) < 0.3


def test_the_path_is_measured_on_true_poses() -> None:
    corners = [np.array([0.0, 0.0, 0.0]), np.array([3.0, 0.0, 2.0]), np.array([3.0, 4.0, 0.0])]
    assert path_length_m(corners) == 7.0
    assert path_length_m(corners[:1]) == 0.0


def test_reset_empties_map_and_slots_at_each_goal_and_kept_does_not() -> None:
    goals = [_task("chair", 3.0, 1.0), _task("sink", 3.0, 7.0, 1), _task("chair", 6.0, 6.0, 2)]
    for name, num_cleared, keeps_map in (("reset", 3, False), ("kept", 0, True)):
        memory = ListMemory()
        policy = Homing(memory)
        player = Player(make_stage(THINGS, memory, policy), ARMS[name])
        rows = [player.play(task, 300) for task in goals]
        assert memory.cleared == num_cleared
        assert policy.resets == [keeps_map] * 3
        assert [row.known for row in rows] == [False, False, name == "kept"]


def test_the_memory_is_empty_when_a_wiped_arm_starts_a_goal() -> None:
    memory = ListMemory()
    player = Player(make_stage(THINGS, memory, Homing(memory)), ARMS["reset"])
    for index in range(3):
        before = len(memory.sizes_at_update)
        player.play(_task("chair", 3.0, 1.0, index), 50)
        assert memory.sizes_at_update[before] == 0


def test_what_is_kept_shortens_the_way_to_a_goal_seen_before() -> None:
    goals = [_task("sink", 3.0, 7.0), _task("sink", 7.0, 3.0, 1)]
    spl = {}
    for name in ("reset", "kept"):
        memory = ListMemory()
        player = Player(make_stage(THINGS, memory, Homing(memory)), ARMS[name])
        spl[name] = [player.play(task, 300).spl for task in goals]
    assert spl["kept"][0] == spl["reset"][0]
    assert spl["kept"][1] > spl["reset"][1] + 0.1


def test_the_floor_has_no_memory_to_read() -> None:
    policy = Homing(NoSlots())
    player = Player(make_stage(THINGS, None, policy), ARMS["floor"])
    rows = [player.play(_task("chair", 3.0, 1.0, i), 100) for i in range(2)]
    assert [row.known for row in rows] == [False, False]
    assert policy.resets == [False, False]
    assert player.coverage() is None


def test_exploring_before_the_first_goal_fills_memory_and_map() -> None:
    memory = ListMemory()
    player = Player(make_stage(THINGS, memory, Homing(memory)), ARMS["lived"])
    player.explore(np.array([4.0, 4.0, 0.0]), 120)
    explored = player.coverage()
    assert explored is not None
    assert explored > 0.05
    assert player.play(_task("chair", 7.0, 3.0), 300).known


def test_all_arms_play_the_same_starts() -> None:
    starts = {}
    for name in ("floor", "reset", "kept"):
        memory = ListMemory() if ARMS[name].use_slots else None
        stage = make_stage(THINGS, memory, Homing(memory or NoSlots()))
        tasks = draw_tasks(stage.oracle, house=1, num_goals=4, seed=0)
        player = Player(stage, ARMS[name])
        starts[name] = [(player.play(task, 20).shortest_m, *task.start) for task in tasks]
    assert starts["floor"] == starts["reset"] == starts["kept"]


def test_a_goal_out_of_view_until_the_steps_run_out_was_never_seen() -> None:
    memory = ListMemory()
    player = Player(make_stage(THINGS, memory, Homing(memory)), ARMS["kept"])
    row = player.play(_task("bed", 1.0, 1.0), 3)
    assert (row.success, row.failure, row.steps) == (False, "never_seen", 3)
    assert row.first_seen_step is None
    assert row.spl == 0.0


def test_a_goal_seen_but_not_reached_in_time_is_not_reached() -> None:
    memory = ListMemory()
    player = Player(make_stage(THINGS, memory, Homing(memory)), ARMS["kept"])
    assert player.play(_task("chair", 3.3, 1.0), 2).failure == "not_reached"


def test_standing_at_the_goal_without_stopping_is_a_matter_of_budget() -> None:
    memory = ListMemory()
    stage = make_stage(THINGS, memory, Homing(memory, stop_m=0.01))
    assert Player(stage, ARMS["kept"]).play(_task("chair", 2.6, 1.0), 5).failure == "budget"


def test_stopping_too_early_is_a_failure_of_its_own() -> None:
    memory = ListMemory()
    stage = make_stage(THINGS, memory, Homing(memory, stop_m=2.0))
    row = Player(stage, ARMS["kept"]).play(_task("chair", 3.3, 1.0), 100)
    assert (row.done, row.success, row.failure) == (True, False, "stop_too_far")
    assert row.soft_spl > 0
    assert row.final_m == pytest.approx(1.0, abs=0.2)


def test_giving_up_ends_the_goal_with_the_agents_reason() -> None:
    memory = ListMemory()
    stage = make_stage(THINGS, memory, Homing(memory, gives_up_at=2))
    row = Player(stage, ARMS["kept"]).play(_task("chair", 3.3, 1.0), 100)
    assert (row.failure, row.reason, row.steps) == ("gave_up", "looked everywhere", 2)


def test_a_success_has_no_failure_class() -> None:
    done = _decision(done=True)
    assert failure_of(success=True, decision=done, seen=False, stood_there=True) == ""
    assert failure_of(success=False, decision=done, seen=False, stood_there=False) == "stop_too_far"


def test_bumps_are_counted() -> None:
    wall = [thing(1, "chair", 4.0, -3.0)]
    memory = ListMemory()
    stage = make_stage(wall, memory, Homing(memory))
    stage.policy.CORNERS = ((4.0, -1.0),)
    goal = ObjectGoal(goal_id="g", label="chair")
    task = Task(index=0, goal=goal, start=np.array([4.0, 0.3, -math.pi / 2]), shortest_m=2.3)
    assert Player(stage, ARMS["kept"]).play(task, 10).bumps > 5


def test_arms_differ_only_in_what_they_are_named_for() -> None:
    base = PoliciesConfig(explore=ExploreConfig(replan_steps=7))
    floor, reset, kept, model = (
        ARMS[name].policies(base) for name in ("floor", "reset", "kept", "kept_model")
    )
    assert reset == kept
    assert floor.explore.strategy == "nearest_frontier"
    assert not floor.goals.use_memory
    assert floor.goals.verify_views == 0
    assert not kept.planner.enabled
    assert model.planner.enabled
    assert model.model_copy(update={"planner": kept.planner}) == kept
    assert {p.explore.replan_steps for p in (floor, reset, kept, model)} == {7}


def test_an_arm_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(UsageError, match="no arm 'best'; there are floor, reset, kept"):
        arms_named(("kept", "best"))
