"""A world that fails is asked again; one that stays away ends the life in good order."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from line_life import line_loop, observe

from agentd.asking import TRIES, Asking, WorldSilentError
from agentd.exit_codes import ExitCode
from agentd.loop import Loop
from agentd.worlds.base import StaleWorldError, StepResult
from memory.records import Action

GO = Action(v_mps=0.5, w_radps=0.3, duration_s=0.2, source="planner")


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, num_failures: int) -> None:
        self.num_failures = num_failures
        self.asked: list[Action] = []

    def step(self, action: Action) -> StepResult:
        self.asked.append(action)
        if len(self.asked) <= self.num_failures:
            raise ConnectionError("link down")
        return StepResult(observation=observe(0.0, 0.0, 0), applied=action)


def asking(world: Flaky) -> tuple[Asking, list[str], list[float]]:
    told: list[str] = []
    waits: list[float] = []
    return Asking(world, told.append, waits.append), told, waits


def test_a_world_that_fails_is_asked_to_stop_and_answers_again() -> None:
    world = Flaky(2)
    asks, told, waits = asking(world)
    result = asks.step(GO)
    assert (result.applied.v_mps, result.applied.w_radps) == (0.0, 0.0)
    assert world.asked[0] == GO
    assert [(a.v_mps, a.source) for a in world.asked[1:]] == [(0.0, "safety")] * 2
    assert waits == [0.2, 0.4]
    assert len(told) == 2
    assert "link down" in told[0]
    assert asks.silent_s() == 0.0


def test_a_world_that_stays_away_ends_the_loop_with_a_reason() -> None:
    loop, recorder, _ = line_loop()
    loop.run(observe(0.0, 0.0, 0), 5, None)
    world = Flaky(TRIES)
    loop.asking = Asking(world, loop._note_world, lambda seconds: None)
    with pytest.raises(WorldSilentError, match="4 times in a row: ConnectionError: link down"):
        loop.run(observe(0.0, 0.0, 5), 10, None)
    assert len(world.asked) == TRIES
    assert len(recorder.rows) == 5
    texts = [e["text"] for e in loop.parts.events.since(0)["events"] if e["kind"] == "world"]
    assert texts[-1].endswith("the life ends")


class Silent:
    """A body that senses nothing new so many times, on a clock of its own."""

    def __init__(self, num_silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.num_silent, self.now_s = num_silent, 100.0
        self.asked: list[Action] = []
        monkeypatch.setattr("agentd.asking.time.monotonic", lambda: self.now_s)

    def step(self, action: Action) -> StepResult:
        self.asked.append(action)
        if len(self.asked) <= self.num_silent:
            raise StaleWorldError("/odom: nothing new")
        return StepResult(observation=observe(0.0, 0.0, 0), applied=action)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


def test_a_silent_body_is_waited_for_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    world, told = Silent(50, monkeypatch), []
    asks = Asking(world, told.append, world.wait, patience_s=600.0)
    asks.step(GO)
    assert all(action.v_mps == 0.0 for action in world.asked[1:])
    assert "waited for up to 600 s" in told[0]
    assert "/odom: nothing new" in told[0]
    assert told[1].startswith("the body is silent for 6")
    assert told[-1].startswith("the world answers again after 9")
    assert len(told) == 3
    assert asks.trouble == ""


def test_a_body_that_is_silent_for_too_long_ends_the_life(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Silent(10**6, monkeypatch)
    asks = Asking(world, lambda text: None, world.wait, patience_s=30.0)
    with pytest.raises(WorldSilentError, match="silent for 3"):
        asks.step(GO)
    assert 130.0 <= world.now_s < 135.0
    assert asks.trouble != ""


def test_a_life_that_is_to_stop_does_not_wait_for_a_silent_body() -> None:
    loop, _, _ = line_loop()
    last = loop.run(observe(0.0, 0.0, 0), 5, None)
    world = StaleForEver(loop)
    loop.asking = Asking(world, loop._note_world, loop.stop_event.wait, patience_s=600.0)
    assert loop.run(last, 10, None) is last
    assert loop.state.ticks == 5


class StaleForEver:
    """Is silent, and has the life stopped meanwhile."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop

    def step(self, action: Action) -> StepResult:
        self.loop.stop_event.set()
        raise StaleWorldError("nothing new")


def test_a_silent_world_is_told_once_and_given_up_at_the_limit() -> None:
    asks, told, _ = asking(Flaky(0))
    ends: list[str] = []
    asks.watch(30.0, ends.append)
    assert (told, ends) == ([], [])
    for silent_s in (12.0, 13.0, 31.0):
        asks._since_s = time.monotonic() - silent_s
        asks.watch(30.0, ends.append)
    assert told == ["the world has not answered for 12 s (limit: 30 s)"]
    assert ends == ["the world has not answered for 31 s: the life ends"]


BLOCKING = """
import threading
from agentd import build
from agentd.cli import app
make = build.build_world

def build_world(config):
    world = make(config)
    step = world.step

    def blocked(action):
        if world._num_steps >= 40:
            threading.Event().wait()
        return step(action)

    world.step = blocked
    return world

build.build_world = build_world
app()
"""


@pytest.mark.slow
def test_a_world_that_blocks_ends_the_process_and_the_life_goes_on_later(tmp_path: Path) -> None:
    home = tmp_path / "life"
    args = ["run", "--home", str(home), "--no-view", "--profile", "test", "--seed", "3"]
    args += ["--set", "learners.enabled=false", "--set", "life.world_timeout_s=1"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", BLOCKING, *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=env,
    )
    assert done.returncode == ExitCode.WORLD_SILENT, done.stderr
    assert "the world has not answered" in done.stderr
    assert "the life ends" in (home / "log" / "events.jsonl").read_text()
    again = subprocess.run(
        [sys.executable, "-m", "agentd", *args, "--steps", "5"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=env,
    )
    assert again.returncode == ExitCode.OK, again.stderr
    assert "life goes on at step 40" in (home / "log" / "events.jsonl").read_text()
