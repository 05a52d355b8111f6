"""The replay table on disk: round trip, other readers, compaction, crashes, damage."""

import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import lance
import numpy as np
import pytest
from fakes_memory import make_episode, make_transition

import memory.care.merging
from memory.config import ReplayConfig
from memory.errors import DamagedTableError, NewerFormatError, RefusedRowError, StoreError
from memory.format import FORMAT_FILE
from memory.records import Transition
from memory.replay.store import LanceReplay

CONFIG = ReplayConfig()
COLD = ReplayConfig(hot_mib=0)


def assert_same(stored: Transition, row: Transition) -> None:
    a, b = stored.observation, row.observation
    np.testing.assert_array_equal(a.rgb, b.rgb)
    np.testing.assert_allclose(a.depth_m, b.depth_m, atol=5.1e-4)
    np.testing.assert_array_equal(np.isnan(a.depth_m), np.isnan(b.depth_m))
    assert (a.instances is None) == (b.instances is None)
    if a.instances is not None:
        np.testing.assert_array_equal(a.instances, b.instances)
    for name in ("stamp_ns", "labels", "bumped", "battery"):
        assert getattr(a, name) == getattr(b, name), name
    np.testing.assert_array_equal(a.T_world_camera, b.T_world_camera)
    np.testing.assert_array_equal(a.egomotion, b.egomotion)
    assert stored.action == row.action
    for name in ("step", "episode_id", "is_first", "is_last", "is_terminal", "checkpoint_id"):
        assert getattr(stored, name) == getattr(row, name), name
    np.testing.assert_array_equal(stored.surprise, row.surprise)
    for name in ("pose", "objects", "object_slots"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(row, name))
        assert getattr(stored, name).dtype == getattr(row, name).dtype


def test_rows_come_back_whole(tmp_path: Path) -> None:
    store = LanceReplay(tmp_path, CONFIG)
    rows = make_episode(0, 0, 5)
    object.__setattr__(rows[2].observation, "instances", None)
    object.__setattr__(rows[3], "surprise", 1.5)
    store.append(rows[:3])
    store.append(rows[3:])
    for stored, row in zip(store.read(0, 9), rows, strict=True):
        assert_same(stored, row)
    assert [row.step for row in store.read(3, 1)] == [3]
    assert store.read(9, 1) == []


def test_depth_comes_back_within_half_a_millimetre_or_as_nan(tmp_path: Path) -> None:
    row = make_transition(0, 0)
    row.observation.depth_m[1, :6] = (0.0, 0.0004, 0.0006, np.inf, 70.0, 65.535)
    store = LanceReplay(tmp_path, CONFIG)
    store.append([row])
    depth = store.read(0, 1)[0].observation.depth_m
    np.testing.assert_allclose(
        depth[1, :6], (np.nan, np.nan, 0.001, np.nan, 65.535, 65.535), rtol=1e-6
    )


def test_an_instance_number_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    row = make_transition(0, 0)
    assert row.observation.instances is not None
    row.observation.instances[0, 0] = 70_000
    store = LanceReplay(tmp_path, CONFIG)
    with pytest.raises(RefusedRowError, match=r"step 0 is refused: instance numbers .* to 70000"):
        store.append([row])
    assert len(store) == 0


def test_a_reader_that_was_opened_first_sees_new_rows(tmp_path: Path) -> None:
    reader = LanceReplay(tmp_path, CONFIG)
    writer = LanceReplay(tmp_path, CONFIG)
    writer.append(make_episode(0, 0, 4))
    assert len(reader) == 4
    writer.append(make_episode(4, 2, 4))
    assert reader.last_step() == 7
    assert reader.version == writer.version


def fill(store: LanceReplay, num_appends: int, rows: int = 3) -> None:
    """Append episodes of a few rows each, on top of what is there."""
    for _ in range(num_appends):
        step = store.last_step() + 1
        store.append(make_episode(step, step // rows * 2, rows))


def num_files(folder: Path) -> int:
    return len(lance.dataset(str(folder / "transitions.lance")).get_fragments())


def test_compaction_keeps_rows_order_and_pinned_versions(tmp_path: Path) -> None:
    store = LanceReplay(tmp_path, CONFIG)
    fill(store, 20)
    version = store.version
    pinned = store.at_version(version)
    before = pinned.sample(16, 2, np.random.default_rng(0))
    store.compact()
    assert num_files(tmp_path) == 1
    assert store.version == version
    assert [row.step for row in store.read(0, 99)] == list(range(60))
    for view in (pinned, store, store.at_version(version)):
        after = view.sample(16, 2, np.random.default_rng(0))
        np.testing.assert_array_equal(after.rgb, before.rgb)
        np.testing.assert_array_equal(after.depth_m, before.depth_m)
    fill(store, 1)
    assert [row.step for row in store.read(58, 9)] == [58, 59, 60, 61, 62]


def test_a_round_repeats_after_its_files_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory.care.merging, "KEEP_VERSIONS", timedelta(0))
    store = LanceReplay(tmp_path, COLD)
    fill(store, 20)
    version = store.version
    view = store.at_version(version)
    first = view.sample(64, 3, np.random.default_rng(7))
    files = {file.name for file in (tmp_path / "transitions.lance" / "data").iterdir()}
    fill(store, 5)
    store.compact()
    store.compact()
    assert files.isdisjoint(file.name for file in (tmp_path / "transitions.lance/data").iterdir())
    again = LanceReplay(tmp_path, COLD).at_version(version)
    for replay in (view, again):
        batch = replay.sample(64, 3, np.random.default_rng(7))
        for name in ("rgb", "depth_m", "action", "pose", "objects", "step"):
            np.testing.assert_array_equal(getattr(batch, name), getattr(first, name))


def test_files_of_a_full_tier_are_never_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory.care.merging, "TIERS_ROWS", (12, 48))
    monkeypatch.setattr(memory.care.merging, "FAN_IN", 4)
    store = LanceReplay(tmp_path, CONFIG)
    rewritten, counts = 0, []
    for _ in range(60):
        fill(store, 4)
        before = {
            f.fragment_id
            for f in lance.dataset(str(tmp_path / "transitions.lance")).get_fragments()
        }
        store.compact()
        fragments = lance.dataset(str(tmp_path / "transitions.lance")).get_fragments()
        rewritten += sum(f.physical_rows for f in fragments if f.fragment_id not in before)
        counts.append(len(fragments))
    assert rewritten <= 3 * len(store)
    assert len(store) == 720
    assert counts[-1] <= 720 / 48 + 8
    assert [row.step for row in store.read(0, 999)] == list(range(720))


def test_a_table_that_is_compact_is_left_alone(tmp_path: Path) -> None:
    store = LanceReplay(tmp_path, CONFIG)
    store.compact()
    store.append(make_episode(0, 0, 4))
    version = store.version
    store.compact()
    assert store.version == version


def test_a_failing_compaction_is_told_with_the_table_s_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory.care.merging, "FAN_IN", 2)
    store = LanceReplay(tmp_path, CONFIG)
    fill(store, 2)
    for file in (tmp_path / "transitions.lance" / "data").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(StoreError, match=r"table 'transitions' in .* cannot be compacted"):
        store.compact()


def test_appends_and_reads_go_on_during_compaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory.care.merging, "FAN_IN", 2)
    store = LanceReplay(tmp_path, CONFIG)
    store.append(make_episode(0, 0, 40))
    errors: list[BaseException] = []
    done = threading.Event()

    def keep_compacting() -> None:
        try:
            while not done.is_set():
                store.compact()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=keep_compacting)
    thread.start()
    try:
        for step in range(40, 240, 10):
            store.append(make_episode(step, step // 5, 10))
            store.sample(4, 4, np.random.default_rng(step))
    finally:
        done.set()
        thread.join()
    assert errors == []
    assert [row.step for row in store.read(0, 999)] == list(range(240))


WRITER = """
import sys
from pathlib import Path
from fakes_memory import make_episode
from memory.config import ReplayConfig
from memory.replay.store import LanceReplay

store = LanceReplay(Path(sys.argv[1]), ReplayConfig())
step = store.last_step() + 1
while True:
    store.append(make_episode(step, step, 7))
    step += 7
    print(step, flush=True)
"""


@pytest.mark.slow
def test_a_kill_in_the_middle_of_appends_loses_no_reported_row(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tests = Path(__file__).parents[2]
    committed = 0
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=tests.parent,
            env={"PYTHONPATH": f"{tests}:{tests.parent}", "PATH": "/usr/bin"},
        ) as process:
            assert process.stdout is not None
            for _ in range(int(rng.integers(1, 12))):
                committed = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            # what it had reported before the signal arrived counts too
            for line in process.stdout:
                committed = int(line)
        store = LanceReplay(tmp_path, CONFIG)
        assert len(store) >= committed
        assert len(store) % 7 == 0
        rows = store.read(0, len(store))
        assert [row.step for row in rows] == list(range(len(store)))
        assert_same(rows[-1], make_transition(len(store) - 1, len(store) - 7, is_last=True))
        store.close()


def test_a_process_killed_while_it_made_the_table_left_nothing(tmp_path: Path) -> None:
    LanceReplay(tmp_path, CONFIG)
    (tmp_path / "transitions.lance" / "_versions").mkdir(parents=True)
    store = LanceReplay(tmp_path, CONFIG)
    assert len(store) == 0
    store.append(make_episode(0, 0, 3))
    assert len(LanceReplay(tmp_path, CONFIG)) == 3


@pytest.mark.parametrize("what", ["manifests", "no manifests", "data", "no data"])
def test_a_damaged_table_is_named_and_left_alone(tmp_path: Path, what: str) -> None:
    LanceReplay(tmp_path, CONFIG).append(make_episode(0, 0, 5))
    table = tmp_path / "transitions.lance"
    for file in (table / ("_versions" if "manifests" in what else "data")).iterdir():
        if what.startswith("no"):
            file.unlink()
        else:
            file.write_bytes(b"damage" * 20)
    before = sorted((p, p.stat().st_size) for p in tmp_path.rglob("*") if p.is_file())
    with pytest.raises(DamagedTableError, match=f"'transitions' in {tmp_path} cannot be"):
        LanceReplay(tmp_path, CONFIG)
    assert sorted((p, p.stat().st_size) for p in tmp_path.rglob("*") if p.is_file()) == before


def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    LanceReplay(tmp_path, CONFIG).append(make_episode(0, 0, 5))
    (tmp_path / FORMAT_FILE).write_text('{"format": 9}')
    with pytest.raises(
        NewerFormatError, match=r"has format 9 and this program knows formats up to"
    ):
        LanceReplay(tmp_path, CONFIG)
    assert (tmp_path / FORMAT_FILE).read_text() == '{"format": 9}'
