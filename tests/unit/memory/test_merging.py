"""Merging files beside appends, reads and other merges loses no row, and one window is one."""

import subprocess
import sys
import threading
from pathlib import Path

import lance
import numpy as np
import pytest
from fakes_memory import make_episode
from fakes_stored import store_episodes

import memory.care.merging
from memory.care.access import open_tables
from memory.care.merging import care_turn, merge_all, merge_tiers
from memory.care.stats import table_stats
from memory.config import ReplayConfig
from memory.replay.store import LanceReplay
from memory.vectors import index
from memory.vectors.index import VectorSearch, refresh_indexes
from memory.vectors.tables import EmbeddingTables, open_vectors, table_name


def steps(folder: Path) -> list[int]:
    found = open_tables(folder)["transitions"].to_arrow(columns=["step"])["step"].to_pylist()
    return sorted(found)


def test_readers_see_whole_windows_while_files_are_merged(tmp_path: Path) -> None:
    store = LanceReplay(tmp_path, ReplayConfig(hot_mib=0))
    for episode in range(20):
        store.append(make_episode(episode * 5, episode, 5))
    other = LanceReplay(tmp_path, ReplayConfig(hot_mib=0))
    over, merges, errors = threading.Event(), [0], []

    def merge() -> None:
        try:
            while not over.is_set():
                merge_all(tmp_path, "transitions")
                merges[0] += 1
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=merge)
    thread.start()
    try:
        for episode in range(20, 60):
            store.append(make_episode(episode * 5, episode, 5))
            for reader in (store, other):
                batch = reader.sample(4, 4, np.random.default_rng(episode))
                assert (np.diff(batch.step, axis=1) == 1).all()
    finally:
        over.set()
        thread.join()
    assert errors == []
    assert merges[0] > 0
    assert [row.step for row in store.read(0, 999)] == list(range(300))
    assert [row.step for row in other.read(0, 999)] == list(range(300))


def test_files_behind_a_merged_one_are_merged_into_it(tmp_path: Path) -> None:
    store_episodes(tmp_path, (5,) * 12)
    assert merge_all(tmp_path, "transitions") == 12
    store_episodes(tmp_path, (5,) * 3)
    merge_all(tmp_path, "transitions")
    assert steps(tmp_path) == list(range(75))
    assert table_stats(open_tables(tmp_path)["transitions"]).fragments == 1
    assert merge_all(tmp_path, "transitions") == 0


def test_deleted_rows_leave_the_files(tmp_path: Path) -> None:
    store_episodes(tmp_path, (40, 40, 40))
    open_tables(tmp_path)["transitions"].table.delete("step >= 30 AND step < 100")
    merge_all(tmp_path, "transitions")
    stats = table_stats(open_tables(tmp_path)["transitions"])
    assert (stats.rows, stats.fragments) == (50, 1)
    assert stats.bytes_per_row * 50 == stats.bytes
    assert steps(tmp_path) == [*range(30), *range(100, 120)]


def test_deleted_rows_leave_a_lone_file(tmp_path: Path) -> None:
    store_episodes(tmp_path, (40,))
    open_tables(tmp_path)["transitions"].table.delete("step < 1")
    merge_all(tmp_path, "transitions")
    assert steps(tmp_path) == list(range(1, 40))
    stats = table_stats(open_tables(tmp_path)["transitions"])
    assert stats.bytes_per_row * 39 == stats.bytes


def test_the_background_writes_a_full_file_again_only_when_much_of_it_was_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory.care.merging, "TIERS_ROWS", (10, 40))
    store_episodes(tmp_path, (40, 40))
    table = open_tables(tmp_path)["transitions"].table
    table.delete("step < 4")
    assert merge_tiers(tmp_path, "transitions") == 0
    table.delete("step < 5")
    assert merge_tiers(tmp_path, "transitions") == 1
    files = lance.dataset(str(tmp_path / "transitions.lance")).get_fragments()
    assert sorted(file.physical_rows for file in files) == [35, 40]
    assert steps(tmp_path) == list(range(5, 80))


def test_a_table_with_an_index_is_found_through_it_after_a_merge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "INDEX_FROM", 300)
    monkeypatch.setattr(memory.care.merging, "FAN_IN", 4)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tables = EmbeddingTables(tmp_path)
    ids = np.arange(1, 601)
    for first in range(0, 600, 100):
        tables.add("e", ids[first : first + 100], vectors[first : first + 100].astype(np.float16))
        if first == 300:
            assert refresh_indexes(tmp_path) == ["e"]
    tables.remove("e", ids[:50].tolist())
    assert merge_tiers(tmp_path, table_name("e")) == 6
    table = open_vectors(tmp_path, "e")
    assert table is not None
    assert table.count_rows() == 550
    assert table.list_indices()
    search = VectorSearch(tmp_path, table)
    for view in (51, 200, 600):
        kept = ids[50:]
        best = search.best_slots(vectors[view - 1], kept, kept, kept, 3)
        assert next(iter(best)) == view


TESTS = Path(__file__).parents[2]

HOLDER = """
import sys
from pathlib import Path
from memory.care.merging import care_turn

with care_turn(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_and_a_killed_one_holds_nobody_up(tmp_path: Path) -> None:
    store_episodes(tmp_path, (5,) * 4)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=TESTS.parent,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        merged = threading.Event()

        def merge() -> None:
            merge_all(tmp_path, "transitions")
            merged.set()

        thread = threading.Thread(target=merge)
        thread.start()
        LanceReplay(tmp_path, ReplayConfig()).append(make_episode(20, 4, 5))
        assert not merged.is_set()
        holder.kill()
        thread.join(60)
    assert merged.is_set()
    assert steps(tmp_path) == list(range(25))
    with care_turn(tmp_path):
        pass
