import numpy as np
import pytest

from policies.cem import minimise


def residual(num: int, elites: int, rounds: int, dim: int, seeds: int = 50) -> float:
    """Return the mean residual share of squared error on quadratic bowls."""
    shares = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        target = rng.uniform(-1, 1, dim)
        wide = np.full(dim, 1e9)
        mean, _, _ = minimise(
            lambda x, t=target: np.square(x - t).sum(axis=1),
            np.zeros(dim),
            np.ones(dim),
            (-wide, wide),
            num_samples=num,
            num_elites=elites,
            num_iterations=rounds,
            rng=rng,
        )
        shares.append(np.square(mean - target).sum() / np.square(target).sum())
    return float(np.mean(shares))


@pytest.mark.parametrize(
    ("num", "elites", "rounds", "dim", "golden"),
    [(64, 8, 5, 8, 0.013), (96, 12, 6, 10, 0.008), (64, 8, 5, 20, 0.14)],
)
def test_the_budget_table_is_reproduced(
    num: int, elites: int, rounds: int, dim: int, golden: float
) -> None:
    assert residual(num, elites, rounds, dim) == pytest.approx(golden, rel=0.5)


def test_seeds_are_tried_and_the_best_is_never_lost() -> None:
    target = np.array([0.3, -0.2])
    _, best, cost = minimise(
        lambda x: np.square(x - target).sum(axis=1),
        np.zeros(2),
        np.full(2, 5.0),
        (np.full(2, -9.0), np.full(2, 9.0)),
        num_samples=8,
        num_elites=2,
        num_iterations=3,
        rng=np.random.default_rng(0),
        seeds=target[None],
    )
    np.testing.assert_allclose(best, target)
    assert cost == 0.0


def test_samples_stay_inside_the_bounds() -> None:
    seen = []

    def cost(x: np.ndarray) -> np.ndarray:
        seen.append(x.copy())
        return -x.sum(axis=1)

    low, high = np.array([0.0, -2.0]), np.array([0.75, 2.0])
    _, best, _ = minimise(
        cost,
        np.zeros(2),
        np.ones(2) * 3,
        (low, high),
        num_samples=32,
        num_elites=4,
        num_iterations=4,
        rng=np.random.default_rng(0),
    )
    tried = np.concatenate(seen)
    assert (tried >= low).all()
    assert (tried <= high).all()
    np.testing.assert_allclose(best, high, atol=0.05)


def test_costs_that_are_not_finite_lose() -> None:
    def cost(x: np.ndarray) -> np.ndarray:
        out = np.square(x[:, 0] - 1)
        out[x[:, 0] < 0] = np.nan
        return out

    mean, best, _ = minimise(
        cost,
        np.array([-0.5]),
        np.ones(1),
        (np.array([-3.0]), np.array([3.0])),
        num_samples=40,
        num_elites=5,
        num_iterations=4,
        rng=np.random.default_rng(0),
    )
    assert best[0] == pytest.approx(1.0, abs=0.2)
    assert np.isfinite(mean).all()
