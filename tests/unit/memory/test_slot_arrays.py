"""Slots as columns: room grows, removed rows are filled from the end, indices stay true."""

import numpy as np
from big_life import LABELS

from memory.objects.floor_grid import CELL_M, MAX_CELLS, FloorGrid, cells_of
from memory.objects.neighbours import SeenBeside
from memory.objects.slot_arrays import SlotArrays, outermost


def place(arrays: SlotArrays, slot_id: int, label: str, xyz_m: tuple[float, float, float]) -> None:
    rows = arrays.add([slot_id])
    offsets = np.linspace(-0.2, 0.2, 96)
    points = np.array(xyz_m) + np.stack([offsets, offsets[::-1], np.roll(offsets, 9)], axis=1)
    arrays.take_in_points(rows, points[None], outermost(points[None]))
    arrays.vote(int(rows[0]), label, 1.0)


def test_after_many_changes_every_index_says_what_the_columns_say() -> None:
    rng = np.random.default_rng(3)
    arrays, alive = SlotArrays(), dict[int, tuple[str, np.ndarray]]()
    for slot_id in range(1, 400):
        label = LABELS[int(rng.integers(5))]
        xyz_m = np.append(rng.uniform(-20, 20, 2), 0.5)
        place(arrays, slot_id, label, tuple(xyz_m))
        arrays.existence[arrays.rows([slot_id])] = slot_id
        alive[slot_id] = (label, xyz_m)
        if slot_id % 3 == 0:
            gone = rng.choice(list(alive), 2, replace=False).tolist()
            arrays.remove(arrays.rows(gone).tolist())
            for lost in gone:
                del alive[lost]
    assert sorted(arrays.slot_id.tolist()) == sorted(alive)
    for slot_id, (label, xyz_m) in alive.items():
        record = arrays.record(int(arrays.rows([slot_id])[0]))
        assert (record.slot_id, record.label, record.existence) == (slot_id, label, slot_id)
        np.testing.assert_allclose(record.xyz_m, xyz_m, atol=1e-5)
        assert slot_id in arrays.slot_id[arrays.with_label(label)]
        assert slot_id in arrays.near(xyz_m[None] - 0.1, xyz_m[None] + 0.1)
    assert sum(len(arrays.with_label(label)) for label in arrays.labels()) == len(alive)


def test_what_is_near_is_found_and_what_is_far_is_not() -> None:
    rng = np.random.default_rng(0)
    grid = FloorGrid()
    low = rng.uniform(-60, 60, (500, 2))
    high = low + rng.choice([0.3, 3.0, CELL_M * (MAX_CELLS + 2)], (500, 1), p=[0.8, 0.19, 0.01])
    grid.fill(np.arange(500), cells_of(low, high))
    one_by_one = FloorGrid()
    for box_id, cells in enumerate(map(tuple, cells_of(low, high).tolist())):
        one_by_one.put(box_id, cells)
    for centre in rng.uniform(-60, 60, (50, 2)):
        asked_low, asked_high = centre - 2, centre + 2
        meets = ((low <= asked_high) & (high >= asked_low)).all(axis=1)
        cells = tuple(cells_of(asked_low[None], asked_high[None])[0].tolist())
        found = grid.near(cells)
        assert set(np.flatnonzero(meets).tolist()) <= found
        assert found == one_by_one.near(cells)
        assert len(found) < 100


def test_a_slot_that_was_called_two_names_keeps_both_sums() -> None:
    arrays = SlotArrays()
    place(arrays, 7, "chair", (0.0, 0.0, 0.5))
    arrays.vote(0, "sofa", 0.4)
    assert arrays.votes(0) == {"chair": 1.0, "sofa": 0.4}
    arrays.vote(0, "sofa", 0.7)
    assert arrays.label(0) == "sofa"
    assert (len(arrays.with_label("sofa")), len(arrays.with_label("chair"))) == (1, 0)


def test_seen_beside_is_symmetric_and_forgets_both_ways() -> None:
    beside = SeenBeside()
    beside.join({1, 2, 3})
    beside.put(4, {2})
    beside.forget(1)
    assert [beside.of(i) for i in (1, 2, 3, 4)] == [set(), {3, 4}, {2}, {2}]
    stored = SeenBeside()
    stored.fill({2: [3, 9], 5: [5]}, {2, 3, 5})
    assert [stored.of(i) for i in (2, 3, 5, 9)] == [{3}, {2}, set(), set()]
