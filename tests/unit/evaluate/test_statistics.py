import math

import numpy as np
import pytest

from agentd.evaluate.statistics import (
    cluster_bootstrap,
    cluster_ratio,
    crossed_bootstrap,
    mcnemar_exact,
    paired_difference,
    student_interval,
)


def _two_arms(
    rng: np.random.Generator, effect: float, num_houses: int = 12, goals: int = 6
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of two arms that share the difficulty of each house."""
    houses = np.repeat(np.arange(num_houses), goals)
    difficulty = np.repeat(rng.normal(0, 0.3, num_houses), goals)
    b = 0.4 + difficulty + rng.normal(0, 0.1, len(houses))
    a = b + effect + rng.normal(0, 0.1, len(houses))
    return a, b, houses


def test_the_same_seed_gives_the_same_interval() -> None:
    a, _, houses = _two_arms(np.random.default_rng(0), 0.1)
    first = cluster_bootstrap(a, houses, seed=3)
    assert first == cluster_bootstrap(a, houses, seed=3)
    assert first != cluster_bootstrap(a, houses, seed=4)


def test_a_ratio_is_of_sums_and_varies_with_its_houses() -> None:
    values, bases = np.array([1.0, 3.0, 4.0, 0.0]), np.array([2.0, 3.0, 8.0, 0.0])
    found = cluster_ratio(values, bases, np.array([0, 0, 1, 2]))
    assert found.mean == pytest.approx(8 / 13)
    assert found.low == pytest.approx(0.5)
    assert found.high == pytest.approx(0.8)
    with pytest.raises(ValueError, match="nothing to divide by"):
        cluster_ratio(values, np.zeros(4), np.arange(4))


def test_the_mean_weighs_goals_not_houses() -> None:
    values = np.array([1.0, 1.0, 1.0, 0.0])
    assert cluster_bootstrap(values, np.array([0, 0, 0, 1])).mean == 0.75


def test_values_that_do_not_vary_have_an_interval_of_no_width() -> None:
    interval = cluster_bootstrap(np.full(6, 0.5), np.repeat([0, 1, 2], 2))
    assert (interval.low, interval.mean, interval.high) == (0.5, 0.5, 0.5)


def test_one_house_gives_a_mean_without_bounds() -> None:
    interval = cluster_bootstrap(np.array([0.0, 1.0]), np.array([7, 7]))
    assert interval.mean == 0.5
    assert math.isnan(interval.low)
    assert not interval.excludes_zero


def test_intervals_cover_the_true_mean_about_as_often_as_they_claim() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        values, _, houses = _two_arms(rng, 0.0, num_houses=30, goals=2)
        interval = cluster_bootstrap(values, houses, seed=trial, num_draws=400)
        covered += interval.low <= 0.4 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_goals_of_one_house_do_not_count_as_independent() -> None:
    """Copying every goal ten times adds no evidence, so the interval must not shrink."""
    a, _, houses = _two_arms(np.random.default_rng(2), 0.0)
    once = cluster_bootstrap(a, houses)
    copied = cluster_bootstrap(np.repeat(a, 10), np.repeat(houses, 10))
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.05)


def test_pairing_finds_an_effect_that_unpaired_intervals_cannot_see() -> None:
    a, b, houses = _two_arms(np.random.default_rng(3), 0.08)
    paired = paired_difference(a, b, houses)
    assert paired.mean == pytest.approx(0.08, abs=0.03)
    assert paired.excludes_zero
    assert cluster_bootstrap(a, houses).low < cluster_bootstrap(b, houses).high


def test_no_effect_is_rarely_called_one() -> None:
    rng = np.random.default_rng(4)
    called = 0
    for trial in range(200):
        a, b, houses = _two_arms(rng, 0.0, num_houses=20, goals=3)
        called += paired_difference(a, b, houses, seed=trial, num_draws=400).excludes_zero
    assert called / 200 <= 0.12


def test_nothing_and_nonsense_are_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        cluster_bootstrap(np.array([]), np.array([], dtype=np.int64))
    with pytest.raises(ValueError, match="finite"):
        cluster_bootstrap(np.array([1.0, np.nan]), np.array([0, 1]))


def test_mcnemar_counts_only_the_goals_on_which_the_arms_differ() -> None:
    a = np.array([True] * 8 + [True] * 50)
    b = np.array([False] * 8 + [True] * 50)
    assert mcnemar_exact(a, b) == pytest.approx(2 * 0.5**8)
    assert mcnemar_exact(b, a) == mcnemar_exact(a, b)
    assert mcnemar_exact(a, a) == 1.0


def test_crossed_bootstrap_is_as_wide_as_the_axis_that_varies():
    rng = np.random.default_rng(0)
    by_seed = np.repeat(rng.normal(size=(20, 1)), 50, axis=1)
    by_window = np.repeat(rng.normal(size=(1, 50)), 20, axis=0)
    for values, count in ((by_seed, 20), (by_window, 50)):
        found = crossed_bootstrap(values)
        line = values[:, 0] if count == 20 else values[0]
        expected = 1.96 * line.std() / np.sqrt(count)
        assert found.mean == pytest.approx(values.mean())
        assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.1)
        # taking all cells for independent would be far too sure
        assert (found.high - found.low) / 2 > 3 * 1.96 * values.std() / np.sqrt(values.size)


def test_crossed_bootstrap_of_one_seed_resamples_windows_only():
    found = crossed_bootstrap(np.array([[0.0, 1.0, 2.0, 3.0]]))
    assert found.low < 1.5 < found.high
    alone = crossed_bootstrap(np.array([[2.0]]))
    assert (alone.mean, np.isnan(alone.low), np.isnan(alone.high)) == (2.0, True, True)
    with pytest.raises(ValueError, match="finite"):
        crossed_bootstrap(np.array([[np.nan, 1.0]]))
    with pytest.raises(ValueError, match="no values"):
        crossed_bootstrap(np.zeros((0, 3)))


def test_crossed_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(200):
        values = rng.normal(size=(10, 1)) + rng.normal(size=(1, 40)) + rng.normal(size=(10, 40))
        found = crossed_bootstrap(values, num_draws=500, seed=trial)
        hits += found.low <= 0 <= found.high
    assert 0.86 <= hits / 200 <= 0.99


def test_students_interval_of_three_seeds_is_wide():
    found = student_interval(np.array([1.0, 2.0, 3.0]))
    assert (found.mean, found.high - found.mean) == pytest.approx(
        (2.0, 4.303 / np.sqrt(3)), rel=1e-3
    )
    assert np.isnan(student_interval(np.array([1.0])).low)
    with pytest.raises(ValueError, match="finite"):
        student_interval(np.array([np.inf, 1.0]))
