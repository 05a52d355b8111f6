"""An index over many vectors: taken up in the background, and never the reason to miss a row."""

from pathlib import Path

import numpy as np
import pytest

from memory.vectors import flat
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


def exactly(slot: int, slot_ids: np.ndarray) -> set[int]:
    """Return the five slots that look most alike, by comparing all."""
    vector = views_of(np.array([slot]), 2)[0].astype(np.float32)
    cosines = views_of(SLOT_OF_VIEW[1], 1).astype(np.float32) @ vector
    best = cosines.reshape(NUM_SLOTS, VIEWS).max(axis=1)[slot_ids]
    return set(slot_ids[np.argsort(-best)[:5]].tolist())


@pytest.mark.parametrize("exact_views", [0, 200, 10_000])
def test_whatever_share_is_asked_for_the_best_are_found(
    tables: EmbeddingTables, monkeypatch: pytest.MonkeyPatch, exact_views: int
) -> None:
    refresh_indexes(tables.folder)
    monkeypatch.setattr(vector_index, "EXACT_VIEWS", exact_views)
    monkeypatch.setattr(vector_index, "FIRST_ROWS", 80)
    hits = total = 0
    for share in (0.01, 0.03, 0.1, 0.5, 1.0):
        chosen = np.random.default_rng(5).permutation(NUM_SLOTS)[: int(share * NUM_SLOTS)]
        for slot in range(0, NUM_SLOTS, 40):
            expected = exactly(slot, chosen)
            found = set(ask(tables.folder, slot, chosen))
            assert len(found) == len(expected)
            hits, total = hits + len(found & expected), total + len(expected)
    assert hits / total >= 0.95


def test_a_few_of_many_are_compared_without_the_index(
    tables: EmbeddingTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh_indexes(tables.folder)
    monkeypatch.setattr(VectorSearch, "_ask", None)
    chosen = np.arange(0, NUM_SLOTS, 9)
    assert set(ask(tables.folder, 18, chosen)) == exactly(18, chosen)
    first = NUM_SLOTS * VIEWS
    tables.add("v", np.arange(first, first + 3), views_of(np.full(3, NUM_SLOTS), 3))
    with_new = np.append(chosen, NUM_SLOTS)
    assert next(iter(ask(tables.folder, NUM_SLOTS, with_new, 3))) == NUM_SLOTS
    assert ask(tables.folder, 18, np.array([NUM_SLOTS + 7])) == {}


def test_views_without_a_vector_and_removed_ones_are_not_found(tables: EmbeddingTables) -> None:
    refresh_indexes(tables.folder)
    first = NUM_SLOTS * VIEWS
    found = ask(tables.folder, 3, np.array([3, NUM_SLOTS]), 2)
    assert list(found) == [3]
    table = open_vectors(tables.folder, "v")
    assert table is not None
    gone = np.arange(first)[SLOT_OF_VIEW[1] != 3]
    search = VectorSearch(tables.folder, table)
    vector = views_of(np.array([3]), 2)[0].astype(np.float32)
    slots = SLOT_OF_VIEW[1][gone]
    assert 3 not in search.best_slots(vector, gone, slots, np.arange(9), 5)


def test_a_search_that_is_open_takes_up_a_new_file_and_refuses_a_damaged_one(
    tables: EmbeddingTables,
) -> None:
    table = open_vectors(tables.folder, "v")
    assert table is not None
    search, (ids, slots) = VectorSearch(tables.folder, table), SLOT_OF_VIEW
    vector = views_of(np.array([18]), 2)[0].astype(np.float32)
    chosen = np.arange(0, NUM_SLOTS, 9)
    before = search.best_slots(vector, ids, slots, chosen, 5)
    refresh_indexes(tables.folder)
    (written,) = tables.folder.glob("*.lance/_flat/*/vectors.npy")
    assert list(search.best_slots(vector, ids, slots, chosen, 5)) == list(before)
    written.write_bytes(written.read_bytes()[:200])
    again = ask(tables.folder, 18, chosen)
    assert list(again) == list(before), "a damaged file is as good as none"
    assert refresh_indexes(tables.folder) == ["v"]
    (mended,) = tables.folder.glob("*.lance/_flat/*")
    assert len(flat.FlatVectors(mended).view_ids) == len(ids)


def test_the_file_is_written_anew_when_it_lacks_much_and_goes_with_its_table(
    tables: EmbeddingTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flat, "STALE_ROWS", 2)
    refresh_indexes(tables.folder)
    first, added = NUM_SLOTS * VIEWS, int(NUM_SLOTS * VIEWS * flat.STALE_SHARE) + 9
    names = set(tables.folder.glob("*.lance/_flat/*"))
    assert len(names) == 1
    tables.add("v", np.arange(first, first + added), views_of(np.full(added, NUM_SLOTS), 3))
    refresh_indexes(tables.folder)
    (newest,) = tables.folder.glob("*.lance/_flat/*")
    assert {newest} != names
    assert len(flat.FlatVectors(newest).view_ids) == first + added
    tables.keep([])
    assert not newest.exists()


def test_a_life_that_goes_on_maps_what_the_file_holds_and_reads_what_it_lacks(
    tables: EmbeddingTables,
) -> None:
    folder, ids = tables.folder, SLOT_OF_VIEW[0]
    refresh_indexes(folder)
    newer = np.arange(len(ids), len(ids) + 3)
    tables.add("v", newer, views_of(np.array([3, 4, 5]), 9))
    wanted = np.concatenate([ids[5:], newer])
    table = open_vectors(folder, "v")
    assert table is not None
    rows = EmbeddingTables(folder).layered("v", wanted)
    np.testing.assert_array_equal(rows.ids(), wanted)
    everything = dict(zip(*EmbeddingTables(folder).read("v"), strict=True))
    for view_id in (5, 900, *newer.tolist()):
        np.testing.assert_array_equal(rows.at(view_id), everything[view_id])
    assert rows.at(4) is None
    query = everything[900].astype(np.float32)
    found, scores = rows.scores(query)
    assert found[np.argmax(scores)] == 900
    rows.discard(900)
    rows.put(np.array([901]), -everything[901][None])
    np.testing.assert_array_equal(rows.ids(), wanted[wanted != 900])
    np.testing.assert_array_equal(rows.at(901), -everything[901])
    for path in folder.glob("*/_flat/*/vectors.npy"):
        path.write_bytes(b"damaged")
    again = EmbeddingTables(folder).layered("v", wanted)
    np.testing.assert_array_equal(again.ids(), wanted)
    np.testing.assert_array_equal(again.at(900), everything[900])
