"""A new encoder's vectors: all of them, the same whatever interrupts the work, or no change."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fakes_memory import SPEC, Box, look_at, observe
from stored_views import BATCH, MeanColours, view_ids, write_views

from memory.config import ObjectConfig
from memory.errors import EncoderVersionMismatchError, StoreError
from memory.format import split_by_encoder
from memory.objects.memory import SlotMemory
from memory.schema import VIEWS
from memory.tables import connect, open_table
from memory.vectors.backfill import (
    COMMIT_BATCHES,
    BackfillReport,
    TableCrops,
    backfill,
    held_out,
    recall_at_1,
)
from memory.vectors.colour_encoder import ColourEncoder
from memory.vectors.tables import EmbeddingTables, vector_tables

VERSION = ColourEncoder().encoder_version
NUM_SLOTS, VIEWS_PER_SLOT = 150, 4


class Interrupted(Exception):
    """Stands for whatever ends a process."""


class Failing(ColourEncoder):
    """Fails in its n-th batch."""

    def __init__(self, after: int) -> None:
        self._left = after

    def embed(self, crops: np.ndarray) -> np.ndarray:
        if self._left == 0:
            raise Interrupted
        self._left -= 1
        return super().embed(crops)


def run(folder: Path, encoder: ColourEncoder) -> int:
    return backfill(
        EmbeddingTables(folder), TableCrops(folder), encoder, view_ids(folder), batch=BATCH
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, np.ndarray]:
    """What a backfill without interruption leaves."""
    folder = tmp_path_factory.mktemp("whole")
    ids = write_views(folder, NUM_SLOTS, VIEWS_PER_SLOT)
    assert run(folder, ColourEncoder()) == len(ids)
    return EmbeddingTables(folder).read(VERSION)


def test_every_view_gets_the_vector_of_its_own_pixels(
    tmp_path: Path, whole: tuple[np.ndarray, np.ndarray]
) -> None:
    ids, vectors = whole
    assert ids.tolist() == list(range(1, NUM_SLOTS * VIEWS_PER_SLOT + 1))
    write_views(tmp_path, NUM_SLOTS, VIEWS_PER_SLOT)
    asked = np.array([600, 3, 77])
    crops = np.stack(TableCrops(tmp_path).crops(asked))
    expected = ColourEncoder().embed(crops).astype(np.float16)
    np.testing.assert_allclose(vectors[asked - 1], expected, atol=1e-3)


def test_interrupted_twenty_times_it_ends_with_the_same_vectors(
    tmp_path: Path, whole: tuple[np.ndarray, np.ndarray]
) -> None:
    """Twenty exceptions at random batches; most come before a commit, some after it."""
    write_views(tmp_path, NUM_SLOTS, VIEWS_PER_SLOT)
    rng = np.random.default_rng(7)
    held = []
    for _ in range(20):
        after = int(
            rng.choice([0, 3, COMMIT_BATCHES - 1, COMMIT_BATCHES + 1], p=[0.4, 0.3, 0.2, 0.1])
        )
        with pytest.raises(Interrupted):
            run(tmp_path, Failing(after))
        held.append(len(EmbeddingTables(tmp_path).ids(VERSION)))
    assert held == sorted(held)
    assert 0 < held[-1] < len(whole[0])
    assert run(tmp_path, ColourEncoder()) == len(whole[0]) - held[-1]
    for found, expected in zip(EmbeddingTables(tmp_path).read(VERSION), whole, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_killed_processes_leave_whole_commits_and_the_next_goes_on(
    tmp_path: Path, whole: tuple[np.ndarray, np.ndarray]
) -> None:
    """Real SIGKILL at random batches, until one process finds nothing left to be killed in."""
    write_views(tmp_path, NUM_SLOTS, VIEWS_PER_SLOT)
    rng = np.random.default_rng(3)
    num_killed, code = 0, -1
    held = [0]
    while code != 0:
        code = _run_until_killed("backfill", tmp_path, int(rng.integers(2, 2 * COMMIT_BATCHES)))
        assert code in (0, -signal.SIGKILL)
        num_killed += code != 0
        held.append(len(EmbeddingTables(tmp_path).ids(VERSION)))
        assert held[-1] >= held[-2]
        assert held[-1] % (BATCH * COMMIT_BATCHES) == 0 or held[-1] == len(whole[0])
    assert num_killed >= 3
    for found, expected in zip(EmbeddingTables(tmp_path).read(VERSION), whole, strict=True):
        np.testing.assert_array_equal(found, expected)


def _run_until_killed(what: str, folder: Path, batches: int) -> int:
    script = Path(__file__).parents[2] / "stored_views.py"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    child = subprocess.Popen(
        [sys.executable, str(script), what, str(folder)],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert child.stdout is not None
    with child, child.stdout:
        for seen, _ in enumerate(child.stdout, start=1):
            if seen == batches:
                child.send_signal(signal.SIGKILL)
                break
        child.stdout.read()
        return child.wait()


def test_a_change_of_encoder_that_is_killed_leaves_the_old_one_or_the_new_one(
    tmp_path: Path,
) -> None:
    """Real SIGKILL: early, between two commits, and after the last view, around the flip."""
    memory = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    for i in range(20):
        box = Box(label="chair", xyz_m=(2.0, 3.0 * i, 0.4), extent_m=(0.5, 0.5, 0.8))
        for step in range(4):
            memory.update(*observe([box], look_at((0.0, 3.0 * i), (2.0, 3.0 * i))), 4 * i + step)
    memory.flush()
    num_views = memory.num_views()
    assert num_views > COMMIT_BATCHES
    before = EmbeddingTables(tmp_path).read(VERSION)
    held = [0]
    for batches in (3, COMMIT_BATCHES + 1, 1, num_views - COMMIT_BATCHES, 10**6):
        code = _run_until_killed("reembed", tmp_path, batches)
        tables, opened = EmbeddingTables(tmp_path), SlotMemory(tmp_path, ObjectConfig(), SPEC)
        held.append(len(tables.ids("mean-colours")))
        complete = held[-1] == num_views
        assert opened.active_encoder == VERSION or complete
        for found, expected in zip(tables.read(VERSION), before, strict=True):
            np.testing.assert_array_equal(found, expected)
    assert held == sorted(held)
    assert COMMIT_BATCHES in held
    assert (code, opened.active_encoder, held[-1]) == (0, "mean-colours", num_views)
    crops = {v.view_id: v.crop for s in opened.slots() for v in opened.views(s.slot_id)}
    ids, vectors = EmbeddingTables(tmp_path).read("mean-colours")
    again = np.concatenate([MeanColours().embed(crops[int(i)][None]) for i in ids])
    np.testing.assert_array_equal(vectors, again.astype(np.float16))


def test_a_view_without_pixels_is_named_and_nothing_counts_as_done(tmp_path: Path) -> None:
    ids = write_views(tmp_path, 5, 2)
    table = open_table(tmp_path, VIEWS)
    assert table is not None
    table.delete("view_id = 4")
    with pytest.raises(StoreError, match=r"no pixels of 1 views, view 4 among them"):
        backfill(EmbeddingTables(tmp_path), TableCrops(tmp_path), ColourEncoder(), ids)


def test_vectors_of_views_that_are_gone_go_too(tmp_path: Path) -> None:
    ids = write_views(tmp_path, 5, 2)
    run(tmp_path, ColourEncoder())
    kept = np.setdiff1d(ids, [4, 9])
    tables = EmbeddingTables(tmp_path)
    assert backfill(tables, TableCrops(tmp_path), ColourEncoder(), kept) == 0
    assert tables.ids(VERSION).tolist() == kept.tolist()


def test_two_encoders_that_share_a_name_are_told_apart_by_their_lengths(tmp_path: Path) -> None:
    tables = EmbeddingTables(tmp_path)
    tables.add("one", np.array([1]), np.ones((1, 12), dtype=np.float16))
    with pytest.raises(EncoderVersionMismatchError, match="'one' made vectors of length 13"):
        tables.add("one", np.array([2]), np.ones((1, 13), dtype=np.float16))


def test_versions_have_tables_of_their_own_and_the_others_go(tmp_path: Path) -> None:
    tables = EmbeddingTables(tmp_path)
    for i, version in enumerate(("a/b", "a-b", "ckpt-00007"), start=1):
        tables.add(version, np.array([i]), np.full((1, 4 * i), i, dtype=np.float16))
    assert len(set(vector_tables(tmp_path).values())) == 3
    assert tables.keep(["a/b", "ckpt-00007"]) == ["a-b"]
    assert tables.versions() == ["a/b", "ckpt-00007"]
    ids, vectors = tables.read("ckpt-00007")
    assert (ids.tolist(), vectors.tolist()) == ([3], [[3.0] * 12])
    assert tables.read("a-b")[0].size == 0


def test_the_table_of_format_one_is_split_by_encoder(tmp_path: Path) -> None:
    old = [
        {"view_id": i, "encoder_version": version, "vector": [float(i)] * size}
        for version, size in (("a", 4), ("b", 6))
        for i in (2, 1)
    ]
    schema = pa.schema(
        [
            ("view_id", pa.int64()),
            ("encoder_version", pa.string()),
            ("vector", pa.list_(pa.float32())),
        ]
    )
    table = connect(tmp_path).create_table("embeddings", schema=schema)
    for rows in (old[:2], old[2:]):
        merge = table.merge_insert(["view_id", "encoder_version"]).when_not_matched_insert_all()
        merge.execute(pa.Table.from_pylist(rows, schema=schema))
    split_by_encoder(tmp_path)
    tables = EmbeddingTables(tmp_path)
    assert tables.versions() == ["a", "b"]
    ids, vectors = tables.read("b")
    assert (ids.tolist(), vectors[:, 0].tolist(), vectors.shape) == ([1, 2], [1.0, 2.0], (2, 6))
    assert not (tmp_path / "embeddings.lance").exists()
    split_by_encoder(tmp_path)
    assert tables.versions() == ["a", "b"]


def test_recall_counts_views_whose_nearest_other_view_shows_the_same_object() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.8, 0.2]], dtype=np.float32)
    assert recall_at_1(vectors, np.array([1, 1, 2, 2])) == pytest.approx(3 / 4)
    assert np.isnan(recall_at_1(vectors, np.arange(4)))
    slot_ids = np.repeat(np.arange(3000), 3)
    chosen = slot_ids[held_out(slot_ids)]
    assert len(chosen) <= 2000
    assert (np.unique(chosen, return_counts=True)[1] == 3).all()


@pytest.mark.parametrize(("after", "worse"), [(0.96, True), (0.98, False), (1.0, False)])
def test_worse_by_more_than_the_margin_is_worse(after: float, worse: bool) -> None:
    report = BackfillReport(
        encoder_version="b",
        expected=3,
        written=3,
        embedded=3,
        recall_before=1.0,
        recall_after=after,
        same_object=0.9,
    )
    assert report.is_worse(0.03) is worse
    assert f"recall@1 {after:.3f}, before 1.000" in report.text()
