"""A robot's log becomes a life, and the life learns from it without living a step."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bags import EPOCH_NS, Entry, Messages, write_bag2
from living import LivingProcess

from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from learners.registry import Registry
from memory.config import ReplayConfig
from memory.frames import body_pose, se3_from_pose
from memory.records import Action
from memory.replay.store import LanceReplay

STEPS = 480
IMAGE_PX = 96


def _agentd(*args: str, home: Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "agentd", *args, "--home", str(home)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout) if "--json" in args else done.stderr


def _record(path: Path) -> list[Action]:
    """Drive through the embedded house and record it as a robot would; return what was applied."""
    world = HouseWorld(HouseConfig(seed=3, num_rooms=5, image_px=IMAGE_PX))
    spec, messages = world.spec, Messages()
    rng = np.random.default_rng(0)
    entries: list[Entry] = []
    mounted = messages.transform(EPOCH_NS, "base_link", "optical", spec.T_body_camera)
    entries.append(("/tf_static", EPOCH_NS, messages.tf(mounted)))
    observation, applied, turn = world.reset(3), [], 0.0
    for k in range(STEPS):
        stamp = EPOCH_NS + k * round(spec.tick_s * 1e9)
        T = se3_from_pose(body_pose(observation.T_world_camera, spec))
        size = (IMAGE_PX, IMAGE_PX)
        depth = np.nan_to_num(observation.depth_m)
        entries += [
            ("/odom", stamp, messages.odometry(stamp, T)),
            ("/bumper", stamp, messages.flag(observation.bumped)),
            ("/camera/camera_info", stamp, messages.info(stamp, size, spec.fx_px, "optical")),
            (
                "/camera/color/image",
                stamp,
                messages.image(stamp, observation.rgb, "rgb8", "optical"),
            ),
            ("/camera/depth/image", stamp, messages.image(stamp, depth, "32FC1", "optical")),
        ]
        if k % 12 == 0 or observation.bumped:
            turn = float(rng.uniform(-1, 1))
        speed = 0.0 if observation.bumped else 0.4
        wanted = Action(v_mps=speed, w_radps=turn, duration_s=spec.tick_s, source="operator")
        result = world.step(wanted)
        command = messages.twist(result.applied.v_mps, result.applied.w_radps)
        entries.append(("/cmd_vel", stamp, command))
        applied.append(result.applied)
        observation = result.observation
    world.close()
    write_bag2(path, entries, messages)
    return applied


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_a_life_learns_from_an_imported_log(tmp_path: Path) -> None:
    bag, home = tmp_path / "bag", tmp_path / "life"
    applied = _record(bag)
    report = _agentd(
        "import",
        str(bag),
        "--json",
        *("--set", "memory.replay.probe_every=2"),
        *("--set", "life.episode_steps=64"),
        home=home,
    )
    assert report["steps"] == STEPS
    assert report["log_report"]["dropped"] == {}
    assert report["objects"]["confirmed"] > 3
    assert report["explored_m2"] > 5
    replay = LanceReplay(home / "memory", ReplayConfig())
    rows = replay.read(0, STEPS)
    replay.close()
    for row, action in zip(rows[:-1], applied, strict=False):
        assert row.action.v_mps == pytest.approx(action.v_mps, abs=1e-6)
        assert row.action.w_radps == pytest.approx(action.w_radps, abs=1e-6)
    assert any(row.observation.bumped for row in rows)
    found = _agentd("memory", "search", "thing", "--json", home=home)
    assert found["slots"]

    by_itself = "learners.round.first_rows=1000000"
    with LivingProcess(home, "--profile", "test", "--set", by_itself) as life:
        status = life.until(lambda s: s["steps"]["paused"])
        assert status["learning"]["rounds"] == []
        _agentd("learn", "now", home=home)
        status = life.until(lambda s: len(s["learning"]["rounds"]) >= 1, 240)
        assert life.stop() == 0
    done = status["learning"]["rounds"][0]
    assert done["num_updates"] > 0, done
    assert done["checkpoint"] is not None, done
    assert status["steps"]["total"] == STEPS
    checkpoints = Registry(home / "checkpoints")
    assert checkpoints.manifest(done["checkpoint"]).body["name"] == "recorded"
