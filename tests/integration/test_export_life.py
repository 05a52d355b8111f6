"""A life that was really lived, exported and opened by the libraries of others."""

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from rosbags.highlevel import AnyReader

STEPS = 80

pytestmark = pytest.mark.slow


def agentd(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "agentd", *words],
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_lived_life_can_be_read_by_everyone(tmp_path):
    home = str(tmp_path / "life")
    agentd(
        *("run", "--home", home, "--profile", "test", "--steps", str(STEPS), "--no-view"),
        *("--set", "learners.enabled=false"),
    )
    targets = [tmp_path / name for name in ("a.mcap", "dataset", "a.tum")]
    options = zip(("--mcap", "--lerobot", "--tum"), map(str, targets), strict=True)
    answer = json.loads(
        agentd("export", "--home", home, "--json", *(word for pair in options for word in pair))
    )
    assert [answer[name]["rows"] for name in ("mcap", "lerobot", "tum")] == [STEPS] * 3
    with AnyReader([targets[0]]) as reader:
        wanted = [c for c in reader.connections if c.topic in ("/odom", "/rosout")]
        messages = [
            (c.topic, reader.deserialize(raw, c.msgtype)) for c, _, raw in reader.messages(wanted)
        ]
    odom = [m for topic, m in messages if topic == "/odom"]
    assert any(m.msg == "born" for topic, m in messages if topic == "/rosout")
    at = np.array([(m.pose.pose.position.x, m.pose.pose.position.y) for m in odom])
    table = pq.read_table(targets[1] / "data/chunk-000/file-000.parquet")
    state = np.array(table["observation.state"].to_pylist())
    np.testing.assert_allclose(at, state[:, :2], atol=1e-5)
    lines = targets[2].read_text().splitlines()[1:]
    np.testing.assert_allclose([list(map(float, x.split()[1:3])) for x in lines], at, atol=1e-8)
    # the measured speed is what moves the body from one message to the next
    stamps = np.array([m.header.stamp.sec + m.header.stamp.nanosec / 1e9 for m in odom])
    speed = np.array([m.twist.twist.linear.x for m in odom])
    moved = np.linalg.norm(np.diff(at, axis=0), axis=1)
    np.testing.assert_allclose(moved, np.abs(speed[1:]) * np.diff(stamps), atol=0.02)
    assert moved.sum() > 0.5
