"""An index over many vectors: taken up in the background, and never the reason to miss a row."""

from pathlib import Path

import numpy as np
import pytest

from memory.vectors import index as vector_index
from memory.vectors.index import VECTOR_INDEX, VectorSearch, refresh_indexes
from memory.vectors.tables import EmbeddingTables, open_vectors

NUM_SLOTS, VIEWS, DIM = 400, 4, 30


def views_of(slots: np.ndarray, seed: int) -> np.ndarray:
    """Return a unit vector near the one of each slot."""
    centres = np.random.default_rng(0).normal(size=(NUM_SLOTS * 2, DIM))
    noise = np.random.default_rng(seed).normal(size=(len(slots), DIM))
    made = centres[slots] + 0.2 * noise
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddingTables:
    """1600 vectors, enough for an index here."""
    monkeypatch.setattr(vector_index, "INDEX_FROM", 1000)
    monkeypatch.setattr(vector_index, "FEW_VIEWS", 40)
    made = EmbeddingTables(tmp_path)
    made.add("v", SLOT_OF_VIEW[0], views_of(SLOT_OF_VIEW[1], 1))
    return made


SLOT_OF_VIEW = (np.arange(NUM_SLOTS * VIEWS), np.repeat(np.arange(NUM_SLOTS), VIEWS))


def ask(folder: Path, slot: int, slot_ids: np.ndarray, num_extra: int = 0) -> dict[int, float]:
    ids = np.arange(len(SLOT_OF_VIEW[0]) + num_extra)
    slots = np.concatenate([SLOT_OF_VIEW[1], np.full(num_extra, NUM_SLOTS)])
    table = open_vectors(folder, "v")
    assert table is not None
    vector = views_of(np.array([slot]), 2)[0].astype(np.float32)
    return VectorSearch(folder, table).best_slots(vector, ids, slots, slot_ids, 5)


def unindexed(folder: Path) -> int | None:
    table = open_vectors(folder, "v")
    assert table is not None
    stats = table.index_stats(VECTOR_INDEX)
    return None if stats is None else stats.num_unindexed_rows


def test_with_an_index_it_finds_what_it_finds_without(tables: EmbeddingTables) -> None:
    folder, everything = tables.folder, np.arange(NUM_SLOTS)
    few, half, one = np.arange(7), np.arange(0, NUM_SLOTS, 2), np.array([11])
    cases = [(s, chosen) for s in (4, 11, 200) for chosen in (everything, few, half, one)]
    before = [ask(folder, slot, chosen) for slot, chosen in cases]
    assert unindexed(folder) is None
    assert refresh_indexes(folder) == ["v"]
    assert unindexed(folder) == 0
    for (slot, chosen), expected in zip(cases, before, strict=True):
        found = ask(folder, slot, chosen)
        assert next(iter(found)) == next(iter(expected))
        assert set(found) <= set(chosen.tolist())
        assert len(found) == len(expected) == min(5, len(chosen))
        assert len(set(found) & set(expected)) >= len(expected) - 1
    assert next(iter(before[0])) == 4


def test_rows_that_no_index_holds_yet_are_found_and_then_taken_in(tables: EmbeddingTables) -> None:
    refresh_indexes(tables.folder)
    first = NUM_SLOTS * VIEWS
    tables.add("v", np.arange(first, first + 3), views_of(np.full(3, NUM_SLOTS), 3))
    assert unindexed(tables.folder) == 3
    chosen = np.arange(NUM_SLOTS + 1)
    assert next(iter(ask(tables.folder, NUM_SLOTS, chosen, 3))) == NUM_SLOTS
    assert refresh_indexes(tables.folder) == ["v"]
    assert unindexed(tables.folder) == 0
    assert next(iter(ask(tables.folder, NUM_SLOTS, chosen, 3))) == NUM_SLOTS
    assert refresh_indexes(tables.folder) == []


def test_few_vectors_need_no_index(tmp_path: Path) -> None:
    EmbeddingTables(tmp_path).add("v", np.array([1]), views_of(np.array([1]), 1))
    assert refresh_indexes(tmp_path) == []
    assert unindexed(tmp_path) is None
