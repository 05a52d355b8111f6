"""What all searches promise: bounds, the best that was tried, an end in time, the same by seed."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from policies import cem, mppi, nevergrad_search
from policies.timebox import TimeBox

DIM = 6
WIDE = (np.full(DIM, -2.0), np.full(DIM, 2.0))


def run_cem(cost: cem.Cost, seed: int, **more: object):
    return cem.minimise(
        cost,
        np.zeros(DIM),
        np.ones(DIM),
        WIDE,
        num_samples=40,
        num_elites=8,
        num_iterations=8,
        rng=np.random.default_rng(seed),
        **more,
    )


def run_mppi(cost: cem.Cost, seed: int, **more: object):
    return mppi.minimise(
        cost,
        np.zeros(DIM),
        0.5 * np.ones(DIM),
        WIDE,
        num_samples=40,
        num_iterations=8,
        temperature=0.1,
        rng=np.random.default_rng(seed),
        **more,
    )


def run_nevergrad(cost: cem.Cost, seed: int, **more: object):
    pytest.importorskip("nevergrad", reason="the optional library nevergrad is not installed")
    return nevergrad_search.minimise(
        cost,
        np.zeros(DIM),
        0.5 * np.ones(DIM),
        WIDE,
        num_samples=40,
        num_iterations=8,
        rng=np.random.default_rng(seed),
        **more,
    )


SEARCHES = [run_cem, run_mppi, run_nevergrad]


class Bowl:
    """A quadratic bowl that writes down what was tried."""

    def __init__(self) -> None:
        self.target = np.random.default_rng(3).uniform(-1, 1, DIM)
        self.tried: list[np.ndarray] = []

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.tried.append(x.copy())
        return np.square(x - self.target).sum(axis=1)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_bowl_is_descended_within_the_bounds(search: Callable) -> None:
    bowl = Bowl()
    _, best, cost = search(bowl, 0)
    tried = np.concatenate(bowl.tried)
    assert tried.shape == (320, DIM)
    assert (np.abs(tried) <= 2.0).all()
    assert cost == np.square(tried - bowl.target).sum(axis=1).min()
    assert cost == pytest.approx(float(np.square(best - bowl.target).sum()))
    assert cost < 0.5 * np.square(bowl.target).sum()


@pytest.mark.parametrize("search", SEARCHES)
def test_the_same_seed_finds_the_same(search: Callable) -> None:
    first, second, other = search(Bowl(), 0), search(Bowl(), 0), search(Bowl(), 1)
    np.testing.assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("search", SEARCHES)
def test_costs_that_are_not_finite_lose(search: Callable) -> None:
    def cost(x: np.ndarray) -> np.ndarray:
        return np.where(x[:, 0] < 0, np.nan, np.square(x - 0.5).sum(axis=1))

    mean, best, _ = search(cost, 0)
    assert best[0] >= 0
    assert np.isfinite(mean).all()


@pytest.mark.parametrize("search", SEARCHES)
def test_the_best_plan_is_returned_when_the_time_is_out(search: Callable) -> None:
    """Rounds take 10 ms: three end within 35 ms, and a fourth would not."""
    now_s = [0.0]
    bowl = Bowl()

    def cost(x: np.ndarray) -> np.ndarray:
        now_s[0] += 0.010
        return bowl(x)

    _, best, found = search(cost, 0, has_time=TimeBox(0.035, lambda: now_s[0]))
    assert len(bowl.tried) == 3
    assert now_s[0] <= 0.035
    tried = np.concatenate(bowl.tried)
    assert found == np.square(tried - bowl.target).sum(axis=1).min()
    assert np.square(best - bowl.target).sum() == pytest.approx(found)


def test_the_first_round_is_never_cut_short() -> None:
    now_s = [0.0]
    bowl = Bowl()

    def cost(x: np.ndarray) -> np.ndarray:
        now_s[0] += 1.0
        return bowl(x)

    _, _, found = run_cem(cost, 0, has_time=TimeBox(0.01, lambda: now_s[0]))
    assert len(bowl.tried) == 1
    assert np.isfinite(found)


def test_a_box_without_a_bound_always_has_time() -> None:
    box = TimeBox(math.inf, iter(range(10)).__next__)
    assert all(box() for _ in range(9))


def test_an_unknown_optimiser_is_told() -> None:
    pytest.importorskip("nevergrad", reason="the optional library nevergrad is not installed")
    with pytest.raises(ValueError, match="no optimiser 'Magic'; CMA"):
        run_nevergrad(Bowl(), 0, optimiser="Magic")


def test_temperature_weighs_between_the_best_sample_and_the_mean_of_all() -> None:
    """A cold temperature keeps the best alone, a hot one averages all samples."""
    means = []
    for temperature in (1e-3, 1e3):
        bowl = Bowl()
        mean, best, _ = mppi.minimise(
            bowl,
            np.zeros(DIM),
            np.ones(DIM),
            WIDE,
            num_samples=200,
            num_iterations=1,
            temperature=temperature,
            rng=np.random.default_rng(0),
        )
        means.append((mean, best, np.concatenate(bowl.tried)))
    np.testing.assert_allclose(means[0][0], means[0][1], atol=1e-6)
    np.testing.assert_allclose(means[1][0], means[1][2].mean(axis=0), atol=5e-3)


@pytest.mark.parametrize(
    ("num_samples", "num_elites", "num_iterations", "at_most"),
    [(300, 30, 30, 1e-6), (300, 30, 10, 5e-5), (128, 16, 8, 2e-3), (96, 12, 6, 0.016)],
)
def test_the_residual_of_a_ten_dimensional_bowl_is_the_golden_one(
    num_samples: int, num_elites: int, num_iterations: int, at_most: float
) -> None:
    """Targets uniform in [-1, 1], start at 0 with deviation 1; means 1e-6, 2e-5, 8e-4, 0.008."""
    shares = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        target = rng.uniform(-1, 1, 10)
        mean, _, _ = cem.minimise(
            lambda x, target=target: np.square(x - target).sum(axis=1),
            np.zeros(10),
            np.ones(10),
            (np.full(10, -9.0), np.full(10, 9.0)),
            num_samples=num_samples,
            num_elites=num_elites,
            num_iterations=num_iterations,
            rng=rng,
        )
        shares.append(np.square(mean - target).sum() / np.square(target).sum())
    assert np.mean(shares) < at_most
