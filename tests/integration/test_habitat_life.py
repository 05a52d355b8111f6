"""A life in Habitat by the command line, its simulator (a stub) served by another Python."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.fixture
def python(tmp_path):
    """Return a Python that has the stub installed."""
    path = tmp_path / "python"
    found = f"PYTHONPATH={TESTS}/stubs:{TESTS}"
    # The first word is -I, which would hide the stub.
    path.write_text(f'#!/bin/sh\nshift\n{found} exec {sys.executable} "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.slow
def test_a_life_is_lived_and_goes_on(tmp_path, python):
    scene = tmp_path / "rooms.glb"
    scene.touch()
    settings = {
        "world.kind": "habitat",
        "world.habitat.scene": scene,
        "world.habitat.python": python,
        "world.habitat.camera_pitch_deg": 10,
        "learners.enabled": "false",
        "life.pace": "max",
    }
    words = [w for key, value in settings.items() for w in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "agentd", "run", "--home", str(tmp_path / "life"), "--no-view"]
    for lived in (120, 240):
        done = subprocess.run(
            [*command, "--steps", "120", *words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(TESTS.parent)},
        )
        assert done.returncode == 0, done.stderr
        report = json.loads((tmp_path / "life" / "log" / "report.json").read_text())
        assert report["steps"]["total"] == lived
    assert report["coverage"]["reachable_share"] > 0.9
    assert report["slots"]["f1"] > 0.7
