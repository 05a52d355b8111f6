"""The guardian in front of a simulated body: S22, and nothing else than what is needed."""

import math

import numpy as np
import pytest
from line_life import SPEC, LineWorld, line_loop, observe

from agentd.build import build_oracle, guard_world
from agentd.guardian.in_life import InLifeDesk
from agentd.guardian.keeping import read_kept
from agentd.guardian.places import Places
from agentd.guardian.world import GuardedWorld, guarded
from agentd.home import Home
from agentd.worlds.base import Resumable
from agentd.worlds.house.world import HouseWorld
from configs.guardian import GuardianConfig
from configs.schema import AgentConfig
from configs.worlds import HouseConfig
from memory.records import Action


def _house():
    return HouseWorld(HouseConfig(seed=3, num_rooms=5, image_px=32))


def _go(v=0.5, w=0.0, source="planner"):
    return Action(v_mps=v, w_radps=w, duration_s=0.2, source=source)


def _towards_a_wall(world):
    """Drive blindly ahead; yield every result until something touched or held back."""
    world.reset(1)
    for _ in range(200):
        yield world.step(_go(0.75))


def test_without_the_filter_the_guardian_stops_in_front_of_what_the_body_would_touch():
    bare = [r.observation.bumped for r in _towards_a_wall(_house())]
    assert any(bare)
    world = guarded(_house(), GuardianConfig(), is_simulated=True)
    results = list(_towards_a_wall(world))
    assert not any(r.observation.bumped for r in results)
    assert world.counts["obstacle"] > 10
    held = [r.applied for r in results if r.applied.source == "safety"]
    assert len(held) == sum(world.counts.values())
    texts = [t for r in results for t in r.interventions]
    assert any(t.startswith("guardian: obstacle: 0.") for t in texts)
    assert len(texts) < 20  # told when it changes, not at every step


def test_nothing_is_changed_where_nothing_is_wrong():
    rng = np.random.default_rng(0)
    plain, world = _house(), guarded(_house(), GuardianConfig(), is_simulated=True)
    a, b = plain.reset(5), world.reset(5)
    for _ in range(30):
        action = _go(0.0, float(rng.uniform(-2, 2)), "explorer")
        r, g = plain.step(action), world.step(action)
        assert r.applied == g.applied
        a, b = r.observation, g.observation
        np.testing.assert_array_equal(a.depth_m, b.depth_m)
    assert not world.counts


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_command_that_is_no_number_never_reaches_the_body(bad):
    world = guarded(_house(), GuardianConfig(), is_simulated=True)
    world.reset(1)
    result = world.step(_go(bad))
    assert (result.applied.v_mps, result.applied.source) == (0.0, "safety")
    assert "command_bad" in result.interventions[0]


def test_robot_bounds_can_be_asked_for_in_a_simulation():
    world = guarded(_house(), GuardianConfig(bounds="robot"), is_simulated=True)
    world.reset(1)
    speeds = [world.step(_go(0.75)).applied.v_mps for _ in range(10)]
    assert max(speeds) <= 0.30 + 1e-9
    assert speeds[2] <= 0.5 * 0.2 * 3 + 1e-9


def test_a_robot_is_not_armed_by_itself_and_not_bounded_by_its_own_word():
    world = guarded(_house(), GuardianConfig(), is_simulated=False)
    world.reset(1)
    assert world.step(_go()).applied.v_mps == 0
    world.guardian.arm()
    for _ in range(5):
        last = world.step(_go())
    assert 0 < last.applied.v_mps <= 0.3
    with pytest.raises(ValueError, match="simulated bodies"):
        guarded(_house(), GuardianConfig(bounds="body"), is_simulated=False)


def test_it_is_resumable_where_the_body_is():
    assert isinstance(guarded(_house(), GuardianConfig(), is_simulated=True), Resumable)
    line = guarded(LineWorld(), GuardianConfig(), is_simulated=True)
    assert isinstance(line, GuardedWorld)
    assert not isinstance(line, Resumable)


def test_a_state_of_before_there_was_a_guardian_is_taken_up():
    old = _house()
    old.reset(4)
    last = old.step(_go(0.3)).observation
    world = guarded(_house(), GuardianConfig(), is_simulated=True)
    again = world.load_state(old.save_state())
    np.testing.assert_array_equal(last.depth_m, again.depth_m)


def test_an_estop_of_today_is_not_undone_by_the_state_of_yesterday():
    world = guarded(_house(), GuardianConfig(), is_simulated=True)
    world.reset(4)
    state = world.save_state()
    world.guardian.latch.estop("the test")
    world.load_state(state)
    assert world.step(_go()).applied.v_mps == 0


def test_s22_every_row_that_was_held_back_says_so_and_the_log_says_why():
    loop, recorder, _ = line_loop(episode_steps=1000)
    world = guarded(LineWorld(), GuardianConfig(), is_simulated=True)
    assert isinstance(world.inner, LineWorld)
    loop.parts.world = world
    loop.asking._world = world
    world._seen = observe(0.0, 0.0, 0)
    seen = loop.run(observe(0.0, 0.0, 0), 10, None)
    world.guardian.latch.estop("the test")
    seen = loop.run(seen, 20, None)
    world.guardian.latch.release()
    world.guardian.arm()
    loop.run(seen, 30, None)
    sources = [row.action.source for row in recorder.rows]
    assert sources == ["explorer"] * 10 + ["safety"] * 10 + ["explorer"] * 10
    assert [row.action.v_mps for row in recorder.rows[10:20]] == [0.0] * 10
    events = [e for e in loop.parts.events.since(0)["events"] if e["kind"] == "safety"]
    assert [e["step"] for e in events] == [recorder.rows[10].step, recorder.rows[20].step]
    assert "estop: the test" in events[0]["text"]
    assert "goes on" in events[1]["text"] or "lets go on" in events[1]["text"]
    assert world.counts == {"estop": 10}


def _desk(tmp_path, world):
    told = []
    (tmp_path / "state").mkdir(exist_ok=True)
    return InLifeDesk(world, Places(Home(tmp_path)), told.append), told


def test_the_estop_of_a_life_outlives_it(tmp_path):
    world = guarded(_house(), GuardianConfig(), is_simulated=True)
    desk, told = _desk(tmp_path, world)
    assert desk.state()["is_armed"]
    assert desk.ask("estop", "smoke")["ok"]
    assert told == ["guardian: estop: smoke"]
    assert read_kept(Places(Home(tmp_path)).kept).is_estop
    world = guarded(_house(), GuardianConfig(), is_simulated=True)
    desk, _ = _desk(tmp_path, world)
    world.reset(1)
    assert desk.state()["reason"] == "smoke"
    assert world.step(_go()).applied.v_mps == 0
    assert not desk.ask("arm", "")["ok"]
    assert desk.ask("release", "")["ok"]
    assert not read_kept(Places(Home(tmp_path)).kept).is_estop
    assert desk.ask("arm", "")["ok"]
    assert world.step(_go(0.2)).applied.v_mps > 0


def test_what_is_for_robots_is_refused_and_a_life_without_a_guardian_says_so(tmp_path):
    desk, _ = _desk(tmp_path, guarded(_house(), GuardianConfig(), is_simulated=True))
    assert "for robots" in desk.ask("measure", "")["text"]
    bare, _ = _desk(tmp_path, LineWorld())
    assert not bare.ask("arm", "")["ok"]
    assert bare.state() == {}


def test_the_cost_per_step_is_small():
    import time

    world = guarded(_house(), GuardianConfig(), is_simulated=True)
    world.reset(1)
    for _ in range(5):
        world.step(_go(0.1))
    begin = time.process_time()
    for _ in range(300):
        world.judge(0.3, 0.2)
    # 0.15 ms measured; the bound is wide because the machine may be loaded
    assert (time.process_time() - begin) / 300 < 2e-3
    assert SPEC.tick_s > 0


def test_a_guarded_house_is_scored_by_its_own_truth():
    world = guarded(_house(), GuardianConfig(), is_simulated=True)
    assert build_oracle(world) is not None
    world.close()


def test_an_environment_is_not_guarded_and_a_robot_is_not_armed_by_itself():
    config = AgentConfig.model_validate({"world": {"kind": "gymnasium"}})
    body = LineWorld()
    assert guard_world(body, config) is body
    for simulated, armed in ((False, False), (True, True)):
        plugin = {"factory": "a:b", "simulated": simulated}
        config = AgentConfig.model_validate({"world": {"kind": "plugin", "plugin": plugin}})
        world = guard_world(body, config)
        assert isinstance(world, GuardedWorld)
        assert world.guardian.latch.memory.is_armed is armed
