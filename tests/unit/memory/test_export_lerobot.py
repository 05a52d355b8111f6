"""An exported LeRobot dataset, read back with pyarrow, pandas and PyAV."""

import json

import av
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from exported_life import (
    STEPS,
    V_MPS,
    W_RADPS,
    exported_life,
    pose_at,
    stamp_at,
)
from fakes_memory import SPEC, observe
from fakes_stored import BOXES

from agentd.export.happenings import read_record
from agentd.export.tasks import NO_GOAL, tasks_of
from memory.export.lerobot import export_lerobot
from memory.export.span import read_calendar

CAMERA = "observation.images.front"
RUNS = ((0, 30), (30, 40), (43, 50))
"""Steps of the episodes: the second of the life has a hole."""
NUMBERS = ("timestamp", "frame_index", "episode_index", "index", "task_index", "step", "stamp_ns")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return exported_life(tmp_path_factory.mktemp("lerobot") / "life")


def write(home, target, **options):
    span = read_calendar(home.memory_folder)
    tasks = tasks_of(span.step, read_record(home).goals)
    return export_lerobot(home.memory_folder, span, SPEC, tasks, target, **options)


@pytest.fixture(scope="module")
def written(home):
    target = home.path.parent / "dataset"
    return target, write(home, target)


@pytest.fixture(scope="module")
def root(written):
    return written[0]


@pytest.fixture(scope="module")
def data(root):
    return pq.read_table(root / "data/chunk-000/file-000.parquet").to_pandas()


@pytest.fixture(scope="module")
def episodes(root):
    return pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()


@pytest.fixture(scope="module")
def info(root):
    return json.loads((root / "meta/info.json").read_text())


def test_the_folder_holds_the_files_of_version_3(root):
    names = {str(f.relative_to(root)) for f in root.rglob("*") if f.is_file()}
    assert names == {
        "meta/info.json",
        "meta/stats.json",
        "meta/tasks.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "data/chunk-000/file-000.parquet",
        f"videos/{CAMERA}/chunk-000/file-000.mp4",
    }


def test_info_has_the_published_fields(info):
    assert list(info) == [
        "codebase_version",
        "robot_type",
        "total_episodes",
        "total_frames",
        "total_tasks",
        "chunks_size",
        "data_files_size_in_mb",
        "video_files_size_in_mb",
        "fps",
        "splits",
        "data_path",
        "video_path",
        "features",
    ]
    assert info["codebase_version"] == "v3.0"
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, 47, 2)
    assert (info["fps"], info["splits"]) == (5, {"train": "0:3"})
    assert (info["data_files_size_in_mb"], info["video_files_size_in_mb"]) == (100, 200)
    features = info["features"]
    assert features[CAMERA]["dtype"] == "video"
    assert features[CAMERA]["shape"] == [64, 64, 3]
    assert features[CAMERA]["names"] == ["height", "width", "channels"]
    assert features[CAMERA]["info"]["video.fps"] == 5
    assert features["observation.state"]["names"] == ["x_m", "y_m", "yaw_rad"]
    assert features["action"] == {"dtype": "float32", "shape": [2], "names": ["v_mps", "w_radps"]}
    for name in ("frame_index", "episode_index", "index", "task_index"):
        assert features[name] == {"dtype": "int64", "shape": [1], "names": None}
    assert features["timestamp"] == {"dtype": "float32", "shape": [1], "names": None}


def test_rows_are_the_steps_with_their_columns(root, data, info):
    assert data["step"].tolist() == STEPS
    assert data["stamp_ns"].tolist() == [stamp_at(step) for step in STEPS]
    assert data["index"].tolist() == list(range(len(STEPS)))
    frames = [frame for first, end in RUNS for frame in range(end - first)]
    assert data["frame_index"].tolist() == frames
    np.testing.assert_allclose(data["timestamp"], np.array(frames) / 5, rtol=1e-6)
    state = np.stack(data["observation.state"])
    np.testing.assert_allclose(state, [pose_at(step) for step in STEPS], atol=1e-6)
    speed = np.stack(data["observation.velocity"])
    np.testing.assert_allclose(speed[5], [V_MPS, 0, W_RADPS], rtol=1e-6)
    assert speed[0].tolist() == [0, 0, 0]
    action = np.stack(data["action"])
    np.testing.assert_allclose(action[5], [V_MPS, W_RADPS], rtol=1e-6)
    schema = pq.read_schema(root / "data/chunk-000/file-000.parquet")
    assert set(schema.names) == set(info["features"]) - {CAMERA}
    assert str(schema.field("action").type) == "fixed_size_list<element: float>[2]"
    assert str(schema.field("timestamp").type) == "float"


def test_episodes_end_where_steps_are_missing_and_say_where_they_lie(episodes, data):
    assert [(e["dataset_from_index"], e["dataset_to_index"]) for e in episodes] == [
        (0, 30),
        (30, 40),
        (40, 47),
    ]
    for episode, (first, end) in zip(episodes, RUNS, strict=True):
        rows = data[data["episode_index"] == episode["episode_index"]]
        assert rows["step"].tolist() == list(range(first, end))
        assert episode["length"] == len(rows)
        for key in ("data/chunk_index", "data/file_index", "meta/episodes/chunk_index"):
            assert episode[key] == 0
        assert episode[f"videos/{CAMERA}/from_timestamp"] == episode["dataset_from_index"] / 5
        assert episode[f"videos/{CAMERA}/to_timestamp"] == episode["dataset_to_index"] / 5


def test_the_video_has_every_frame_at_its_time(root, episodes):
    with av.open(str(root / f"videos/{CAMERA}/chunk-000/file-000.mp4")) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        times = [float(frame.pts * stream.time_base) for frame in frames]
    np.testing.assert_allclose(times, np.arange(len(STEPS)) / 5, atol=1e-6)
    for frame, step in zip(frames, STEPS, strict=True):
        seen, _ = observe(BOXES, pose_at(step), 0)
        picture = frame.to_ndarray(format="rgb24").astype(int)
        assert np.abs(picture - seen.rgb.astype(int)).mean() < 8
    # an episode can be cut out without what comes before it
    for episode in episodes:
        assert frames[episode["dataset_from_index"]].key_frame


def test_tasks_are_what_was_asked_for_and_pandas_reads_them_by_name(root, data, episodes):
    tasks = pd.read_parquet(root / "meta/tasks.parquet")
    assert tasks.loc["find the chair"].task_index == 1
    assert tasks.loc[NO_GOAL].task_index == 0
    asked = data[data["task_index"] == 1]["step"].tolist()
    assert asked == [20, 21, 22, 23, 24]
    assert [e["tasks"] for e in episodes] == [[NO_GOAL, "find the chair"], [NO_GOAL], [NO_GOAL]]


def test_statistics_are_those_of_the_rows_and_of_each_episode(root, data, episodes, info):
    stats = json.loads((root / "meta/stats.json").read_text())
    assert set(stats) == set(info["features"])
    for name in ("observation.state", "observation.velocity", "action"):
        values = np.stack(data[name]).astype(float)
        np.testing.assert_allclose(stats[name]["mean"], values.mean(axis=0))
        np.testing.assert_allclose(stats[name]["std"], values.std(axis=0))
        np.testing.assert_allclose(stats[name]["q90"], np.quantile(values, 0.9, axis=0))
        part = values[30:40]
        np.testing.assert_allclose(episodes[1][f"stats/{name}/max"], part.max(axis=0))
        assert episodes[1][f"stats/{name}/count"] == [10]
    for name in NUMBERS:
        assert stats[name]["min"] == [float(data[name].min())]
        assert stats[name]["count"] == [47]
    pixels = np.stack([observe(BOXES, pose_at(step), 0)[0].rgb for step in STEPS]) / 255
    mean = np.array(stats[CAMERA]["mean"])
    assert mean.shape == (3, 1, 1)
    np.testing.assert_allclose(mean.ravel(), pixels.mean(axis=(0, 1, 2)))
    assert np.array(episodes[0][f"stats/{CAMERA}/std"]).shape == (3, 1, 1)


def test_the_report_says_what_the_format_cannot_hold(written):
    _, report = written
    assert (report.frames, report.episodes, report.fps) == (47, 3, 5)
    assert any("depth" in note for note in report.notes)


def test_large_files_are_ended_and_the_next_one_is_named_in_the_episodes(home, tmp_path):
    write(home, tmp_path / "d", data_mb=1e-6, video_mb=1e-6)
    files = sorted(f.name for f in (tmp_path / "d/data/chunk-000").iterdir())
    assert files == ["file-000.parquet", "file-001.parquet", "file-002.parquet"]
    rows = pq.read_table(tmp_path / "d/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    for number, (row, (first, end)) in enumerate(zip(rows, RUNS, strict=True)):
        assert row["data/file_index"] == row[f"videos/{CAMERA}/file_index"] == number
        assert row[f"videos/{CAMERA}/from_timestamp"] == 0
        table = pq.read_table(tmp_path / f"d/data/chunk-000/file-{number:03d}.parquet")
        assert table["step"].to_pylist() == list(range(first, end))
        video = tmp_path / f"d/videos/{CAMERA}/chunk-000/file-{number:03d}.mp4"
        with av.open(str(video)) as container:
            assert sum(1 for _ in container.decode(video=0)) == end - first


def test_an_interrupted_dataset_leaves_nothing(home, tmp_path, monkeypatch):
    def interrupt(files):
        raise KeyboardInterrupt

    monkeypatch.setattr("memory.export.lerobot_files.VideoFiles.turn", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(home, tmp_path / "d")
    assert list(tmp_path.iterdir()) == []


def test_a_goal_that_interrupts_another_has_its_steps():
    goals = [
        {"kind": "patrol", "label": "patrol", "story": [{"step": 2, "until_step": 9}]},
        {
            "kind": "point",
            "label": "(1.00, 2.00)",
            "story": [{"step": 4, "until_step": 5}, {"step": 6, "until_step": 6}],
        },
        {"kind": "object", "label": "dining_table", "story": []},
    ]
    tasks = tasks_of(np.array([1, 2, 4, 6, 7, 10]), goals)
    patrol, point = "look at every place again", "go to the point (1.00, 2.00)"
    assert tasks == [NO_GOAL, patrol, point, point, patrol, NO_GOAL]
