"""A whole life whose tables lie on object storage, in processes of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from living import LivingProcess
from object_store import BUCKET, KEYS, ObjectStore, object_store

from agentd.exit_codes import ExitCode
from memory.care.access import open_tables
from memory.care.stats import memory_stats

ARGS = ("--profile", "test", "--seed", "3", "--set", "learners.enabled=false")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """A server with an empty bucket, and the keys to it in the environment."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with object_store() as served:
        yield served


def _settings(store: ObjectStore) -> list[str]:
    values = {
        "uri": f"s3://{BUCKET}/life",
        "endpoint": store.endpoint,
        "allow_http": "true",
        "retry_s": "0.2",
    }
    return [word for key, v in values.items() for word in ("--set", f"memory.storage.{key}={v}")]


@pytest.mark.slow
def test_a_life_outlives_the_loss_of_its_store(store: ObjectStore, tmp_path: Path) -> None:
    home = tmp_path / "life"
    events = home / "log" / "events.jsonl"
    with LivingProcess(home, *ARGS, *_settings(store)) as life:
        life.until(lambda s: s["memory"]["rows_committed"] >= 50)
        store.stop()
        life.until(lambda s: "rows wait on this disk" in events.read_text())
        seen = life.until(lambda s: s["memory"]["rows_waiting"] > 0)["steps"]["total"]
        life.until(lambda s: s["steps"]["total"] > seen + 50)
        life.kill()
    waiting = list((home / "memory" / "spool").glob("*.arrow"))
    assert waiting
    away = subprocess.run(
        [sys.executable, "-m", "agentd", "run", "--home", str(home), "--no-view", *ARGS],
        capture_output=True,
        text=True,
    )
    assert away.returncode == ExitCode.AWAY, away.stderr
    assert "cannot be reached" in away.stderr
    assert "Traceback" not in away.stderr
    store.start()
    with LivingProcess(home, *ARGS) as life:
        life.until(lambda s: s["steps"]["this_run"] > 20 and s["memory"]["rows_waiting"] == 0)
        assert life.stop() == 0
    steps = open_tables(home / "memory")["transitions"].to_arrow(columns=["step"])["step"]
    assert steps.to_pylist() == list(range(len(steps)))
    told = [json.loads(line)["text"] for line in events.read_text().splitlines()]
    assert any(text.startswith("rows wait on this disk: s3://lives/life") for text in told)
    assert not list((home / "memory").glob("*.lance"))
    stats = memory_stats(home / "memory")
    assert stats.rows_waiting == 0
    assert sum(stats.slots.values()) > 0
    for path in home.rglob("*"):
        assert not path.is_file() or KEYS["AWS_SECRET_ACCESS_KEY"].encode() not in path.read_bytes()
