"""`agentd init`, `config set|unset|schema` and `logs`."""

import json
from pathlib import Path

import pytest
from fake_life import born
from typer.testing import CliRunner

from agentd.cli import app
from agentd.commands.logs import _Source
from agentd.events import EventLog
from agentd.exit_codes import ExitCode
from configs.load import load_config


def invoke(home: Path, *words: str, stdin: str | None = None):
    return CliRunner().invoke(app, [*words, "--home", str(home)], input=stdin)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "h"


def test_a_value_is_set_beside_comments_and_unset_again(home: Path) -> None:
    home.mkdir()
    file = home / "config.toml"
    before = "# mine\n[life]\nname = 'kitchen'  # where it lives\n"
    file.write_text(before)
    done = invoke(home, "config", "set", "learners.round.budget_s", "30")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "learners.round.budget_s: 60.0 -> 30\n"
    assert file.read_text().startswith(before)
    assert load_config(home_toml=file, env={}).config.learners.round.budget_s == 30
    done = invoke(home, "config", "unset", "learners.round.budget_s", "--json")
    assert json.loads(done.stdout)["after"] == 60.0
    assert file.read_text().rstrip() == before.rstrip()


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("life.paec", "max", "did you mean life.pace"),
        ("life.pace", "fast", "accepted: one of real, max"),
        ("learners.round.budget_s", "-1", "greater than 0"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    home: Path, key: str, value: str, told: str
) -> None:
    done = invoke(home, "config", "set", key, value)
    assert done.exit_code == ExitCode.USAGE
    assert told in done.stderr
    assert not (home / "config.toml").exists()


def test_what_a_life_was_born_with_cannot_be_set(tmp_path: Path) -> None:
    home = born(tmp_path / "h")
    done = invoke(home.path, "config", "set", "world.house.seed", "5")
    assert done.exit_code == ExitCode.USAGE
    assert "world.house.seed" in done.stderr
    assert not home.config_file.exists()


def test_a_dry_run_writes_nothing(home: Path) -> None:
    done = invoke(home, "config", "set", "life.pace", "max", "--dry-run")
    assert '"real" -> "max"' in done.stdout
    assert not home.exists()


def test_what_is_not_set_cannot_be_unset(home: Path) -> None:
    done = invoke(home, "config", "unset", "life.pace")
    assert done.exit_code == ExitCode.NOT_FOUND
    assert "is not set in" in done.stderr


def test_the_schema_knows_every_section() -> None:
    done = CliRunner().invoke(app, ["config", "schema"])
    sections = json.loads(done.stdout)["properties"]
    assert {"life", "world", "memory", "policies", "learners", "guardian"} <= sections.keys()


def test_init_with_flags_writes_settings_that_hold(home: Path) -> None:
    words = ("--body", "ros2", "--which", "turtlebot4", "--name", "kitchen", "--disk-gib", "50")
    done = invoke(home, "init", *words, "--no-learn", "--yes")
    assert done.exit_code == 0, done.stderr
    config = load_config(home_toml=home / "config.toml", env={}).config
    assert (config.world.kind, config.world.ros2.robot) == ("ros2", "turtlebot4")
    assert config.life.name == "kitchen"
    assert config.memory.retention.budget_bytes == 50 * 2**30
    assert not config.learners.enabled
    assert "begin with: agentd run" in done.stderr


@pytest.mark.parametrize("body", ["house", "robot-sim"])
def test_init_takes_defaults_where_nobody_answers(home: Path, body: str) -> None:
    done = invoke(home, "init", "--body", body, "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    config = load_config(home_toml=home / "config.toml", env={}).config
    assert config.world.kind == ("house" if body == "house" else "ros2")
    assert json.loads(done.stdout)["file"] == str(home / "config.toml")


def test_init_says_what_it_needs_and_never_replaces_by_a_slip(home: Path) -> None:
    done = invoke(home, "init", "--body", "gymnasium", "--yes")
    assert done.exit_code == ExitCode.USAGE
    assert "--which" in done.stderr
    assert not (home / "config.toml").exists()
    assert invoke(home, "init", "--body", "hose", "--yes").exit_code == ExitCode.USAGE
    assert invoke(home, "init", "--yes").exit_code == 0
    assert invoke(home, "init", "--yes").exit_code == ExitCode.USAGE
    assert invoke(home, "init", "--yes", "--force", "--name", "two").exit_code == 0
    assert 'name = "life"' in (home / "config.toml.old").read_text()


def test_logs_merges_what_life_and_guardian_did(tmp_path: Path) -> None:
    home = born(tmp_path / "h")
    home.log_folder.mkdir(exist_ok=True)
    life, guardian = (
        EventLog(home.log_folder / f"{name}.jsonl") for name in ("events", "guardian")
    )
    life.emit("life", 0, "born")
    guardian.emit("safety", 3, "guardian: obstacle: 0.20 m ahead")
    life.emit("goal", 5, "g1 reached")
    with (home.log_folder / "events.jsonl").open("a") as file:
        file.write('{"torn": ')
    texts = [line.split("  ")[-1] for line in invoke(home.path, "logs").stdout.splitlines()]
    assert texts == ["born", "guardian: obstacle: 0.20 m ahead", "g1 reached"]
    only = invoke(home.path, "logs", "--kind", "safety,goal", "--json", "-n", "1").stdout
    assert json.loads(only)["text"] == "g1 reached"
    assert "OBSTACLE".lower() in invoke(home.path, "logs", "--grep", "Obstacle").stdout
    assert invoke(home.path, "logs", "--kind", "weather").exit_code == ExitCode.USAGE


def test_a_log_is_followed_over_its_rotation(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log, source = EventLog(path, max_bytes=400), _Source(path)
    told: list[str] = []
    for k in range(20):
        log.emit("life", k, f"event {k}")
        if k % 3 == 0:
            told += [event["text"] for event in source.new()]
    told += [event["text"] for event in source.new()]
    assert told == [f"event {k}" for k in range(20)]


def test_logs_goes_on_with_what_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = born(tmp_path / "h")
    home.log_folder.mkdir(exist_ok=True)
    log = EventLog(home.log_folder / "events.jsonl")
    log.emit("life", 0, "born")
    looks = []

    class Waiting:
        def wait(self, seconds: float) -> bool:
            looks.append(seconds)
            if len(looks) == 1:
                log.emit("goal", 1, "g1 reached")
            return len(looks) > 1

    monkeypatch.setattr("agentd.commands.logs.Event", Waiting)
    shown = invoke(home.path, "logs", "-f", "-n", "0").stdout
    assert [line.split("  ")[-1] for line in shown.splitlines()] == ["g1 reached"]
