"""The cross-entropy method over box-bounded vectors.

Axis letters: s samples, n parameters.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

Cost = Callable[[np.ndarray], np.ndarray]


def minimise(
    cost: Cost,
    mean: Float64[np.ndarray, "n"],
    std: Float64[np.ndarray, "n"],
    bounds: tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]],
    *,
    num_samples: int,
    num_elites: int,
    num_iterations: int,
    rng: np.random.Generator,
    seeds: Float64[np.ndarray, "k n"] | None = None,
    min_std: Float64[np.ndarray, "n"] | None = None,
    has_time: Callable[[], bool] = lambda: True,
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"], float]:
    """Return the last elite mean, the best vector that was tried, and the cost of the latter.

    Args:
        cost: Maps samples (s n) to costs (s); not finite counts as worst.
        mean: First mean.
        std: First standard deviation.
        bounds: Lowest and highest value of each parameter; samples are clipped to them.
        num_samples: Samples per iteration, the seeds among them.
        num_elites: Samples that form the next mean.
        num_iterations: Rounds.
        rng: Source of randomness.
        seeds: Vectors tried in the first round as they are.
        min_std: Floor of the standard deviation.
        has_time: Asked after every round; the search ends with what it has when it says no.

    References:
        Rubinstein 1999, The cross-entropy method for combinatorial and continuous optimization.
    """
    low, high = bounds
    best, best_cost = mean, float("inf")
    for i in range(num_iterations):
        samples = mean + std * rng.standard_normal((num_samples, mean.size))
        samples = np.clip(samples, low, high)
        if i == 0 and seeds is not None:
            samples[: len(seeds)] = np.clip(seeds, low, high)[:num_samples]
        elif i > 0:
            samples[0] = best
        costs = np.asarray(cost(samples), dtype=np.float64)
        costs = np.where(np.isfinite(costs), costs, np.inf)
        order = np.argsort(costs, kind="stable")
        if costs[order[0]] < best_cost:
            best, best_cost = samples[order[0]].copy(), float(costs[order[0]])
        elites = samples[order[:num_elites]]
        mean, std = elites.mean(axis=0), elites.std(axis=0)
        if min_std is not None:
            std = np.maximum(std, min_std)
        if not has_time():
            break
    return mean, best, best_cost
