"""What a replay table on disk does when rows, processes or the disk misbehave."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
from fakes_memory import make_episode, make_transition
from lance.optimize import Compaction
from lancedb.table import LanceTable

import memory.care.merging
from memory.care.merging import merge_tiers
from memory.config import ReplayConfig
from memory.errors import (
    DamagedTableError,
    DiskFullError,
    RefusedRowError,
    SecondWriterError,
)
from memory.format import FORMAT_FILE, FORMAT_VERSION, read_format
from memory.records import NUM_OBJECTS, OBJECT_FEATURES
from memory.replay.rows import to_millimetres
from memory.replay.store import LanceReplay
from memory.schema import TRANSITIONS, transitions_schema
from memory.tables import connect

CONFIG = ReplayConfig(hot_mib=0)
TESTS = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONPATH": f"{TESTS}:{TESTS.parent}", "PATH": "/usr/bin"}


def table_folder(folder: Path) -> Path:
    return folder / "transitions.lance"


def steps_of(store: LanceReplay) -> list[int]:
    return [row.step for row in store.read(0, len(store))]


def test_rows_appended_while_files_are_merged_keep_the_order_of_life(tmp_path: Path) -> None:
    """The merged file comes to lie behind them in the table."""
    store = LanceReplay(tmp_path, CONFIG)
    for step in range(0, 20, 2):
        store.append(make_episode(step, step, 2))
    reader, pinned = LanceReplay(tmp_path, CONFIG), store.at_version(store.version)
    dataset = lance.dataset(str(table_folder(tmp_path)))
    plan = Compaction.plan(dataset, {"num_threads": 1})
    merged = [task.execute(dataset) for task in plan.tasks]
    store.append(make_episode(20, 20, 2))
    Compaction.commit(dataset, merged)
    column = lance.dataset(str(table_folder(tmp_path))).to_table(["step"])["step"].to_pylist()
    assert column[:2] == [20, 21]
    store.append(make_episode(22, 22, 2))
    again = LanceReplay(tmp_path, CONFIG)
    for replay in (store, reader, again):
        assert steps_of(replay) == list(range(24))
        batch = replay.sample(64, 2, np.random.default_rng(0))
        assert np.all(np.diff(batch.step) == 1)
        assert batch.step.max() > 20
    assert steps_of(pinned) == list(range(20))
    assert again.version == 24


def test_an_index_follows_rows_that_were_dropped(tmp_path: Path) -> None:
    store = LanceReplay(tmp_path, CONFIG)
    store.append(make_episode(0, 0, 10))
    reader = LanceReplay(tmp_path, CONFIG)
    connect(tmp_path).open_table(TRANSITIONS).delete("step >= 2 AND step < 5")
    left = [0, 1, 5, 6, 7, 8, 9]
    assert steps_of(reader) == left
    assert steps_of(store) == left
    assert np.all(np.diff(reader.sample(64, 2, np.random.default_rng(0)).step) == 1)
    store.append(make_episode(10, 2, 2))
    assert steps_of(reader) == [*left, 10, 11]


def test_a_value_that_no_column_holds_is_refused_by_its_step(tmp_path: Path) -> None:
    store = LanceReplay(tmp_path, CONFIG)
    rows = make_episode(0, 0, 4)
    object.__setattr__(rows[2].observation, "labels", ("", 7))
    with pytest.raises(RefusedRowError, match="step 2 is refused: it cannot be written"):
        store.append(rows)
    assert len(store) == 0
    store.append([rows[0], rows[1], rows[3]])
    assert steps_of(store) == [0, 1, 3]


HOLDER = """
import sys
from pathlib import Path
from fakes_memory import make_episode
from memory.config import ReplayConfig
from memory.replay.store import LanceReplay

store = LanceReplay(Path(sys.argv[1]), ReplayConfig())
store.append(make_episode(0, 0, 3))
print("holding", flush=True)
sys.stdin.read()
"""


def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=TESTS.parent,
        env=ENVIRONMENT,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"holding\n"
        store = LanceReplay(tmp_path, CONFIG)
        with pytest.raises(SecondWriterError, match=f"written by process {holder.pid}"):
            store.append(make_episode(3, 2, 3))
        assert len(store) == 3
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    store.append(make_episode(3, 2, 3))
    assert len(store) == 6


def test_close_lets_the_next_writer_in(tmp_path: Path) -> None:
    first, second = LanceReplay(tmp_path, CONFIG), LanceReplay(tmp_path, CONFIG)
    first.append(make_episode(0, 0, 3))
    with pytest.raises(SecondWriterError, match=f"process {os.getpid()}"):
        second.append(make_episode(3, 2, 3))
    first.close()
    second.append(make_episode(3, 2, 3))
    assert steps_of(second) == list(range(6))


def test_an_append_forces_its_files_to_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    really = os.fsync

    def fsync(handle: int) -> None:
        synced.add(str(Path(f"/proc/self/fd/{handle}").readlink()))
        really(handle)

    store = LanceReplay(tmp_path, CONFIG)
    store.append(make_episode(0, 0, 3))
    before = {str(path) for path in table_folder(tmp_path).rglob("*") if path.is_file()}
    monkeypatch.setattr(os, "fsync", fsync)
    store.append(make_episode(3, 2, 3))
    fresh = {str(p) for p in table_folder(tmp_path).rglob("*") if p.is_file()} - before
    assert {Path(name).parent.name for name in fresh} == {"data", "_transactions", "_versions"}
    assert fresh <= synced
    assert {str(Path(name).parent) for name in fresh} <= synced


def test_an_append_whose_sync_fails_is_finished_by_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LanceReplay(tmp_path, CONFIG)
    store.append(make_episode(0, 0, 3))
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "I/O error")))
    with pytest.raises(DamagedTableError, match="cannot be appended to"):
        store.append(make_episode(3, 2, 3))
    monkeypatch.setattr(os, "fsync", synced.append)
    assert store.append([*make_episode(3, 2, 3), make_transition(6, 4)]) == 7
    assert steps_of(store) == list(range(7))
    assert len(synced) > 4


def test_a_table_removed_while_it_is_open_is_named_and_not_begun_anew(tmp_path: Path) -> None:
    store, reader = LanceReplay(tmp_path, CONFIG), LanceReplay(tmp_path, CONFIG)
    store.append(make_episode(0, 0, 5))
    assert len(reader) == 5
    shutil.rmtree(table_folder(tmp_path))
    for replay in (store, reader):
        with pytest.raises(DamagedTableError, match=r"'transitions' in .* was removed while"):
            replay.sample(4, 2, np.random.default_rng(0))
    with pytest.raises(DamagedTableError, match=r"'transitions' in .* was removed while"):
        store.append(make_episode(5, 2, 5))
    assert not table_folder(tmp_path).exists()


def test_a_file_cut_short_while_the_table_is_open_is_named(tmp_path: Path) -> None:
    LanceReplay(tmp_path, CONFIG).append(make_episode(0, 0, 40, size=16))
    reader = LanceReplay(tmp_path, CONFIG)
    (file,) = (table_folder(tmp_path) / "data").iterdir()
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DamagedTableError, match=r"'transitions' in .* cannot be read"):
        reader.sample(16, 2, np.random.default_rng(0))


def test_a_full_disk_is_named_and_the_same_rows_can_be_handed_over_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LanceReplay(tmp_path, CONFIG)
    store.append(make_episode(0, 0, 3))
    with monkeypatch.context() as broken:

        def add(*_: object, **__: object) -> None:
            raise RuntimeError("lance error: LanceError(IO): No space left on device (os error 28)")

        broken.setattr(LanceTable, "add", add)
        with pytest.raises(
            DiskFullError, match=r"'transitions' .* cannot be appended to: the disk"
        ):
            store.append(make_episode(3, 2, 3))
    assert steps_of(store) == [0, 1, 2]
    store.append(make_episode(3, 2, 3))
    assert steps_of(store) == list(range(6))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of a few megabytes; skip where mounting is not allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a small file system")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_stops_appends_and_merges_and_both_go_on_afterwards(small_disk: Path) -> None:
    folder = small_disk / "memory"
    store = LanceReplay(folder, CONFIG)

    def fill() -> None:
        for step in range(0, 2000, 20):
            store.append(make_episode(step, step, 20, size=32))

    with pytest.raises(DiskFullError, match="appended to"):
        fill()
    end = store.version
    assert steps_of(LanceReplay(folder, CONFIG)) == list(range(end))
    files = sorted((table_folder(folder) / "data").iterdir())
    with pytest.raises(DiskFullError, match="compacted"):
        merge_tiers(folder, TRANSITIONS)
    assert sorted((table_folder(folder) / "data").iterdir()) == files
    subprocess.run(["mount", "-o", "remount,size=30m", str(small_disk)], check=True)
    store.append(make_episode(end, end, 20, size=32))
    assert merge_tiers(folder, TRANSITIONS) > 0
    assert steps_of(store) == list(range(end + 20))


MERGER = """
import sys
from pathlib import Path
import memory.care.merging

memory.care.merging.FAN_IN = 2
while True:
    memory.care.merging.merge_tiers(Path(sys.argv[1]), "transitions")
    print("merged", flush=True)
"""


@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_merge_loses_no_row(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    store = LanceReplay(tmp_path, CONFIG)
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", MERGER, str(tmp_path)],
            stdout=subprocess.PIPE,
            cwd=TESTS.parent,
            env=ENVIRONMENT,
        ) as merger:
            assert merger.stdout is not None
            for _ in range(int(rng.integers(1, 4))):
                merger.stdout.readline()
                for _ in range(int(rng.integers(1, 9))):
                    store.append(make_episode(store.version, store.version, 5, size=16))
            merger.send_signal(signal.SIGKILL)
        assert steps_of(LanceReplay(tmp_path, CONFIG)) == list(range(store.version))
    assert store.version >= 20
    memory.care.merging.merge_tiers(tmp_path, TRANSITIONS)
    assert steps_of(store) == list(range(store.version))


def plain_table(folder: Path, num_rows: int) -> None:
    """Write a table as format 1 did: plain frames, one more column, no note about pixels."""
    schema = transitions_schema(8, 8, NUM_OBJECTS, len(OBJECT_FEATURES))
    notes = {key: value for key, value in schema.metadata.items() if key != b"pixels"}
    schema = schema.insert(2, pa.field("base_version", pa.int64(), nullable=False))
    schema = schema.with_metadata(notes)
    rows = []
    for row in make_episode(0, 0, num_rows):
        seen, act = row.observation, row.action
        assert seen.instances is not None
        values = {
            "base_version": 1,
            "stamp_ns": seen.stamp_ns,
            "rgb": seen.rgb.tobytes(),
            "depth_mm": to_millimetres(seen.depth_m).tobytes(),
            "instances": seen.instances.astype(np.uint16).tobytes(),
            "labels": list(seen.labels),
            "T_world_camera": seen.T_world_camera.ravel(),
            "egomotion": seen.egomotion,
            "bumped": seen.bumped,
            "battery": seen.battery,
            "action": [act.v_mps, act.w_radps, act.duration_s],
            "action_source": act.source,
            "objects": row.objects.ravel(),
        }
        rows.append({name: values.get(name, getattr(row, name, None)) for name in schema.names})
    folder.mkdir()
    (folder / FORMAT_FILE).write_text('{"format": 1}')
    table = connect(folder).create_table(TRANSITIONS, schema=schema)
    table.add(pa.Table.from_pylist(rows, schema=schema))


def test_a_table_of_format_one_is_read_and_appended_to_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    plain_table(folder, 6)
    store = LanceReplay(folder, CONFIG)
    assert read_format(folder) == FORMAT_VERSION
    store.append(make_episode(6, 2, 4))
    for replay in (store, LanceReplay(folder, CONFIG)):
        for stored, row in zip(
            replay.read(0, 10), [*make_episode(0, 0, 6), *make_episode(6, 2, 4)], strict=True
        ):
            np.testing.assert_array_equal(stored.observation.rgb, row.observation.rgb)
            np.testing.assert_array_equal(stored.observation.instances, row.observation.instances)
            np.testing.assert_allclose(
                stored.observation.depth_m, row.observation.depth_m, atol=5.1e-4
            )
            assert (stored.step, stored.action) == (row.step, row.action)
