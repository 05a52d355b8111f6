"""Bad input and faults: one clear sentence, the documented exit code, nothing overwritten."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from living import LivingProcess

from agentd.exit_codes import ExitCode

ARGS = ("--profile", "test", "--seed", "3", "--set", "learners.enabled=false")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("faults") / "life"
    with LivingProcess(home, *ARGS) as life:
        life.until(lambda s: s["memory"]["rows_committed"] >= 100)
        assert life.stop() == 0
    return home


def _copy(home: Path, to: Path) -> Path:
    subprocess.run(["cp", "-a", str(home), str(to)], check=True)
    return to


def _run(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentd", "run", "--home", str(home), "--steps", "5"]
    return subprocess.run(
        [*command, "--no-view", *ARGS, *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _content(home: Path) -> dict[str, bytes]:
    kept = ("log/", "lock", "control")
    files = (f for f in sorted(home.rglob("*")) if f.is_file())
    return {
        name: f.read_bytes()
        for f in files
        if not (name := str(f.relative_to(home))).startswith(kept)
    }


def _refused(done: subprocess.CompletedProcess[str], code: ExitCode, *words: str) -> None:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in " ".join(done.stderr.split()), done.stderr


@pytest.mark.slow
def test_a_corrupt_table_is_named_and_left_alone(lived: Path, tmp_path: Path) -> None:
    home = _copy(lived, tmp_path / "h")
    for file in (home / "memory" / "transitions.lance" / "_versions").iterdir():
        file.write_bytes(b"not a manifest")
    before = _content(home)
    done = _run(home)
    _refused(done, ExitCode.DAMAGED, "transitions")
    assert _content(home) == before


@pytest.mark.slow
def test_a_home_of_a_newer_format_is_refused(lived: Path, tmp_path: Path) -> None:
    home = _copy(lived, tmp_path / "h")
    record = json.loads((home / "life.json").read_text())
    (home / "life.json").write_text(json.dumps({**record, "format": 99}))
    before = _content(home)
    done = _run(home)
    _refused(done, ExitCode.DAMAGED, "format 99")
    assert _content(home) == before


@pytest.mark.slow
def test_memory_of_a_newer_format_is_refused(lived: Path, tmp_path: Path) -> None:
    home = _copy(lived, tmp_path / "h")
    (home / "memory" / "format.json").write_text(json.dumps({"format": 99}))
    done = _run(home)
    _refused(done, ExitCode.DAMAGED, "99")


@pytest.mark.slow
def test_a_damaged_promoted_checkpoint_is_named(lived: Path, tmp_path: Path) -> None:
    home = _copy(lived, tmp_path / "h")
    (home / "checkpoints" / "promoted.json").write_text("{")
    _refused(_run(home), ExitCode.DAMAGED, "promoted.json")
    (home / "checkpoints" / "promoted.json").write_text(
        json.dumps({"promoted": ["ckpt-00007"], "trunk": None})
    )
    _refused(_run(home), ExitCode.DAMAGED, "ckpt-00007")


@pytest.mark.slow
def test_a_locked_home_is_refused(lived: Path, tmp_path: Path) -> None:
    home = _copy(lived, tmp_path / "h")
    with LivingProcess(home, *ARGS) as life:
        life.until(lambda s: True)
        _refused(_run(home), ExitCode.LOCKED, "already running", str(life.process.pid))


@pytest.mark.slow
def test_a_damaged_map_is_put_aside_and_the_life_goes_on(lived: Path, tmp_path: Path) -> None:
    home = _copy(lived, tmp_path / "h")
    (home / "state" / "map.npz").write_bytes(b"PK\x03\x04 broken")
    (home / "state" / "world.bin").write_bytes(b"broken")
    done = _run(home)
    assert done.returncode == ExitCode.OK, done.stderr
    assert (home / "state" / "map.npz.damaged").read_bytes() == b"PK\x03\x04 broken"
    events = (home / "log" / "events.jsonl").read_text()
    assert "map.npz" in events
    assert "world.bin" in events


@pytest.mark.slow
def test_unknown_keys_and_impossible_values_name_key_and_choices(tmp_path: Path) -> None:
    _refused(_run(tmp_path / "h", "--set", "life.pase=max"), ExitCode.USAGE, "life.pase", "pace")
    _refused(_run(tmp_path / "h", "--set", "life.pace=fast"), ExitCode.USAGE, "fast", "real")
    assert not (tmp_path / "h" / "life.json").exists()
