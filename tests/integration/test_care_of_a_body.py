"""Lives in the house that have to charge, that are fenced, and that the operator stops."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from living import LivingProcess

pytestmark = pytest.mark.slow
COMMON = ("--set", "learners.enabled=false", "--pace", "max", "--seed", "3")


def lived(home: Path, steps: int, *sets: str) -> list[dict[str, Any]]:
    """Live for some steps; return the events."""
    words = [word for text in sets for word in ("--set", text)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "agentd", "run", "--home", str(home), "--no-view"),
            *("--steps", str(steps), *COMMON, *words),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = (home / "log" / "events.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_life_goes_to_its_dock_charges_and_goes_on(tmp_path: Path) -> None:
    battery = ("drive_s=120", "begins=0.4", "charge_s=30")
    events = lived(tmp_path / "h", 900, *(f"world.house.battery.{text}" for text in battery))
    care = [e for e in events if e["kind"] == "safety"]
    texts = [e["text"] for e in care]
    assert any("goes to the dock: 1" in text or "goes to the dock: 20%" in text for text in texts)
    assert any(text.startswith("at the dock: ") for text in texts)
    charged = next(e["step"] for e in care if e["text"].startswith("charged: 9"))
    assert any(e["step"] > charged and e["text"].startswith("explore") for e in events)
    saving = [e for e in events if "explores no more until it is charged" in e["text"]]
    reached = [e for e in events if e["kind"] == "goal" and "reached" in e["text"]]
    assert saving
    assert reached
    # At the next start it knows how much is left and where the dock is.
    again = lived(tmp_path / "h", 5, *(f"world.house.battery.{text}" for text in battery))
    assert not any("goes to the dock" in e["text"] for e in again[len(events) :])


def test_a_keep_out_area_is_never_entered_and_goals_are_reached_round_it(tmp_path: Path) -> None:
    free = tmp_path / "free"
    lived(free, 500)
    ways = poses(free)
    # A place in the open that the free life passed through: that becomes forbidden.
    start = ways[0]
    middle = next(xy for xy in ways if np.hypot(*(xy - start)) > 1.5)
    half = 0.3
    corners = [
        [round(float(middle[0] + dx * half), 2), round(float(middle[1] + dy * half), 2)]
        for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    fenced = tmp_path / "fenced"
    events = lived(fenced, 500, f"guardian.fence.keep_out={json.dumps([corners])}")
    round_it = poses(fenced)
    inside = np.abs(round_it - middle).max(axis=1) < half
    assert (np.abs(ways - middle).max(axis=1) < half).any()
    assert not inside.any()
    assert len(np.unique(np.round(round_it * 2), axis=0)) > 8
    assert any(e["text"].startswith("explore") for e in events)


def test_a_lost_body_looks_around_stands_reports_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tests.parent), str(tests))))
    home = tmp_path / "h"
    body = ("kind=plugin", "plugin.factory=lost_robot:LostRobot", "plugin.simulated=true")
    lost = "plugin.settings={lost_from = 100, lost_to = 300}"
    events = lived(home, 360, *(f"world.{text}" for text in (*body, lost)))
    around = next(e["step"] for e in events if "looks around once" in e["text"])
    told = [e["step"] for e in events if "carry it to a place that it knows" in e["text"]]
    assert len(told) == 1
    assert 100 < around < told[0] <= 100 + 20 / 0.2
    way = poses(home)
    assert np.ptp(way[around + 2 : 299], axis=0).max() < 0.05
    assert np.ptp(way[300:], axis=0).max() > 0.2


def poses(home: Path) -> np.ndarray:
    """Return x_m and y_m of every step."""
    file = home.parent / f"{home.name}.txt"
    words = [sys.executable, "-m", "agentd", "export", "--home", str(home), "--tum", str(file)]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    return np.loadtxt(file)[:, 1:3]


def test_the_e_stop_makes_goals_wait_and_status_says_why(tmp_path: Path) -> None:
    home = tmp_path / "h"
    with LivingProcess(home, *COMMON) as life:
        life.until(lambda s: s["steps"]["total"] > 50)
        life.client.call("guardian", do="estop", reason="visitors")
        status = life.until(lambda s: "visitors" in s["doing"]["reason"])
        assert status["care"]["held"].startswith("estop")
        life.client.call("goal.add", label="chair")
        before = life.until(lambda s: s["steps"]["total"] > status["steps"]["total"] + 100)
        assert before["goals"][-1]["steps"] == 0
        life.client.call("guardian", do="release", reason="")
        life.client.call("guardian", do="arm", reason="")
        life.until(lambda s: s["goals"][-1]["steps"] > 0 and not s["care"]["held"])
