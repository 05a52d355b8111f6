"""The hot tier returns what was stored, whatever it holds."""

import numpy as np

from memory.replay.hot_rows import HotRows

ROW_BYTES = 8 + 8


class Source:
    """Rows whose value follows from their step; counts how many were read."""

    def __init__(self) -> None:
        self.num_read = 0

    def read(self, steps: np.ndarray) -> dict[str, np.ndarray]:
        """Return rows of distinct, increasing steps."""
        assert np.all(np.diff(steps) > 0)
        self.num_read += len(steps)
        return {"step": steps.copy(), "value": steps * 1.5}


def test_rows_are_right_in_order_and_with_repeats_for_any_capacity() -> None:
    for capacity in (1, 3, 16, 100):
        hot, source, rng = HotRows(capacity * ROW_BYTES), Source(), np.random.default_rng(capacity)
        for _ in range(50):
            steps = rng.integers(0, 40, 24)
            rows = hot.gather(steps, source.read)
            np.testing.assert_array_equal(rows["step"], steps)
            np.testing.assert_array_equal(rows["value"], steps * 1.5)


def test_a_row_that_is_held_is_not_read_again() -> None:
    hot, source = HotRows(64 * ROW_BYTES), Source()
    for first in (0, 8, 0, 4):
        hot.gather(np.arange(first, first + 8), source.read)
    assert source.num_read == 16


def test_what_is_returned_may_be_changed() -> None:
    hot, source = HotRows(64 * ROW_BYTES), Source()
    for _ in range(3):
        rows = hot.gather(np.arange(5), source.read)
        np.testing.assert_array_equal(rows["value"], np.arange(5) * 1.5)
        rows["value"][:] = -1


def test_a_life_far_above_the_capacity_is_not_worth_it() -> None:
    hot = HotRows(100 * ROW_BYTES)
    assert hot.pays(1, ROW_BYTES)
    assert hot.pays(400, ROW_BYTES)
    assert not hot.pays(401, ROW_BYTES)
    assert not HotRows(0).pays(1, ROW_BYTES)
