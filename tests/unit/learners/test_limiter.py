"""How many updates the rows of a life allow."""

import pytest

from learners.limiter import allowed_updates, limiter_metrics
from memory.config import SamplingConfig

CONFIG = SamplingConfig(max_samples_per_insert=100, min_samples_per_insert=10)


@pytest.mark.parametrize(
    ("num_rows", "frames_before", "frames_per_update", "expected"),
    [
        (1500, 0, 480, 312),
        (1500, 149_760, 480, 0),
        (1500, 149_520, 480, 1),
        (1500, 149_521, 480, 0),
        (1500, 999_999, 480, 0),
        (0, 0, 480, 0),
    ],
)
def test_updates_end_at_the_upper_bound(
    num_rows: int, frames_before: int, frames_per_update: int, expected: int
) -> None:
    assert allowed_updates(CONFIG, num_rows, frames_before, frames_per_update) == expected


def test_rows_that_are_new_allow_what_they_are_worth() -> None:
    before = allowed_updates(CONFIG, 1000, 60_000, 500)
    assert allowed_updates(CONFIG, 1600, 60_000, 500) == before + 600 * 100 // 500


def test_too_little_is_told() -> None:
    told = limiter_metrics(CONFIG, 1000, 9_999, limited=False)
    assert (told["samples_per_insert"], told["too_little"]) == (9.999, True)
    assert not limiter_metrics(CONFIG, 1000, 10_000, limited=False)["too_little"]
