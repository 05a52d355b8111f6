"""Model-predictive path integral control over box-bounded vectors.

Axis letters: s samples, n parameters.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from policies.cem import Cost


def minimise(
    cost: Cost,
    mean: Float64[np.ndarray, "n"],
    std: Float64[np.ndarray, "n"],
    bounds: tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]],
    *,
    num_samples: int,
    num_iterations: int,
    temperature: float,
    rng: np.random.Generator,
    has_time: Callable[[], bool] = lambda: True,
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"], float]:
    """Return the last weighted mean, the best vector that was tried, and the cost of the latter.

    The spread stays as it is: in contrast to the cross-entropy method the search does not narrow.

    Args:
        cost: Maps samples (s n) to costs (s); not finite counts as worst.
        mean: First mean.
        std: Standard deviation.
        bounds: Lowest and highest value of each parameter; samples are clipped to them.
        num_samples: Samples per iteration.
        num_iterations: Rounds.
        temperature: A sample that costs one standard deviation of a round's costs more than the
            best weighs exp(-1 / temperature) of it.
        rng: Source of randomness.
        has_time: Asked after every round; the search ends with what it has when it says no.

    References:
        Williams et al. 2017, Information theoretic MPC, Eq. (25) to (27) and Algorithm 2.
    """
    low, high = bounds
    best, best_cost = mean, float("inf")
    for i in range(num_iterations):
        samples = mean + std * rng.standard_normal((num_samples, mean.size))
        samples = np.clip(samples, low, high)
        samples[0] = np.clip(mean, low, high) if i == 0 else best
        costs = np.asarray(cost(samples), dtype=np.float64)
        costs = np.where(np.isfinite(costs), costs, np.inf)
        first = int(np.argmin(costs))
        if costs[first] < best_cost:
            best, best_cost = samples[first].copy(), float(costs[first])
        if np.isfinite(costs[first]):
            spread = max(float(costs[np.isfinite(costs)].std()), 1e-12)
            weights = np.exp((costs[first] - costs) / (temperature * spread))
            mean = weights @ samples / weights.sum()
        if not has_time():
            break
    return mean, best, best_cost
