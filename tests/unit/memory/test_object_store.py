"""A memory whose tables lie on object storage: the same life, with and without the network."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes_memory import SPEC, Box, look_at, make_episode, observe
from object_store import BUCKET, KEYS, ObjectStore, object_store

from memory.care.access import open_tables
from memory.care.fsck import check_memory
from memory.care.fsck_repair import Repairer
from memory.care.fsck_types import Finding, Repair
from memory.care.merging import merge_tiers
from memory.care.stats import memory_stats
from memory.care.upkeep import compact_tables, keep_small
from memory.claim import settle_place
from memory.config import MemoryConfig, ObjectConfig, ReplayConfig
from memory.errors import StoreAwayError, StoreError
from memory.objects.memory import SlotMemory
from memory.place import PLACE_FILE
from memory.records import Transition
from memory.replay.spool import rows_waiting
from memory.replay.spooled import SpooledReplay
from memory.replay.store import LanceReplay
from memory.search.home import SlotSearch
from memory.search.query import SlotQuery
from memory.tables import drop_table, table_bytes, table_names

BOXES = [Box(label="chair", xyz_m=(2.0, -0.8, 0.45), extent_m=(0.5, 0.5, 0.9))]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """A server with an empty bucket, and the keys to it in the environment."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with object_store() as served:
        yield served


def settings(store: ObjectStore, prefix: str = "life", **more: object) -> MemoryConfig:
    storage = {
        "uri": f"s3://{BUCKET}/{prefix}",
        "endpoint": store.endpoint,
        "allow_http": True,
        "retry_s": 0.0,
        **more,
    }
    return MemoryConfig.model_validate({"storage": storage})


Born = Callable[..., SpooledReplay]


@pytest.fixture
def born(store: ObjectStore) -> Iterator[Born]:
    """Return what opens the replay store of a life elsewhere; closed at the end."""
    opened: list[SpooledReplay] = []

    def open_one(
        folder: Path, config: MemoryConfig, tell: Callable[[str], None] = lambda text: None
    ) -> SpooledReplay:
        settle_place(folder, config.storage)
        opened.append(SpooledReplay(folder, config, tell))
        return opened[-1]

    yield open_one
    for replay in opened:
        replay.close()


def put(replay: SpooledReplay, rows: list[Transition]) -> int:
    """Append rows and let one attempt to write them pass; return the version then."""
    replay.append(rows)
    replay.settle(60.0)
    return replay.append([])


def assert_same_rows(elsewhere: LanceReplay, here: LanceReplay) -> None:
    assert (len(elsewhere), elsewhere.version) == (len(here), here.version)
    for first in range(0, len(here), 8):
        a, b = (
            [(r.step, r.episode_id, r.surprise, r.observation.rgb.tobytes()) for r in rows]
            for rows in (elsewhere.read(first, 8), here.read(first, 8))
        )
        np.testing.assert_equal(a, b)


def assert_same_samples(a: LanceReplay, b: LanceReplay) -> None:
    x, y = (replay.sample(4, 3, np.random.default_rng(5)) for replay in (a, b))
    np.testing.assert_array_equal(x.step, y.step)
    np.testing.assert_array_equal(x.rgb, y.rgb)


def test_a_life_elsewhere_reads_like_one_at_home(
    store: ObjectStore, born: Born, tmp_path: Path
) -> None:
    config = settings(store)
    replay = born(tmp_path / "far", config)
    here = LanceReplay(tmp_path / "near", config.replay)
    for number in range(4):
        rows = make_episode(10 * number, number, 10)
        assert put(replay, rows) == here.append(rows) == 10 * number + 10
    # another process is given the folder alone
    reader = LanceReplay(tmp_path / "far", ReplayConfig(hot_mib=0))
    assert_same_rows(reader, here)
    assert_same_samples(reader, here)
    assert_same_samples(reader.at_version(25), here.at_version(25))
    assert not list((tmp_path / "far").glob("*.lance"))
    assert replay.rows_waiting == 0
    assert replay.disk_bytes() == table_bytes(tmp_path / "far", "transitions") > 10_000


def test_rows_of_an_outage_wait_on_the_disk_and_arrive_in_order(
    store: ObjectStore, born: Born, tmp_path: Path
) -> None:
    config, told = settings(store), list[str]()
    replay = born(tmp_path / "far", config, told.append)
    here = LanceReplay(tmp_path / "near", config.replay)
    for number in range(6):
        rows = make_episode(10 * number, number, 10)
        if number == 2:
            store.stop()
        elif number == 5:
            store.start()
        assert put(replay, rows) == (20 if 2 <= number < 5 else 10 * number + 10)
        assert replay.rows_waiting == (10 * (number - 1) if 2 <= number < 5 else 0)
        here.append(rows)
        if number == 3:
            with pytest.raises(StoreAwayError, match=r"s3://lives/life at .* cannot be reached"):
                replay.sample(2, 3, np.random.default_rng(1))
    assert_same_rows(replay, here)
    assert_same_rows(LanceReplay(tmp_path / "far", config.replay), here)
    assert len(told) == 2
    assert "cannot be reached" in told[0]
    assert told[1] == "the store is back, no rows wait any more"
    # six appends; those of the outage cost the store one file, or two if it was back between them
    assert memory_stats(tmp_path / "far").tables[0].fragments in (3, 4)


def test_a_store_that_is_away_is_not_asked_again_at_once(
    store: ObjectStore, born: Born, tmp_path: Path
) -> None:
    replay = born(tmp_path, settings(store, retry_s=3600.0))
    store.stop()
    put(replay, make_episode(0, 0, 5))
    store.start()
    before = store.num_requests
    put(replay, make_episode(5, 1, 5))
    assert (replay.rows_waiting, store.num_requests) == (10, before)


def test_a_restart_writes_what_was_left_waiting(
    store: ObjectStore, born: Born, tmp_path: Path
) -> None:
    config = settings(store)
    replay = born(tmp_path, config)
    put(replay, make_episode(0, 0, 10))
    store.stop()
    put(replay, make_episode(10, 1, 10))
    replay.close()
    with pytest.raises(StoreAwayError, match="cannot be reached: connection refused"):
        born(tmp_path, config)
    assert rows_waiting(tmp_path) == 10
    store.start()
    assert memory_stats(tmp_path).rows_waiting == 10
    again = born(tmp_path, config)
    assert (rows_waiting(tmp_path), len(again), again.last_step()) == (0, 20, 19)
    assert put(again, make_episode(20, 2, 5)) == 25


def test_rows_whose_answer_was_lost_are_not_written_twice(
    store: ObjectStore, born: Born, tmp_path: Path
) -> None:
    replay = born(tmp_path, settings(store))
    put(replay, make_episode(0, 0, 10))
    lost: list[str] = []

    def lose_commits(method: str, path: str) -> bool:
        if method == "PUT" and "transitions.lance/_versions/" in path:
            lost.append(path)
            return True
        return False

    store.loses_answer = lose_commits
    put(replay, make_episode(10, 1, 10))
    store.loses_answer = lambda method, path: False
    put(replay, make_episode(20, 2, 10))
    assert lost
    steps = open_tables(tmp_path)["transitions"].to_arrow(columns=["step"])["step"].to_pylist()
    assert steps == list(range(30))
    assert replay.rows_waiting == 0


_KILLED = """
import os, signal, sys
from pathlib import Path
from fakes_memory import make_episode
from memory.config import MemoryConfig
from memory.replay.spooled import SpooledReplay
replay = SpooledReplay(Path(sys.argv[1]), MemoryConfig())
Path.unlink = lambda path, **_: os.kill(os.getpid(), signal.SIGKILL)
replay.append(make_episode(10, 1, 10))
replay.settle(60.0)
"""


def test_a_kill_between_writing_and_removing_writes_nothing_twice(
    store: ObjectStore, born: Born, tmp_path: Path
) -> None:
    config = settings(store)
    replay = born(tmp_path, config)
    put(replay, make_episode(0, 0, 10))
    replay.close()
    path = os.pathsep.join(entry for entry in sys.path if entry)
    child = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path)], env=os.environ | {"PYTHONPATH": path}
    )
    assert child.returncode == -signal.SIGKILL
    assert rows_waiting(tmp_path) == 10
    assert len(LanceReplay(tmp_path, config.replay)) == 20
    again = born(tmp_path, config)
    steps = open_tables(tmp_path)["transitions"].to_arrow(columns=["step"])["step"].to_pylist()
    assert steps == list(range(20))
    assert (again.rows_waiting, len(again)) == (0, 20)


def look(memory: SlotMemory, first: int, count: int = 6) -> None:
    for step in range(first, first + count):
        eye = (0.0, -1.0 + 0.3 * (step % 7))
        memory.update(*observe(BOXES, look_at(eye, (2.0, 0.0)), step), step)


def test_objects_come_back_and_changes_of_an_outage_follow(
    store: ObjectStore, tmp_path: Path
) -> None:
    settle_place(tmp_path, settings(store).storage)
    memory = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    look(memory, 0)
    assert memory.flush() > 0
    store.stop()
    look(memory, 6)
    with pytest.raises(StoreAwayError, match="cannot be reached"):
        memory.flush()
    assert memory.slots()[0].last_seen_step == 11
    store.start()
    assert memory.flush() > 0
    again = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    (slot,), (found,) = memory.slots(), again.slots()
    assert (found.slot_id, found.num_hits, found.last_seen_step) == (
        slot.slot_id,
        slot.num_hits,
        11,
    )
    assert again.num_views() == memory.num_views() > 0
    for a, b in zip(memory.views(slot.slot_id), again.views(slot.slot_id), strict=True):
        np.testing.assert_array_equal(a.crop, b.crop)
    assert [row["label"] for row in SlotSearch(tmp_path).find(SlotQuery(text="chair"))] == ["chair"]
    for name in ("slots", "views", "events"):
        merge_tiers(tmp_path, name)
    assert len(SlotMemory(tmp_path, ObjectConfig(), SPEC).slots()) == 1


def test_files_are_merged_elsewhere_without_moving_or_losing_rows(
    store: ObjectStore, born: Born, tmp_path: Path
) -> None:
    config = settings(store)
    replay = born(tmp_path / "far", config)
    here = LanceReplay(tmp_path / "near", config.replay)
    for number in range(18):
        rows = make_episode(2 * number, number, 2)
        put(replay, rows)
        here.append(rows)
    assert merge_tiers(tmp_path / "far", "transitions") == 18
    put(replay, make_episode(36, 18, 2))
    here.append(make_episode(36, 18, 2))
    assert_same_rows(replay, here)
    (done,) = compact_tables(tmp_path / "far")
    assert (done.fragments, done.name) == (1, "transitions")
    assert_same_rows(LanceReplay(tmp_path / "far", config.replay), here)
    assert check_memory(tmp_path / "far", deep=True) == []


def test_merges_and_appends_at_once_lose_nothing(
    store: ObjectStore, born: Born, tmp_path: Path
) -> None:
    """Both commit by a conditional write: the store lets one through, the other goes after it."""
    config = settings(store)
    replay = born(tmp_path, config)
    for number in range(17):
        put(replay, make_episode(2 * number, number, 2))
    merges: list[int] = []

    def merge() -> None:
        for _ in range(3):
            merges.append(merge_tiers(tmp_path, "transitions"))

    merger = threading.Thread(target=merge)
    merger.start()
    number = 17
    while merger.is_alive() or number < 40:
        put(replay, make_episode(2 * number, number, 2))
        number += 1
    merger.join()
    assert len(merges) == 3
    assert merges[0] >= 17
    reader = LanceReplay(tmp_path, config.replay)
    assert [row.step for row in reader.read(0, 2 * number)] == list(range(2 * number))
    assert len(replay) == 2 * number


def test_a_budget_is_kept_elsewhere(store: ObjectStore, born: Born, tmp_path: Path) -> None:
    config = settings(store)
    replay = born(tmp_path, config)
    for number in range(20):
        put(replay, make_episode(100 * number, number, 100))
    num_bytes = memory_stats(tmp_path).tables[0].bytes
    budget = {"budget_bytes": max(num_bytes // 2, 1 << 20), "min_training_rows": 0}
    limited = config.model_copy(
        update={"retention": config.retention.model_validate(budget | {"min_probe_rows": 0})}
    )
    plan = keep_small(tmp_path, limited)
    assert sum(plan.dropped.values()) > 0
    assert len(LanceReplay(tmp_path, config.replay)) == 2000 - sum(plan.dropped.values())


def test_what_cannot_be_reached_or_used_is_named(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = settings(store).storage.model_copy(update={"uri": "s3://nobody/life"})
    with pytest.raises(StoreAwayError, match=r"s3://nobody/life.* there is no such bucket"):
        settle_place(tmp_path / "a", nowhere)
    # a wrong address can be mended as long as nothing was stored
    assert settle_place(tmp_path / "a", settings(store).storage) is not None
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match="environment lacks AWS_SECRET_ACCESS_KEY"):
        settle_place(tmp_path / "b", settings(store).storage)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    store.post("/moto-api/reset-auth", b"0")
    try:
        with pytest.raises(StoreAwayError, match="refuses the credentials in AWS_") as caught:
            settle_place(tmp_path / "c", settings(store).storage)
    finally:
        store.post("/moto-api/reset-auth", b"inf")
    assert "s3cr3t" not in str(caught.value)
    assert "s3cr3t" not in (tmp_path / "c" / PLACE_FILE).read_text()


def test_a_place_has_one_life_and_a_life_one_place(
    store: ObjectStore, born: Born, tmp_path: Path
) -> None:
    config = settings(store)
    born(tmp_path / "first", config).close()
    with pytest.raises(StoreError, match="belongs to another life"):
        born(tmp_path / "second", config)
    with pytest.raises(StoreError, match=r"memory\.storage\.uri says s3://lives/other"):
        settle_place(tmp_path / "first", settings(store, "other").storage)
    LanceReplay(tmp_path / "local", ReplayConfig())
    with pytest.raises(StoreError, match=r"lie in .*local, and memory.storage.uri says"):
        settle_place(tmp_path / "local", settings(store, "third").storage)
    # not set: where the tables are
    place = settle_place(tmp_path / "first", MemoryConfig().storage)
    assert place is not None
    assert place.uri == f"s3://{BUCKET}/life"


def test_repairs_that_move_files_are_refused_with_the_setting(
    store: ObjectStore, born: Born, tmp_path: Path
) -> None:
    put(born(tmp_path, settings(store)), make_episode(0, 0, 5))
    assert table_names(tmp_path) == ["transitions"]
    for kind in ("restore", "salvage"):
        repair = Repair(kind=kind, text="")
        finding = Finding(level="error", table="transitions", key="", found="", repair=repair)
        with pytest.raises(StoreError, match=r"lie in s3://lives/life.*memory\.storage\.uri"):
            Repairer(tmp_path, "now").carry_out(finding)
    drop_table(tmp_path, "transitions")
    assert table_names(tmp_path) == []
