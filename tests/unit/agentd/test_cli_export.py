"""The command export: what it writes, refuses and leaves behind."""

import datetime
import json
import os
import re
import signal
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from exported_life import SAFE_STEP, STEPS, exported_life, pose_at, stamp_at
from fake_life import FakeLife, born, living
from fakes_memory import SPEC
from mcap.reader import make_reader
from typer.testing import CliRunner

from agentd.body_record import record_body, recorded_body
from agentd.cli import app
from agentd.exit_codes import ExitCode, NotFoundError
from agentd.export import mcap as exporting
from configs.load import load_config
from memory.errors import StoreAwayError
from memory.frames import se3_from_pose


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return exported_life(tmp_path_factory.mktemp("cli") / "life")


def export(home, *words):
    return CliRunner().invoke(app, ["export", "--home", str(home.path), *map(str, words)])


def steps_in(path) -> list[int]:
    with path.open("rb") as stream:
        messages = make_reader(stream).iter_messages(topics=["/odom"])
        return [(m.log_time - stamp_at(0)) // (stamp_at(1) - stamp_at(0)) for *_, m in messages]


# ---------------------------------------------------------------------- what is written
def test_all_three_formats_are_written_at_once_and_told(home, tmp_path):
    targets = tmp_path / "a.mcap", tmp_path / "d", tmp_path / "a.tum"
    result = export(home, "--mcap", targets[0], "--lerobot", targets[1], "--tum", targets[2])
    assert result.exit_code == 0, result.output
    assert sorted(tmp_path.iterdir()) == sorted(targets)
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert re.search(
        r"sensor_msgs/msg/CompressedImage +47$", lines["/camera/color/image_raw/compressed"]
    )
    assert f"wrote 47 steps ({targets[0].stat().st_size} bytes) to {targets[0]}" in result.stderr
    assert "depth is left out" in result.stderr


def test_the_answer_for_programs_has_counts_and_why_a_channel_is_empty(home, tmp_path):
    result = export(home, "--mcap", tmp_path / "a.mcap", "--to", 9, "--json")
    answer = json.loads(result.stdout)
    assert answer["steps"] == [0, 9]
    found = answer["mcap"]
    assert (found["rows"], found["messages"]["/cmd_vel"]) == (10, 10)
    assert found["bytes"] == (tmp_path / "a.mcap").stat().st_size
    assert found["empty"]["/agentd/interventions"] == "safety changed no action"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--from", "10", "--to", "13"], [10, 11, 12, 13]),
        (["--from", "46"], [46, 47, 48, 49]),
        (["--last", "0.6s"], [46, 47, 48, 49]),
        (["--from", "0.4s"], [47, 48, 49]),
        (["--episode", "1", "--json"], [s for s in STEPS if s >= 30]),
        ([], STEPS),
    ],
)
def test_a_span_is_chosen_by_steps_times_or_episode(home, tmp_path, words, wanted):
    result = export(home, "--mcap", tmp_path / "a.mcap", *words)
    assert result.exit_code == 0, result.output
    assert steps_in(tmp_path / "a.mcap") == wanted


def test_a_time_of_the_day_is_taken_as_a_bound(home, tmp_path):
    when = datetime.datetime.fromtimestamp(stamp_at(48) / 1e9).isoformat()
    result = export(home, "--mcap", tmp_path / "a.mcap", "--from", when)
    assert result.exit_code == 0, result.output
    assert steps_in(tmp_path / "a.mcap") == [48, 49]


@pytest.mark.parametrize("frame", ["body", "camera"])
def test_a_trajectory_is_where_body_or_camera_were(home, tmp_path, frame):
    result = export(home, "--tum", tmp_path / "a.tum", "--frame", frame)
    assert result.exit_code == 0, result.output
    lines = (tmp_path / "a.tum").read_text().splitlines()
    assert lines[0] == "# timestamp tx ty tz qx qy qz qw"
    assert len(lines) == 1 + len(STEPS)
    for line, step in zip(lines[1:], STEPS, strict=True):
        stamp, *numbers = line.split()
        assert stamp == f"{stamp_at(step) // 10**9}.{stamp_at(step) % 10**9:09d}"
        T = se3_from_pose(pose_at(step))
        if frame == "camera":
            T = T @ SPEC.T_body_camera
        x, y, z, qx, qy, qz, qw = map(float, numbers)
        np.testing.assert_allclose([x, y, z], T[:3, 3], atol=1e-8)
        forward = [1 - 2 * (qy**2 + qz**2), 2 * (qx * qy + qz * qw), 2 * (qx * qz - qy * qw)]
        np.testing.assert_allclose(forward, T[:3, 0], atol=1e-8)


def test_a_running_life_is_exported_as_it_is_told(home, tmp_path):
    with living(home, FakeLife().handlers()):
        result = export(home, "--mcap", tmp_path / "a.mcap")
    assert result.exit_code == 0, result.output
    assert "note: the life runs" in result.stderr


def test_a_line_of_the_log_that_was_cut_off_is_told(tmp_path):
    home = exported_life(tmp_path / "life")
    log = home.log_folder / "events.jsonl"
    log.with_suffix(".1.jsonl").write_text(log.read_text())
    log.write_text('{"n": 9, "step": 5, "sta')
    result = export(home, "--mcap", tmp_path / "a.mcap", "--json")
    found = json.loads(result.stdout)["mcap"]
    assert found["messages"]["/agentd/events"] == 7
    assert any("1 lines of" in note for note in found["notes"])
    assert any("rotated" in note for note in found["notes"])


# ---------------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name what to write"),
        (["--mcap", "{tmp}/no/a.mcap"], "there is no folder"),
        (["--mcap", "{tmp}/a", "--last", "10m", "--from", "3"], "one of these ways"),
        (["--mcap", "{tmp}/a", "--last", "ten"], "it takes a duration as 90s"),
        (["--mcap", "{tmp}/a", "--last", "2026-11-24"], "it takes a duration as 90s"),
        (["--mcap", "{tmp}/a", "--from", "yesterday"], "'yesterday' is no time"),
        (["--mcap", "{tmp}/a", "--from", "99"], "it has steps 0 to 49"),
        (["--mcap", "{tmp}/a", "--from", "9", "--to", "3"], "no step of the life"),
        (["--mcap", "{tmp}/a", "--episode", "7"], "episodes 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(home, tmp_path, words, message):
    result = export(home, *(word.format(tmp=tmp_path) for word in words))
    assert result.exit_code == ExitCode.USAGE
    assert message in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_replaced_with_force_alone(home, tmp_path):
    target = tmp_path / "a.mcap"
    target.write_text("precious")
    result = export(home, "--mcap", target)
    assert result.exit_code == ExitCode.USAGE
    assert "exists already" in result.stderr
    assert target.read_text() == "precious"
    assert export(home, "--mcap", target, "--force").exit_code == 0
    assert steps_in(target) == STEPS


def test_a_life_without_a_step_cannot_be_exported_yet(tmp_path):
    home = born(tmp_path / "life")
    result = export(home, "--mcap", tmp_path / "a.mcap")
    assert result.exit_code == ExitCode.NOT_YET
    assert "no step is stored" in result.stderr


def test_a_missing_library_is_named_with_what_installs_it(home, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mcap.writer", None)
    result = export(home, "--mcap", tmp_path / "a.mcap")
    assert result.exit_code == ExitCode.USAGE
    assert "pip install 'agentd[logs]'" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_tables_that_are_away_are_told_as_such(home, tmp_path, monkeypatch):
    def away(folder, span):
        raise StoreAwayError("the bucket does not answer")

    monkeypatch.setattr(exporting, "read_rows", away)
    result = export(home, "--mcap", tmp_path / "a.mcap")
    assert result.exit_code == ExitCode.AWAY
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- what is left behind
@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, 143)]
)
@pytest.mark.parametrize("option", ["--mcap", "--lerobot"])
def test_an_end_on_the_way_leaves_nothing(home, tmp_path, monkeypatch, signum, code, option):
    written = []

    def rows(folder, span, read=exporting.read_rows):
        for batch in read(folder, span):
            yield batch
            written.extend(tmp_path.iterdir())
            os.kill(os.getpid(), signum)

    monkeypatch.setattr(exporting, "read_rows", rows)
    monkeypatch.setattr("memory.export.lerobot.read_rows", rows)
    result = export(home, option, tmp_path / "x")
    assert result.exit_code == code
    assert written  # something was there when the signal came
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- the body
def test_the_body_is_read_back_as_it_was_driven(home):
    spec = recorded_body(home, load_config("test", env={}).config)
    for name in type(SPEC).__slots__:
        np.testing.assert_array_equal(getattr(spec, name), getattr(SPEC, name))


def test_a_life_in_the_house_from_before_the_record_has_the_body_of_its_settings(tmp_path):
    home = born(tmp_path / "life", "world.house.image_px=48", "world.house.num_rooms=5")
    home.state_folder.mkdir(exist_ok=True)
    overrides = ["world.house.image_px=48", "world.house.num_rooms=5"]
    spec = recorded_body(home, load_config("test", env={}, overrides=overrides).config)
    assert (spec.name, spec.width_px, spec.height_px) == ("house", 48, 48)


def test_where_the_camera_of_a_robot_sits_is_not_guessed(tmp_path):
    home = born(tmp_path / "life")
    robot = SimpleNamespace(world=SimpleNamespace(kind="ros2"))
    with pytest.raises(NotFoundError, match="nothing says where the camera of the ros2 body"):
        recorded_body(home, robot)


def test_a_damaged_record_of_the_body_is_told(tmp_path):
    home = exported_life(tmp_path / "life")
    (home.state_folder / "body.json").write_text("{")
    result = export(home, "--mcap", tmp_path / "a.mcap")
    assert result.exit_code == ExitCode.DAMAGED
    assert "body.json is damaged" in result.stderr


def test_a_body_of_another_size_than_the_images_is_refused(tmp_path):
    home = exported_life(tmp_path / "life")
    record_body(home, replace(SPEC, width_px=128))
    result = export(home, "--mcap", tmp_path / "a.mcap")
    assert result.exit_code == ExitCode.USAGE
    assert "128 x 64 pixels, the life stores 64 x 64" in result.stderr


def test_safety_is_told_where_it_acted(home, tmp_path):
    result = export(home, "--mcap", tmp_path / "a.mcap", "--from", SAFE_STEP, "--to", SAFE_STEP)
    assert re.search(r"/agentd/interventions +agentd.Intervention +1$", result.stdout, re.M)
