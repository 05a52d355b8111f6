"""Merging files beside appends keeps every row at its place."""

import threading
from pathlib import Path

import numpy as np
from fakes_memory import make_episode
from fakes_stored import store_episodes

from memory.care.access import open_tables
from memory.care.merging import merge_files
from memory.care.stats import table_stats
from memory.config import ReplayConfig
from memory.replay.store import LanceReplay


def steps(folder: Path, version: int | None = None) -> list[int]:
    table = open_tables(folder)["transitions"].table
    if version is not None:
        table.checkout(version)
    return table.search().select(["step"]).to_arrow()["step"].to_pylist()


def test_rows_stay_in_order_in_every_version_that_a_reader_could_see(tmp_path: Path) -> None:
    store = LanceReplay(tmp_path, ReplayConfig())
    for episode in range(20):
        store.append(make_episode(episode * 5, episode, 5))
    over, merges, errors = threading.Event(), [0], []

    def merge() -> None:
        try:
            while not over.is_set():
                merge_files(open_tables(tmp_path)["transitions"])
                merges[0] += 1
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=merge)
    thread.start()
    try:
        for episode in range(20, 60):
            store.append(make_episode(episode * 5, episode, 5))
            store.sample(4, 4, np.random.default_rng(episode))
    finally:
        over.set()
        thread.join()
    assert errors == []
    assert merges[0] > 0
    table = open_tables(tmp_path)["transitions"].table
    for version in table.list_versions():
        seen = steps(tmp_path, version["version"])
        assert seen == list(range(len(seen))), version["version"]
    assert [row.step for row in store.read(0, 999)] == list(range(300))


def test_files_in_the_middle_keep_their_place(tmp_path: Path) -> None:
    store_episodes(tmp_path, (5,) * 12)
    merge_files(open_tables(tmp_path)["transitions"])
    store_episodes(tmp_path, (5,) * 3)
    merge_files(open_tables(tmp_path)["transitions"])
    assert steps(tmp_path) == list(range(75))
    assert table_stats(open_tables(tmp_path)["transitions"]).fragments == 1


def test_deleted_rows_leave_the_files(tmp_path: Path) -> None:
    store_episodes(tmp_path, (40, 40, 40))
    reader = open_tables(tmp_path)["transitions"]
    reader.table.delete("step >= 30 AND step < 100")
    merge_files(reader)
    stats = table_stats(open_tables(tmp_path)["transitions"])
    assert (stats.rows, stats.fragments) == (50, 1)
    assert stats.bytes_per_row * 50 == stats.bytes
    assert steps(tmp_path) == [*range(30), *range(100, 120)]


def test_a_lone_first_file_waits_for_a_neighbour(tmp_path: Path) -> None:
    store_episodes(tmp_path, (40,))
    reader = open_tables(tmp_path)["transitions"]
    reader.table.delete("step < 30")
    merge_files(reader)
    assert steps(tmp_path) == list(range(30, 40))
    store_episodes(tmp_path, (5,))
    merge_files(open_tables(tmp_path)["transitions"])
    assert steps(tmp_path) == list(range(30, 45))
    assert table_stats(open_tables(tmp_path)["transitions"]).fragments == 1
