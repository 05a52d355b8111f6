"""Logs with changed bytes: they are read, as far as they go, or refused in words."""

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from bags import Drive, write_drive
from lerobot_sets import KEY, write_dataset

from agentd.worlds.recorded.check import check_steps
from agentd.worlds.recorded.spec import describe
from agentd.worlds.recorded.world import RecordedWorld
from configs.bodies.recorded import RecordedConfig
from memory.logs.bag_sqlite import SqliteRecords
from memory.logs.errors import LogError
from memory.logs.open import fingerprint, open_log
from memory.records import Action

SMALL = Drive(seconds=1.0, size=(24, 16), focal_px=15.0)
NO_CAMERA = {"hfov_deg": 60.0, "camera_height_m": 0.3}
"""What a dataset does not tell."""


@pytest.fixture(scope="module")
def logs(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("logs")
    bags = {f: write_drive(root / f, SMALL, format_=f) for f in ("mcap", "sqlite3", "rosbag1")}
    videos = write_dataset(root / "video", (6, 4))
    images = write_dataset(root / "image", (6, 4), images="image")
    return {**bags, "lerobot videos": videos, "lerobot images": images}


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change a few places as disks, cables and editors do."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        if len(found) < 2:
            break
        i, j = rng.randrange(len(found)), rng.randrange(len(found))
        size = min(rng.choice((1, 2, 4, 8, 64, 512)), len(found) - i)
        match rng.choice(("bit", "noise", "ones", "zeros", "cut", "lost", "more", "copied")):
            case "bit":
                found[i] ^= 1 << rng.randrange(8)
            case "noise":
                found[i : i + size] = rng.randbytes(size)
            case "ones":
                found[i : i + size] = b"\xff" * size
            case "zeros":
                found[i : i + size] = bytes(size)
            case "cut":
                del found[i:]
            case "lost":
                del found[i : i + size]
            case "more":
                found[i:i] = rng.randbytes(size)
            case "copied":
                found[j : j + size] = found[i : i + size]
    return bytes(found)


def mutated(log: Path, to: Path, rng: random.Random) -> Path:
    """Copy a log, one of its files changed."""
    if log.is_file():
        to.write_bytes(mutate(log.read_bytes(), rng))
        return to
    shutil.copytree(log, to)
    file = rng.choice(sorted(f for f in to.rglob("*") if f.is_file()))
    file.write_bytes(mutate(file.read_bytes(), rng))
    return to


def steps_of(log: Path, name: str) -> int:
    """Read a log as an import does; return its steps."""
    told = NO_CAMERA if name.startswith("lerobot") else {}
    config = RecordedConfig.model_validate(
        {"log": str(log), "width_px": 24, "height_px": 16} | told
    )
    reader = open_log(log, config.streams, config.resample)
    try:
        body = describe(config, reader)
        check_steps(config, reader, body.lens)
        fingerprint(log)
        world = RecordedWorld(config, reader)
        world.reset(0)
        steps = 0
        while not world.is_over:
            world.step(Action(v_mps=0.0, w_radps=0.0, duration_s=config.tick_s))
            steps += 1
        world.close()
        return steps
    finally:
        reader.close()


def try_many(logs: dict[str, Path], name: str, folder: Path, seeds: range) -> None:
    whole = steps_of(logs[name], name)
    read, words = 0, list[str]()
    for seed in seeds:
        log = mutated(logs[name], folder / str(seed), random.Random(seed))
        try:
            steps = steps_of(log, name)
        except LogError as error:
            words.append(str(error))
        except Exception as error:
            raise AssertionError(f"seed {seed} of {name}: {type(error).__name__}") from error
        else:
            assert 0 < steps <= 2 * whole, f"seed {seed}"
            read += 1
        shutil.rmtree(log) if log.is_dir() else log.unlink()
    assert read
    assert words
    assert min(map(len, words)) > 20, "an error that says too little"


@pytest.mark.parametrize(
    ("name", "count"),
    [("mcap", 12), ("sqlite3", 12), ("lerobot videos", 40), ("lerobot images", 40)],
)
def test_changed_bytes_are_read_or_refused(logs, tmp_path, name, count):
    try_many(logs, name, tmp_path, range(count))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("mcap", 40),
        ("sqlite3", 40),
        ("rosbag1", 40),
        ("lerobot videos", 300),
        ("lerobot images", 300),
    ],
)
def test_many_changed_bytes_are_read_or_refused(logs, tmp_path, name, count):
    try_many(logs, name, tmp_path, range(1000, 1000 + count))


def test_rows_of_a_database_without_a_time_are_passed_over_and_told(logs, tmp_path):
    file = next(logs["sqlite3"].glob("*.db3"))
    damaged = Path(shutil.copy(file, tmp_path))
    with sqlite3.connect(damaged) as base:
        (gone,) = base.execute("SELECT name FROM topics WHERE id = 1").fetchone()
        base.execute("UPDATE topics SET name = x'ff' WHERE id = 1")
        (row,) = base.execute("SELECT max(id) FROM messages WHERE topic_id != 1").fetchone()
        base.execute("UPDATE messages SET timestamp = 'noon' WHERE id = ?", (row,))
    base.close()
    whole, bag = SqliteRecords(file), SqliteRecords(damaged)
    names = [t.name for t in whole.topics if t.name != gone]
    assert [t.name for t in bag.topics] == names
    assert len(list(bag.messages(names))) == len(list(whole.messages(names))) - 1
    assert "lacks a time" in bag.broken
    assert not whole.broken
    whole.close()
    bag.close()


def _info(change: Callable[[dict], object]) -> Callable[[Path], object]:
    def apply(root: Path) -> None:
        file = root / "meta" / "info.json"
        info = json.loads(file.read_text())
        change(info)
        file.write_text(json.dumps(info))

    return apply


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_info(lambda i: i["features"][KEY].pop("shape")), "not as LeRobot writes it"),
        (_info(lambda i: i.update(fps=0)), "not as LeRobot writes it"),
        (_info(lambda i: i.update(features=[])), "not as LeRobot writes it"),
        (_info(lambda i: i.update(data_path="data/{where}")), r"data_path = 'data/\{where\}'"),
        (_info(lambda i: i.update(video_path="v}")), "video_path = 'v}'"),
        (_info(lambda i: i.update(video_path=None)), "has videos, but no video_path"),
        (lambda root: next(root.rglob("*.mp4")).write_bytes(b""), "cannot be decoded"),
    ],
)
def test_what_is_wrong_with_a_dataset_is_named(tmp_path, change, words):
    root = write_dataset(tmp_path / "set", (6, 4))
    change(root)
    with pytest.raises(LogError, match=words):
        steps_of(root, "lerobot")


def test_a_dataset_of_images_needs_no_path_of_videos(tmp_path):
    root = write_dataset(tmp_path / "set", (6, 4), images="image")
    _info(lambda i: i.update(video_path=None))(root)
    assert steps_of(root, "lerobot") > 0
