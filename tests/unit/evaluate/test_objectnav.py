"""ObjectNav episodes in the fake rooms, played by the real policy and scored by hand."""

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from habitat_dataset import content, split, view_points, write, write_dataset
from habitat_worlds import local, settings
from rich.console import Console
from typer.testing import CliRunner

from agentd.cli import app
from agentd.evaluate.errors import EvaluationError
from agentd.evaluate.objectnav import command, play
from agentd.evaluate.objectnav.command import ObjectNavRequest, run, task_body
from agentd.evaluate.objectnav.rows import EpisodeRow
from agentd.evaluate.objectnav.summary import report, summarise
from agentd.exit_codes import ExitCode, UsageError
from agentd.worlds.habitat.errors import EpisodeFileError, HabitatError
from agentd.worlds.habitat.world import HabitatWorld

BODY = task_body(settings(scene="", width_px=64, height_px=48), {"width_px", "height_px"})


@pytest.fixture
def opened(monkeypatch):
    """Play in the fake rooms; return the scenes that were opened."""
    scenes: list[str] = []

    def open_world(config):
        scenes.append(Path(config.scene).name)
        return HabitatWorld(config, local)

    monkeypatch.setattr(play, "open_world", open_world)
    return scenes


def request(folder, **changes):
    return ObjectNavRequest(episodes=folder, world=BODY, workers=1, **changes)


def test_episodes_are_played_and_scored(opened, tmp_path):
    summary = run(request(write_dataset(tmp_path)))
    assert opened == ["rooms.basis.glb", "rooms2.basis.glb"]
    rows = [EpisodeRow.model_validate(row) for row in summary["episodes"]]
    assert [row.index for row in rows] == [0, 1, 2, 0, 1, 2]
    for row in rows:
        assert row.stopped
        assert row.success == (row.distance_to_goal_m < 0.1)
        efficiency = row.start_m / max(row.start_m, row.path_m)
        assert row.spl == pytest.approx(row.success * efficiency, abs=1e-6)
        left = max(0.0, 1 - row.distance_to_goal_m / row.start_m)
        assert row.soft_spl == pytest.approx(left * efficiency, abs=1e-6)
        # whole primitives of 0.25 m, the last call of stop is a step
        assert row.path_m == pytest.approx(0.25 * round(row.path_m / 0.25), abs=1e-3)
        assert row.steps == sum(row.modes.values()) <= 500
    assert summary["all"]["success"]["mean"] >= 0.5
    assert summary["categories"].keys() == {"chair", "bed", "sofa"}
    assert (summary["all"]["num_scenes"], summary["detector"]) == (2, "instances")
    start_m = min(np.hypot(x - 5, z + 3) for x, _, z in view_points("chair"))
    assert rows[0].start_m == pytest.approx(start_m, abs=1e-6)
    json.dumps(summary, allow_nan=False)


def test_a_run_that_was_cut_goes_on(opened, tmp_path, monkeypatch):
    folder, out = write_dataset(tmp_path, ("rooms",)), tmp_path / "out"
    monkeypatch.setattr(command, "EPISODES_PER_PART", 1)
    run(request(folder, out=out, per_scene=1))
    assert len(opened) == 1
    whole = run(request(folder, out=out))
    assert len(opened) == 3
    again = run(request(folder, out=out))
    assert len(opened) == 3
    assert whole["all"] == again["all"]
    assert json.loads((out / "result.json").read_text())["all"]["num_episodes"] == 3
    with pytest.raises(UsageError, match="budget_steps = 500, not 7"):
        run(request(folder, out=out, budget_steps=7))


def test_steps_run_out(opened, tmp_path):
    (row,) = run(request(write_dataset(tmp_path), scenes=("rooms2",), per_scene=1, budget_steps=3))[
        "episodes"
    ]
    assert (row["steps"], row["stopped"], row["success"]) == (3, False, False)
    assert row["failure"] in {"never_seen", "not_reached"}


def test_standing_at_the_goal_without_a_stop_is_no_success(opened, tmp_path):
    chair = {"scenes": ("rooms",), "per_scene": 1}
    (whole,) = run(request(write_dataset(tmp_path), **chair))["episodes"]
    (cut,) = run(request(tmp_path / "val", budget_steps=whole["steps"] - 1, **chair))["episodes"]
    assert whole["success"]
    assert cut["distance_to_goal_m"] < 0.1
    assert (cut["success"], cut["spl"], cut["failure"]) == (False, 0.0, "budget")


def test_an_episode_that_cannot_be_solved_is_counted_and_not_played(opened, tmp_path):
    starts = [("chair", (5.0, 0.1, -3.0), 90.0, None), ("chair", (30.0, 0.1, -3.0), 0.0, None)]
    write(tmp_path / "val" / "val.json.gz", split())
    write(tmp_path / "val" / "content" / "rooms.json.gz", content("rooms", starts))
    summary = run(request(tmp_path / "val"))
    assert (summary["all"]["num_episodes"], summary["all"]["num_unreachable"]) == (1, 1)
    lost = summary["episodes"][1]
    assert (lost["success"], lost["spl"], lost["start_m"], lost["steps"]) == (None,) * 3 + (0,)
    assert lost["reason"] == "no view point is reachable"
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(report(summary))
    assert "1 (+1 unreachable)" in console.export_text()


def test_without_any_episode_that_could_be_solved_there_is_no_mean():
    summary = summarise([], seed=0)
    assert summary["all"]["spl"] == {"mean": None, "low": None, "high": None}


def test_wrong_requests_are_explained_before_anything_is_played(opened, tmp_path):
    folder = write_dataset(tmp_path)
    with pytest.raises(EvaluationError, match="no scene 'attic'; it has rooms, rooms2"):
        run(request(folder, scenes=("attic",)))
    (folder / "content" / "rooms2.json.gz").write_bytes(b"{")
    with pytest.raises(EpisodeFileError, match="rooms2"):
        run(request(folder))
    assert opened == []


def test_a_scene_that_is_missing_does_not_lose_the_others(opened, tmp_path):
    folder = write_dataset(tmp_path, ("absent", "rooms"))
    with pytest.raises(HabitatError, match=r"there is no scene .*absent"):
        run(request(folder, out=tmp_path / "out"))
    kept = (tmp_path / "out" / "episodes.jsonl").read_text().splitlines()
    assert len(kept) == 2
    assert "rooms" in kept[1]


def test_the_body_is_the_tasks_unless_it_is_set():
    body = task_body(settings(control="velocity"), {"control"})
    assert (body.control, body.sliding, body.depth_max_m) == ("velocity", False, 5.0)
    assert BODY.turn_deg == 30
    assert math.isclose(BODY.forward_m, 0.25)


def test_the_command(opened, tmp_path):
    folder = write_dataset(tmp_path)
    words = ["eval", "objectnav", "--home", str(tmp_path / "h"), "--json", "--per-scene", "1"]
    done = CliRunner().invoke(app, [*words, "--scenes", "rooms", "--episodes", str(folder)])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["all"]["num_episodes"] == 1
    assert summary["body"]["control"] == "discrete"
    done = CliRunner().invoke(app, words)
    assert done.exit_code == ExitCode.USAGE
    assert "--episodes PATH" in done.output
    done = CliRunner().invoke(app, [*words, "--episodes", str(tmp_path / "no.json.gz")])
    assert done.exit_code == ExitCode.USAGE
    assert "there is no" in done.output
