"""The home: birth record, lock, and what is refused without touching anything."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.exit_codes import ExitCode, NotFoundError, UsageError
from agentd.home import (
    BIRTH_KEYS,
    FORMAT,
    DamagedHomeError,
    Home,
    HomeLockedError,
    NewerHomeError,
    default_home,
)
from configs.keys import leaf_fields
from configs.load import load_config
from configs.worlds import birth_keys

VALUES = load_config("test", env={}).values()

HOLD_LOCK = """
import sys
from pathlib import Path
from agentd.home import Home
with Home(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


def born(path: Path) -> Home:
    home = Home(path)
    with home.locked():
        home.open_or_create(VALUES)
    return home


def test_naming_a_home_touches_nothing(tmp_path):
    home = Home(tmp_path / "life")
    assert not home.exists
    assert home.holder_pid() is None
    assert list(tmp_path.iterdir()) == []


def test_a_life_is_born_once_and_keeps_its_record(tmp_path):
    home = born(tmp_path / "deep" / "life")
    first = home.read()
    assert first.format == FORMAT
    assert set(first.born) == {*BIRTH_KEYS, *birth_keys("house")} <= set(leaf_fields())
    with home.locked():
        again = home.open_or_create(VALUES | {"life.seed": 77})
    assert again == first
    assert {"memory", "checkpoints", "state", "log"} <= {p.name for p in home.path.iterdir()}


def test_only_the_user_may_enter_a_home(tmp_path):
    home = born(tmp_path / "life")
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_create_needs_the_lock(tmp_path):
    with pytest.raises(RuntimeError, match="lock"):
        Home(tmp_path).create(VALUES)


def test_a_home_without_a_life_says_how_to_begin_one(tmp_path):
    with pytest.raises(NotFoundError, match="begin one with: agentd run --home"):
        Home(tmp_path).read()


def test_two_processes_cannot_live_one_life(tmp_path):
    home = born(tmp_path / "life")
    command = [sys.executable, "-c", HOLD_LOCK, str(home.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        assert home.holder_pid() == other.pid
        with pytest.raises(HomeLockedError, match=f"process {other.pid}") as caught, home.locked():
            pytest.fail("the lock was given twice")
        assert caught.value.exit_code == ExitCode.LOCKED
        other.kill()
        other.wait()
    assert home.holder_pid() is None
    with home.locked():  # the system freed the lock of the killed process
        assert home.holder_pid() == os.getpid()


def test_the_lock_is_free_after_an_error(tmp_path):
    home = Home(tmp_path)
    with pytest.raises(KeyError), home.locked():
        raise KeyError
    assert home.holder_pid() is None
    assert not home.is_locked_by_us


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"format": 1}',
        b'{"format": "one", "life_id": "a", "created_ns": 1, "agentd_version": "0", "born": {}}',
        b'{"format": 1, "life_id": "a", "created_ns": 1, "agentd_version": "0", "born": {}}',
    ],
)
def test_a_damaged_record_is_named_and_left_alone(tmp_path, content):
    home = born(tmp_path / "life")
    home.life_file.write_bytes(content)
    with pytest.raises(DamagedHomeError, match=r"life\.json is damaged") as caught, home.locked():
        home.open_or_create(VALUES)
    assert caught.value.exit_code == ExitCode.DAMAGED
    assert home.life_file.read_bytes() == content


def test_a_newer_home_is_refused_and_left_alone(tmp_path):
    home = born(tmp_path / "life")
    data = json.loads(home.life_file.read_text()) | {"format": FORMAT + 1, "agentd_version": "9"}
    home.life_file.write_text(json.dumps(data))
    with pytest.raises(NewerHomeError, match=f"format {FORMAT + 1}.*agentd 9") as caught:
        home.read()
    assert caught.value.exit_code == ExitCode.DAMAGED
    assert json.loads(home.life_file.read_text()) == data


def test_a_lost_record_does_not_begin_a_new_life_over_the_old_one(tmp_path):
    home = born(tmp_path / "life")
    home.life_file.unlink()
    with pytest.raises(DamagedHomeError, match="is missing"), home.locked():
        home.open_or_create(VALUES)
    assert not home.life_file.exists()


def test_a_folder_with_other_things_becomes_no_home(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    home = Home(tmp_path)
    with pytest.raises(UsageError, match=r"thesis\.tex"), home.locked():
        home.open_or_create(VALUES)


def test_settings_and_a_half_written_record_may_precede_birth(tmp_path):
    (tmp_path / "config.toml").write_text("")
    (tmp_path / ".life.json.x1").write_text("{")
    (tmp_path / "log").mkdir()
    assert born(tmp_path).exists


def test_a_home_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be used"), Home(tmp_path / "file" / "x").locked():
        pytest.fail("locked")


def test_the_default_home_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTD_HOME", str(tmp_path))
    assert default_home() == tmp_path
    monkeypatch.delenv("AGENTD_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_home() == tmp_path / "data" / "agentd" / "life"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert default_home() == Path.home() / ".local" / "share" / "agentd" / "life"


def test_a_long_path_gets_its_socket_in_the_runtime_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path)[:60])
    runtime = tmp_path / "r"
    runtime.mkdir()
    monkeypatch.setattr("agentd.home.tempfile.gettempdir", lambda: str(runtime))
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    short, long = Home(tmp_path / "a"), Home(tmp_path / ("b" * 120))
    path = long.socket_path()
    assert len(os.fsencode(path)) <= 100
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path != Home(tmp_path / ("c" * 120)).socket_path()
    if len(str(short.path)) < 80:
        assert short.socket_path() == short.path / "control.sock"


def test_a_runtime_folder_that_others_may_enter_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("agentd.home.tempfile.gettempdir", lambda: str(tmp_path))
    folder = tmp_path / f"agentd-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(UsageError, match="mode 0700"):
        Home(tmp_path / ("b" * 120)).socket_path()


def test_commands_to_type_are_quoted_for_the_shell(tmp_path):
    assert Home(tmp_path / "a b").command("run") == f"agentd run --home '{tmp_path / 'a b'}'"


def test_a_guardian_may_keep_its_state_before_there_is_a_life(tmp_path):
    home = Home(tmp_path / "life")
    with home.locked():
        home.state_folder.mkdir()
        (home.state_folder / "guardian.json").write_text("{}")
        home.create(load_config(env={}).values())
    assert home.exists


def test_the_state_of_a_life_without_its_record_is_damage(tmp_path):
    home = Home(tmp_path / "life")
    with home.locked():
        home.state_folder.mkdir()
        (home.state_folder / "facts.json").write_text("{}")
        with pytest.raises(DamagedHomeError):
            home.create(load_config(env={}).values())
