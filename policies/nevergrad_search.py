"""Search with an optimiser of Nevergrad, by name; the optional dependency group `planners`.

Axis letters: s samples, n parameters.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from policies.cem import Cost

_WORST = 1e20
"""What an infinite cost is told as: Nevergrad warns of larger numbers."""


def minimise(
    cost: Cost,
    mean: Float64[np.ndarray, "n"],
    std: Float64[np.ndarray, "n"],
    bounds: tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]],
    *,
    num_samples: int,
    num_iterations: int,
    rng: np.random.Generator,
    optimiser: str = "TwoPointsDE",
    has_time: Callable[[], bool] = lambda: True,
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"], float]:
    """Return what the optimiser recommends, the best vector that was tried, and the latter's cost.

    Args:
        cost: Maps samples (s n) to costs (s); not finite counts as worst.
        mean: Where the search begins.
        std: First standard deviation.
        bounds: Lowest and highest value of each parameter.
        num_samples: Samples that are asked for and judged together.
        num_iterations: Rounds.
        rng: Source of randomness.
        optimiser: Name in Nevergrad's registry. Its NGOpt does not run beside NumPy 2.4: the
            surrogate model that it fits fails in a thread of its own.
        has_time: Asked after every round; the search ends with what it has when it says no.

    Raises:
        ImportError: If Nevergrad is not installed; tells how to get it.
        ValueError: If Nevergrad knows no such optimiser.
    """
    try:
        import nevergrad
    except ImportError as error:
        raise ImportError(
            "this search needs the library nevergrad: pip install 'agentd[planners]'"
        ) from error
    known = nevergrad.optimizers.registry
    if optimiser not in known:
        raise ValueError(
            f"nevergrad knows no optimiser {optimiser!r}; CMA and TwoPointsDE are some"
        )
    low, high = bounds
    space = nevergrad.p.Array(init=np.clip(mean, low, high))
    space.set_mutation(sigma=std).set_bounds(low, high, method="clipping")
    space.random_state = np.random.RandomState(int(rng.integers(2**31)))
    search = known[optimiser](space, budget=num_samples * num_iterations, num_workers=num_samples)
    best, best_cost = mean, float("inf")
    for _ in range(num_iterations):
        asked = [search.ask() for _ in range(num_samples)]
        samples = np.stack([x.value for x in asked])
        costs = np.asarray(cost(samples), dtype=np.float64)
        costs = np.where(np.isfinite(costs), costs, np.inf)
        for x, value in zip(asked, costs, strict=True):
            search.tell(x, min(float(value), _WORST))
        first = int(np.argmin(costs))
        if costs[first] < best_cost:
            best, best_cost = samples[first].copy(), float(costs[first])
        if not has_time():
            break
    return np.asarray(search.provide_recommendation().value), best, best_cost
