"""A life is read from a notebook while a real daemon lives it."""

import hashlib

import pytest
from living import LivingProcess

import agentd

pytestmark = pytest.mark.slow


def test_it_is_read_beside_a_real_daemon_and_left_as_it_was(tmp_path):
    path = tmp_path / "life"
    args = ("--profile", "test", "--set", "learners.enabled=false")
    with LivingProcess(path, *args) as process:
        process.until(lambda status: status["memory"]["rows_committed"] >= 100)
        life = agentd.open(path)
        steps = len(life.steps(["step"]))
        later = life.version + 50
        seen = process.until(lambda status: status["memory"]["rows_committed"] >= later)
        assert seen["health"]["last_error"] is None
        assert len(life.steps(["step"])) == steps == life.version
        assert life.windows(2, 4, seed=0).image.shape[:2] == (2, 4)
        assert agentd.open(path).version > life.version
        assert process.stop() == 0
    before = {p: hashlib.sha256(p.read_bytes()).digest() for p in path.rglob("*") if p.is_file()}
    stopped = agentd.open(path)
    stopped.steps(), stopped.slots(), stopped.events(), stopped.goals(), stopped.checkpoints()
    assert (stopped.map().grid == 0).any()
    stopped.windows(2, 4, seed=0)
    after = {p: hashlib.sha256(p.read_bytes()).digest() for p in path.rglob("*") if p.is_file()}
    assert after == before
