"""Lives in bodies that others bring: they are stored, gone on with, and learned from."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from living import LivingProcess

from agentd.exit_codes import ExitCode
from memory.config import ReplayConfig
from memory.records import Transition
from memory.replay.store import LanceReplay

TESTS = Path(__file__).resolve().parents[1]
PLUGIN = ("world.kind=plugin", "world.plugin.factory=my_robot:MyRobot")
DOTS = ("world.kind=gymnasium", "world.gymnasium.id=dots_env:Dots-v0")


@pytest.fixture(autouse=True)
def _theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let lives find the bodies of the tests, as a package that someone installed."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(TESTS.parent), str(TESTS))))


def run(
    home: Path, steps: int, *settings: str, learn: bool = False
) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "agentd", "run", "--home", str(home), "--steps", str(steps)]
    words += ["--no-view", "--profile", "test"]
    for setting in (*settings, f"learners.enabled={str(learn).lower()}"):
        words += ["--set", setting]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=200, env=env, cwd=home.parent
    )


def rows_of(home: Path) -> list[Transition]:
    replay = LanceReplay(home / "memory", ReplayConfig())
    try:
        return replay.read(0, replay.last_step() + 1)
    finally:
        replay.close()


@pytest.mark.slow
def test_a_life_runs_on_a_robot_of_another_package_and_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "life"
    settings = (*PLUGIN, "world.plugin.settings={side_m = 5.0}")
    done = run(home, 80, *settings, "world.plugin.simulated=true")
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    rows = rows_of(home)
    assert [row.step for row in rows] == list(range(80))
    assert rows[0].observation.rgb.shape == (64, 64, 3)
    moved_m = sum(abs(float(row.observation.egomotion[0])) for row in rows)
    assert moved_m > 0.5, "the navigator drives a body that it has never heard of"
    assert all(abs(row.pose[:2]).max() < 2.5 for row in rows)
    # It is born with its factory, and takes it up again without being told.
    again = run(home, 10, "world.plugin.settings={side_m = 5.0}")
    assert again.returncode == ExitCode.OK, again.stdout + again.stderr
    rows = rows_of(home)
    assert [row.step for row in rows] == list(range(90))
    stamps = [row.observation.stamp_ns for row in rows]
    assert stamps == sorted(set(stamps))
    other = run(home, 10, "world.plugin.factory=my_robot:Other")
    assert other.returncode == ExitCode.USAGE
    assert "this life was born with 'my_robot:MyRobot'" in other.stderr


@pytest.mark.slow
def test_a_robot_stands_still_and_says_why_until_it_is_armed(tmp_path: Path) -> None:
    home = tmp_path / "life"
    done = run(home, 20, *PLUGIN)
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    rows = rows_of(home)
    assert not any(row.observation.egomotion.any() for row in rows)
    # Held back once; from then on it knows, and asks for nothing.
    assert rows[0].action.source == "safety"
    assert {row.action.source for row in rows[1:-1]} == {"none"}
    assert "agentd guardian arm" in (home / "log" / "events.jsonl").read_text()


@pytest.mark.slow
def test_a_body_that_cannot_be_had_leaves_no_life_behind(tmp_path: Path) -> None:
    home = tmp_path / "life"
    for setting, told in (
        ("world.plugin.factory=my_robot:MyRobo", "did you mean MyRobot?"),
        ("world.plugin.settings={side = 3}", "world.plugin.settings are its arguments"),
    ):
        done = run(home, 5, *PLUGIN, setting)
        assert done.returncode == ExitCode.USAGE
        assert told in done.stderr
        assert "Traceback" not in done.stderr
        assert not (home / "life.json").exists()
    done = run(home, 5, *PLUGIN)
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr


@pytest.mark.slow
def test_a_life_in_an_environment_keeps_its_episodes_and_actions_apart(tmp_path: Path) -> None:
    home = tmp_path / "life"
    settings = (
        *DOTS,
        "world.gymnasium.depth=none",
        "world.gymnasium.actions=['-1,0', '0,1', '1,0']",
        "world.gymnasium.make={length = 12}",
    )
    done = run(home, 100, *settings)
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    rows = rows_of(home)
    assert len(rows) == 100
    lengths = Counter(row.episode_id for row in rows)
    # Twelve actions and the observation that the last one led to.
    assert set(list(lengths.values())[:-1]) == {13}
    for row in rows:
        assert row.is_first == (row.step % 13 == 0)
        assert row.is_last == (row.step % 13 == 12)
        assert not row.is_terminal
        command = (row.action.v_mps, row.action.w_radps)
        assert command == (0.0, 0.0) if row.is_last else command in {(-1, 0), (0, 1), (1, 0)}
        assert row.is_last or row.action.source == "explorer"
    assert all(not row.observation.egomotion.any() for row in rows if row.is_first)
    assert "Traceback" not in done.stderr
    # It goes on in the middle of its eighth episode.
    assert run(home, 4, *settings).returncode == ExitCode.OK
    rows = rows_of(home)
    assert [row.step for row in rows] == list(range(104))
    assert rows[100].observation.stamp_ns > rows[99].observation.stamp_ns
    assert rows[103].is_last, "the twelfth action of that episode was its last"


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(400)
def test_what_was_lived_in_minigrid_is_learned_from(tmp_path: Path) -> None:
    pytest.importorskip("minigrid", reason="pip install minigrid")
    home = tmp_path / "life"
    settings = ["world.kind=gymnasium", "world.gymnasium.id=MiniGrid-Empty-8x8-v0"]
    settings.append("world.gymnasium.make={agent_pov = true, tile_size = 8, max_steps = 60}")
    args = [word for setting in settings for word in ("--set", setting)]
    with LivingProcess(home, "--profile", "test", *args) as life:
        life.until(lambda s: s["memory"]["rows_committed"] >= 140)
        life.client.call("learn.now")
        status = life.until(lambda s: s["learning"]["checkpoint"] is not None, 240)
        assert status["learning"]["rounds"][0]["num_updates"] > 0
        swapped_at = status["steps"]["total"]
        status = life.until(lambda s: s["steps"]["total"] > swapped_at + 40)
        assert status["health"]["last_error"] is None
        assert status["doing"]["mode"] == "explore"
        assert life.stop() == 0
