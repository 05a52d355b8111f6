import math

import numpy as np
import pytest

from agentd.evaluate.coverage import coverage
from agentd.worlds.oracle import TrueMap


def _true_map(navigable: np.ndarray) -> TrueMap:
    return TrueMap(navigable=navigable, origin_m=(1.0, 2.0), cell_m=0.1)


def test_half_a_known_map_covers_half_although_the_cells_differ_in_size() -> None:
    grid = np.full((40, 40), -1, dtype=np.int8)
    grid[:, :20] = 0
    found = coverage(grid, (1.0, 2.0), 0.05, _true_map(np.ones((20, 20), dtype=bool)))
    assert found == pytest.approx(0.5)


def test_what_cannot_be_reached_does_not_count() -> None:
    navigable = np.zeros((20, 20), dtype=bool)
    navigable[:5] = True
    grid = np.full((40, 40), -1, dtype=np.int8)
    grid[:10] = 1
    assert coverage(grid, (1.0, 2.0), 0.05, _true_map(navigable)) == 1.0


def test_what_lies_outside_of_the_map_is_unknown() -> None:
    grid = np.zeros((10, 40), dtype=np.int8)
    found = coverage(grid, (1.0, 2.0), 0.05, _true_map(np.ones((20, 20), dtype=bool)))
    assert found == pytest.approx(0.25)
    assert coverage(grid, (90.0, 90.0), 0.05, _true_map(np.ones((2, 2), dtype=bool))) == 0.0


def test_nothing_reachable_has_no_coverage() -> None:
    grid = np.zeros((4, 4), dtype=np.int8)
    assert math.isnan(coverage(grid, (0.0, 0.0), 0.05, _true_map(np.zeros((2, 2), dtype=bool))))
