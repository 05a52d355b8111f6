"""A life survives any kill: what was reported as committed is there, and so is who acts."""

import random
from pathlib import Path

import pytest
from living import LivingProcess

from configs.load import load_config
from learners.registry import Registry
from learners.round import run_round
from learners.round_spec import RoundSpec, body_to_dict
from memory.replay.store import LanceReplay

KILLS = 30


def _promote_one(home: Path) -> str:
    """Train a checkpoint on what the life has stored, in this process, and promote it."""
    loaded = load_config("test", None, {}, [])
    config = loaded.config
    from agentd.build import build_world

    replay = LanceReplay(home / "memory", config.memory.replay)
    world = build_world(config.world)
    result = run_round(
        RoundSpec(
            memory_folder=home / "memory",
            checkpoints_folder=home / "checkpoints",
            replay_version=replay.version,
            learners=config.learners,
            recipe=loaded.recipe,
            replay=config.memory.replay,
            body=body_to_dict(world.spec),
        )
    )
    world.close()
    replay.close()
    assert result.checkpoint_id is not None
    Registry(home / "checkpoints").promote(result.checkpoint_id)
    return result.checkpoint_id


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thirty_kills_lose_nothing_that_was_committed(tmp_path: Path) -> None:
    home = tmp_path / "life"
    args = ("--profile", "test", "--seed", "3", "--set", "learners.enabled=false")
    with LivingProcess(home, *args) as life:
        life.until(lambda s: s["memory"]["rows_committed"] >= 200)
        assert life.stop() == 0
    checkpoint = _promote_one(home)
    rng = random.Random(11)
    reported = 0
    for kill in range(KILLS):
        more = reported + rng.randrange(1, 60)
        with LivingProcess(home, *args) as life:
            status = life.until(lambda s, more=more: s["memory"]["rows_committed"] >= more)
            # the answer left the process before the kill: this is what an operator had read
            assert status["memory"]["rows_committed"] >= reported, f"rows lost by kill {kill}"
            assert status["learning"]["checkpoint"] == checkpoint
            reported = status["memory"]["rows_committed"]
            life.kill()
        assert Registry(home / "checkpoints").promoted() == checkpoint
    config = load_config("test", None, {}, []).config
    replay = LanceReplay(home / "memory", config.memory.replay)
    assert len(replay) >= reported
    assert replay.last_step() >= reported - 1
    replay.close()
