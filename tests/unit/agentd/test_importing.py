"""Logs become a life: what is stored, going on after a kill, and nothing of bad input."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from bags import EPOCH_NS, MOUNT, Drive, write_drive
from typer.testing import CliRunner

from agentd.cli import app
from agentd.exit_codes import ExitCode
from agentd.importing import run as importing_run
from agentd.importing.journal import Journal
from memory.config import ReplayConfig
from memory.errors import DiskFullError
from memory.frames import compose
from memory.replay.store import LanceReplay

DRIVE = Drive(seconds=6.0)
SMALL = ("--set", "world.recorded.width_px=48", "--set", "world.recorded.height_px=32")


def agentd(*args: str | Path, ok: bool = True) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(a) for a in args])
    assert not ok or result.exit_code == 0, result.output + str(result.exception)
    return result.exit_code, result.stdout, result.stderr


def take_in(log: Path, home: Path, *args: str) -> dict:
    return json.loads(agentd("import", log, "--home", home, "--json", *args)[1])


def rows_of(home: Path) -> list:
    replay = LanceReplay(home / "memory", ReplayConfig())
    rows = replay.read(0, 10_000)
    replay.close()
    return rows


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    return write_drive(tmp_path_factory.mktemp("bags") / "drive", DRIVE)


def test_a_log_becomes_the_rows_of_a_life(bag, tmp_path):
    home = tmp_path / "life"
    report = take_in(bag, home, *SMALL)
    assert report["done"]
    assert report["steps"] == 30
    assert report["log_report"]["actions"]["commanded"] == 29
    rows = rows_of(home)
    assert [r.step for r in rows] == list(range(30))
    assert [r.is_first for r in rows] == [True] + 29 * [False]
    assert [r.is_last for r in rows] == 29 * [False] + [True]
    assert [r.observation.stamp_ns for r in rows] == DRIVE.stamps(5)
    assert rows[0].observation.rgb.shape == (32, 48, 3)
    pose = rows[0].pose.astype(float)
    for row in rows[1:]:
        pose = compose(pose, row.observation.egomotion)
        np.testing.assert_allclose(row.pose[:2], pose[:2], atol=1e-4)
        np.testing.assert_allclose(row.pose, DRIVE.pose(row.observation.stamp_ns), atol=1e-3)
    for row in rows[:-1]:
        assert (row.action.v_mps, row.action.w_radps) == pytest.approx((0.3, 0.2), abs=1e-6)
        assert row.action.duration_s == pytest.approx(0.2)
        assert row.action.source == "operator"
    assert rows[-1].action.v_mps == 0
    assert report["explored_m2"] > 1
    assert sum(report["objects"].values()) > 0
    born = json.loads((home / "life.json").read_text())["born"]
    assert born["world.kind"] == "recorded"
    assert born["world.recorded.fx_px"] == pytest.approx(30.0)
    np.testing.assert_allclose(born["world.recorded.mount"], MOUNT[:3].ravel(), atol=1e-9)
    assert born["world.recorded.v_max_mps"] == pytest.approx(0.306)


@pytest.mark.parametrize("format_", ["sqlite3", "rosbag1"])
def test_other_formats_become_the_same_rows(bag, tmp_path, format_):
    name = "drive.bag" if format_ == "rosbag1" else "drive"
    take_in(bag, tmp_path / "one", *SMALL)
    take_in(write_drive(tmp_path / name, DRIVE, format_=format_), tmp_path / "two", *SMALL)
    for a, b in zip(rows_of(tmp_path / "one"), rows_of(tmp_path / "two"), strict=True):
        assert (a.step, a.action) == (b.step, b.action)
        assert a.observation.stamp_ns == b.observation.stamp_ns
        np.testing.assert_array_equal(a.observation.rgb, b.observation.rgb)
        np.testing.assert_array_equal(a.observation.depth_m, b.observation.depth_m)
        np.testing.assert_allclose(a.pose, b.pose, atol=1e-6)


def test_a_dataset_becomes_a_life(tmp_path):
    from lerobot_sets import write_dataset

    path = write_dataset(tmp_path / "set", (40, 25))
    home = tmp_path / "life"
    settings = ("world.recorded.camera_height_m=0.4", "world.recorded.hfov_deg=77.3")
    report = take_in(path, home, *(w for s in settings for w in ("--set", s)))
    rows = rows_of(home)
    assert report["steps"] == len(rows) == 33
    assert [r.step for r in rows if r.is_first] == [0, 20]
    assert np.isnan(rows[0].observation.depth_m).all()
    assert report["not_mapped"] == 33
    assert rows[3].action.v_mps == pytest.approx(0.3, rel=1e-5)


def test_a_log_that_is_in_the_life_is_not_taken_in_twice(bag, tmp_path):
    home = tmp_path / "life"
    take_in(bag, home, *SMALL)
    again = take_in(bag, home)
    assert again["already"]
    assert again["steps"] == 0
    assert len(rows_of(home)) == 30
    assert "is in this life already" in agentd("import", bag, "--home", home)[2]


def test_a_second_log_follows_the_first(bag, tmp_path):
    home = tmp_path / "life"
    take_in(bag, home, *SMALL)
    other = write_drive(tmp_path / "other", Drive(seconds=3.0, v_mps=0.2))
    report = take_in(other, home)
    assert report["first_step"] == 30
    rows = rows_of(home)
    assert len(rows) == 45
    assert [r.step for r in rows if r.is_first] == [0, 30]
    assert rows[30].episode_id == rows[29].episode_id + 1


def test_another_camera_needs_another_life(bag, tmp_path):
    home = tmp_path / "life"
    take_in(bag, home, *SMALL)

    def moved(found, messages):
        T = MOUNT.copy()
        T[2, 3] += 0.2
        tf = messages.tf(messages.transform(EPOCH_NS, "base_link", "camera_optical_frame", T))
        return [("/tf_static", EPOCH_NS, tf), *found[1:]]

    other = write_drive(tmp_path / "other", DRIVE, moved)
    code, _, said = agentd("import", other, "--home", home, ok=False)
    assert code == ExitCode.USAGE
    assert "20 cm" in said
    narrow = write_drive(tmp_path / "narrow", Drive(seconds=3.0, focal_px=160.0))
    code, _, said = agentd("import", narrow, "--home", home, ok=False)
    assert code == ExitCode.USAGE
    assert "see less than" in said
    assert len(rows_of(home)) == 30


def test_a_dry_run_changes_nothing(bag, tmp_path):
    home = tmp_path / "life"
    plan = json.loads(agentd("import", bag, "--home", home, "--dry-run", "--json")[1])
    assert plan["format"] == "rosbag2 (mcap)"
    assert plan["body"]["v_max_mps"] == pytest.approx(0.306)
    assert not home.exists()
    _, told, _ = agentd("import", bag, "--home", home, "--dry-run")
    assert "/camera/depth/image_raw" in told


def test_settings_of_a_robot_come_from_a_file_and_stay_with_the_life(bag, tmp_path):
    file = tmp_path / "robot.toml"
    file.write_text(
        "[world.recorded]\nname = 'hoover'\ntick_s = 0.1\nwidth_px = 32\nheight_px = 32\n"
        "v_max_mps = 0.25\n[world.recorded.resample]\ncommand_s = 0.3\n"
    )
    home = tmp_path / "life"
    report = take_in(bag, home, "--robot", str(file))
    assert report["steps"] == 60
    assert report["log_report"]["actions"]["clipped"] == 59
    assert all(r.action.v_mps <= 0.25 for r in rows_of(home))
    kept = (home / "config.toml").read_text()
    assert "command_s = 0.3" in kept
    assert 'detector = "components"' in kept
    shown = json.loads(agentd("config", "show", "--home", home, "--json")[1])
    assert "hoover" in json.dumps(shown)


@pytest.mark.parametrize("stops", [7, 20])
def test_a_stopped_import_goes_on_and_takes_nothing_twice(bag, tmp_path, monkeypatch, stops):
    monkeypatch.setattr(importing_run, "COMMIT_STEPS", 12)
    whole = tmp_path / "whole"
    take_in(bag, whole, *SMALL)
    home = tmp_path / "life"
    tell = importing_run.Importing._tell

    def stop_at(self, steps):
        tell(self, steps)
        if steps == stops:
            self.stop()

    with monkeypatch.context() as patch:
        patch.setattr(importing_run.Importing, "_tell", stop_at)
        code, said, _ = agentd("import", bag, "--home", home, "--json", *SMALL, ok=False)
    assert code == ExitCode.INTERRUPTED
    assert json.loads(said)["steps"] == stops
    rest = take_in(bag, home)
    assert rest["steps"] == 30 - stops
    assert rest["log_report"]["steps"] == 30
    _assert_same_life(home, whole)


def test_a_disk_that_is_full_half_way_loses_nothing_and_is_given_up_soon(
    bag, tmp_path, monkeypatch
):
    whole, home = tmp_path / "whole", tmp_path / "life"
    monkeypatch.setattr(importing_run, "COMMIT_STEPS", 12)
    take_in(bag, whole, *SMALL)
    append = LanceReplay.append

    def full(self, transitions):
        if transitions[-1].step >= 12:
            raise DiskFullError("the disk is full")
        return append(self, transitions)

    with monkeypatch.context() as patch:
        patch.setattr(importing_run, "_PATIENCE_S", 6.0)
        patch.setattr(importing_run, "_GIVEN_UP_S", 0.1)
        patch.setattr(LanceReplay, "append", full)
        began_s = time.monotonic()
        code, _, said = agentd("import", bag, "--home", home, *SMALL, ok=False)
        assert time.monotonic() - began_s < 5.0
        assert code == ExitCode.UNEXPECTED
        assert "the disk is full" in said
        assert "the same command goes on from there" in said
        for thread in threading.enumerate():
            if thread.name == "recorder":  # of this process; a command's ends with it
                patch.setattr(LanceReplay, "append", lambda self, rows: self.version)
                thread.join(20.0)
    assert len(rows_of(home)) == 12
    rest = take_in(bag, home)
    assert rest["steps"] == 18
    _assert_same_life(home, whole)


@pytest.mark.slow
def test_a_killed_import_goes_on_and_takes_nothing_twice(tmp_path):
    """kill -9 at any time: rows that map and objects have not seen are looked at again."""
    long = write_drive(tmp_path / "long", Drive(seconds=120.0, rate_hz=5.0))
    whole, home = tmp_path / "whole", tmp_path / "life"
    take_in(long, whole, *SMALL)
    command = [sys.executable, "-m", "agentd", "import", str(long), "--home", str(home), *SMALL]
    table = home / "memory" / "transitions.lance"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=dict(os.environ)) as child:
        deadline = time.monotonic() + 90
        while not (table.exists() and len(list((table / "data").glob("*"))) >= 2):
            assert time.monotonic() < deadline
            assert child.poll() is None, "it was over before it could be killed"
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    before = len(rows_of(home))
    assert 0 < before < 600
    assert Journal(home / "state").entries[0].done is False
    rest = take_in(long, home)
    assert rest["steps"] == 600 - before
    _assert_same_life(home, whole)


def _assert_same_life(home: Path, whole: Path) -> None:
    rows, expected = rows_of(home), rows_of(whole)
    assert [r.step for r in rows] == [r.step for r in expected]
    for a, b in zip(rows, expected, strict=True):
        assert a.observation.stamp_ns == b.observation.stamp_ns
        assert a.action == b.action
        np.testing.assert_array_equal(a.observation.rgb, b.observation.rgb)
    slots = [json.loads(agentd("memory", "list", "--home", h, "--json")[1]) for h in (home, whole)]
    a, b = ([(s["label"], s["xyz_m"]) for s in found["slots"]] for found in slots)
    assert len(a) == len(b)
    with np.load(home / "state" / "map.npz") as one, np.load(whole / "state" / "map.npz") as two:
        same = (one["map_log_odds"] > 0) == (two["map_log_odds"] > 0)
        assert same.mean() > 0.999


def test_a_life_that_went_on_meanwhile_is_noticed(bag, tmp_path, monkeypatch):
    home = tmp_path / "life"
    with monkeypatch.context() as patch:
        patch.setattr(importing_run.Importing, "_tell", lambda self, steps: self.stop())
        agentd("import", bag, "--home", home, *SMALL, ok=False)
    other = write_drive(tmp_path / "other", Drive(seconds=3.0, v_mps=0.2))
    code, _, said = agentd("import", other, "--home", home, ok=False)
    assert code == ExitCode.USAGE
    assert "is not finished" in said
    code, _, said = agentd(
        "import", bag, "--home", home, "--set", "world.recorded.resample.gap_s=2", ok=False
    )
    assert code == ExitCode.USAGE
    assert "resample.gap_s" in said


# ---------------------------------------------------------------- bad input
def _frozen(found, messages):
    for topic, _, message in found:
        if topic == "/camera/image_raw":
            message.header = messages.header(EPOCH_NS, "camera_optical_frame")
    return found


def _apart(found, messages):
    for topic, _, message in found:
        if topic == "/odom":
            message.header.stamp.sec += 100
    return found


@pytest.mark.parametrize(
    ("change", "leave_out", "words"),
    [
        (_frozen, {}, "stands still"),
        (_frozen, {}, "resample.clock"),
        (_apart, {}, "pose is too far away in time"),
        (lambda f, m: f, {"mount": True}, "camera_height_m"),
        (lambda f, m: f, {"info": True}, "hfov_deg"),
        (lambda f, m: f, {"odometry": True}, "the log tells no pose"),
        (lambda f, m: f[:3], {}, "the log has no colour images; it has /tf_static"),
    ],
)
def test_nothing_is_made_of_a_log_that_cannot_be_read(tmp_path, change, leave_out, words):
    log = write_drive(tmp_path / "log", Drive(seconds=2.0), change, **leave_out)
    home = tmp_path / "life"
    code, _, said = agentd("import", log, "--home", home, ok=False)
    assert code == ExitCode.USAGE
    assert words in said
    assert "Traceback" not in said
    assert not home.exists()


def test_settings_stand_in_for_what_the_log_does_not_tell(tmp_path):
    log = write_drive(tmp_path / "log", DRIVE, mount=True, info=True, command=True)
    home = tmp_path / "life"
    settings = ("world.recorded.camera_height_m=0.4", "world.recorded.hfov_deg=77.3")
    report = take_in(log, home, *SMALL, *(w for s in settings for w in ("--set", s)))
    assert report["log_report"]["actions"]["derived"] == 29
    rows = rows_of(home)
    assert all(r.action.source == "none" for r in rows)
    assert rows[5].action.v_mps == pytest.approx(0.3, rel=0.02)
    assert rows[0].observation.T_world_camera[2, 3] == pytest.approx(0.4)


def test_a_cut_log_is_read_as_far_as_it_goes_or_refused(tmp_path):
    log = write_drive(tmp_path / "log", Drive(seconds=10.0, size=(320, 240), focal_px=200.0))
    file = next(log.glob("*.mcap"))
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    home = tmp_path / "life"
    code, _, said = agentd("import", log, "--home", home, "--strict", ok=False)
    assert code == ExitCode.USAGE
    assert "cut off" in said
    assert not home.exists()
    report = take_in(log, home)
    assert report["done"]
    assert 15 <= report["steps"] <= 30
    assert any("cut off" in what for what in report["log_report"]["damaged"])


def test_a_life_in_another_body_takes_in_no_logs(bag, tmp_path):
    from agentd.home import Home
    from configs.load import load_config

    home = Home(tmp_path / "life")
    with home.locked():
        home.open_or_create(load_config(None, None, {}).values())
    code, _, said = agentd("import", bag, "--home", home.path, ok=False)
    assert code == ExitCode.USAGE
    assert "world.kind = 'house'" in said


def test_a_damaged_journal_is_not_overwritten(bag, tmp_path):
    home = tmp_path / "life"
    take_in(bag, home, *SMALL)
    (home / "state" / "imports.json").write_text("{")
    code, _, said = agentd("import", bag, "--home", home, ok=False)
    assert code == ExitCode.DAMAGED
    assert "taken in twice" in said
    assert (home / "state" / "imports.json").read_text() == "{"
