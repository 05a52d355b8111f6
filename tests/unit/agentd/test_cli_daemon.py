"""Starting a life in the background and stopping it, with a life that has no world."""

import os
import signal
import sys
from pathlib import Path

import fake_life
import pytest
from fake_life import born
from typer.testing import CliRunner

from agentd.cli import app
from agentd.client import Client, NotRunningError
from agentd.daemonize import StartFailedError, StopFailedError, start_life, stop_life
from agentd.exit_codes import ExitCode
from agentd.home import HomeLockedError
from configs.recipes import recipe_page

PROGRAM = (sys.executable, str(Path(fake_life.__file__)))


@pytest.fixture
def home(tmp_path):
    home = born(tmp_path / "h")
    yield home
    pid = home.holder_pid()
    if pid:
        os.kill(pid, signal.SIGKILL)


def test_start_waits_for_the_first_answer_and_stop_for_the_end(home):
    pid = start_life(home, [], program=PROGRAM)
    assert home.holder_pid() == pid != os.getpid()
    assert os.getpgid(pid) != os.getpgid(0)  # Ctrl-C in this terminal does not reach it
    with Client(home.path) as client:
        assert client.call("status")["format"] == 1
    with pytest.raises(HomeLockedError, match="already running"):
        start_life(home, [], program=PROGRAM)
    stopped = stop_life(home)
    assert (stopped.how, stopped.pid) == ("asked", pid)
    assert home.holder_pid() is None
    os.waitpid(pid, 0)


def test_a_life_that_ends_while_starting_is_told_with_its_last_words(home):
    with pytest.raises(StartFailedError, match="told to fail") as caught:
        start_life(home, ["fail"], program=PROGRAM)
    assert caught.value.exit_code == ExitCode.UNEXPECTED
    assert (home.log_folder / "agentd.log").exists()


def test_the_exit_code_of_a_failed_start_is_passed_on(home):
    home.life_file.write_text("{")
    with pytest.raises(StartFailedError, match=r"life\.json is damaged") as caught:
        start_life(home, [])
    assert caught.value.exit_code == ExitCode.DAMAGED


def test_a_life_that_does_not_react_gets_a_sigterm(home):
    pid = start_life(home, ["deaf"], program=PROGRAM)
    assert stop_life(home, drain_s=0.2).how == "signal"
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGTERM


def test_a_life_that_ignores_everything_is_reported_and_not_killed(home):
    pid = start_life(home, ["deaf", "stubborn"], program=PROGRAM)
    with pytest.raises(StopFailedError, match=f"kill -9 {pid}"):
        stop_life(home, drain_s=0.1)
    assert home.holder_pid() == pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_there_is_nothing_to_stop(home):
    with pytest.raises(NotRunningError, match="nothing to stop"):
        stop_life(home)


def test_a_big_log_is_put_aside(home):
    log = home.log_folder / "agentd.log"
    log.write_bytes(b"x" * 10_000_001)
    with pytest.raises(StartFailedError):
        start_life(home, ["fail"], program=PROGRAM)
    assert log.stat().st_size < 1000
    assert (home.log_folder / "agentd.1.log").stat().st_size == 10_000_001


@pytest.mark.parametrize("command", ["run", "start"])
@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ("ijepa", "recipe 'ijepa' cannot act: it has no predictor, motion, quasi_distance, crops;"),
        ("lwm", "--set learners.recipe: learners.recipe = 'lwm': there is no recipe 'lwm', did"),
        ("FOLDER/typo.toml", "losses: 'rolout' is unknown, did you mean 'rollout'?"),
        ("FOLDER/nan.toml", "losses.rollout: Input should be a finite number"),
        ("FOLDER/none.toml", "there is no recipe file /"),
    ],
)
def test_a_recipe_that_a_life_cannot_use_is_refused_before_it_is_born(
    tmp_path, command, recipe, told
):
    page = recipe_page("agentd")
    (tmp_path / "typo.toml").write_text(page.replace("rollout = ", "rolout = "))
    (tmp_path / "nan.toml").write_text(page.replace("rollout = 0.5", "rollout = nan"))
    chosen = recipe.replace("FOLDER", str(tmp_path))
    home = tmp_path / "life"
    words = [command, "--home", str(home), "--steps", "1", "--set", f"learners.recipe={chosen}"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == ExitCode.USAGE
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not home.exists()
