"""Intervals that respect that goals of one house are not independent.

The unit of resampling is the house: goals of one house share its layout and, where memory is kept,
its history. Differences are taken per goal first (paired), so what makes a house hard cancels.

Axis letters: n goals, s seeds of a training, w probe windows.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64, Shaped
from scipy.stats import binomtest, t

NUM_DRAWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean and the percentile interval of its cluster bootstrap.

    With a single house nothing can be resampled: the bounds are then NaN.
    """

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def cluster_bootstrap(
    values: Float[np.ndarray, "n"],
    houses: Int[np.ndarray, "n"],
    *,
    seed: int = 0,
    num_draws: int = NUM_DRAWS,
    level: float = 0.95,
) -> Interval:
    """Return the mean over all goals and its interval, resampling whole houses.

    Args:
        values: One score per goal.
        houses: House of each goal.
        seed: Seed of the resampling; the same seed gives the same bounds.
        num_draws: Bootstrap draws.
        level: Probability that the interval holds, 0 to 1.

    Raises:
        ValueError: If there are no values or one is not finite.

    References:
        Davison and Hinkley 1997, Bootstrap Methods and their Application, sections 3.8 and 5.3.
    """
    if len(values) == 0:
        raise ValueError("no values to take the mean of")
    if not np.isfinite(values).all():
        raise ValueError("every value must be finite")
    _, cluster = np.unique(houses, return_inverse=True)
    sums = np.bincount(cluster, weights=values)
    counts = np.bincount(cluster)
    mean = float(sums.sum() / counts.sum())
    if len(sums) < 2:
        return Interval(mean=mean, low=float("nan"), high=float("nan"))
    means = _resampled_means(sums, counts, np.random.default_rng(seed), num_draws)
    tail = (1 - level) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(mean=mean, low=float(low), high=float(high))


def cluster_ratio(
    values: Float[np.ndarray, "n"],
    bases: Float[np.ndarray, "n"],
    houses: Int[np.ndarray, "n"],
    *,
    seed: int = 0,
    num_draws: int = NUM_DRAWS,
    level: float = 0.95,
) -> Interval:
    """Return the sum of values over the sum of bases and its interval, resampling whole houses.

    Draws in which all bases are zero have no ratio and are left out.

    Args:
        values: Numerator per goal, or per house.
        bases: Denominator of each, not negative.
        houses: House of each.
        seed: Seed of the resampling; the same seed gives the same bounds.
        num_draws: Bootstrap draws.
        level: Probability that the interval holds, 0 to 1.

    Raises:
        ValueError: If the bases sum to zero.
    """
    if not bases.sum() > 0:
        raise ValueError("nothing to divide by")
    _, cluster = np.unique(houses, return_inverse=True)
    sums, counts = (np.bincount(cluster, weights=w) for w in (values, bases))
    mean = float(sums.sum() / counts.sum())
    if len(sums) < 2:
        return Interval(mean=mean, low=float("nan"), high=float("nan"))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = _resampled_means(sums, counts, np.random.default_rng(seed), num_draws)
    tail = (1 - level) / 2
    low, high = np.nanquantile(ratios, (tail, 1 - tail))
    return Interval(mean=mean, low=float(low), high=float(high))


def paired_difference(
    values_a: Float[np.ndarray, "n"],
    values_b: Float[np.ndarray, "n"],
    houses: Int[np.ndarray, "n"],
    *,
    seed: int = 0,
    num_draws: int = NUM_DRAWS,
    level: float = 0.95,
) -> Interval:
    """Return the mean of a - b over the same goals and its cluster bootstrap interval."""
    return cluster_bootstrap(
        values_a - values_b, houses, seed=seed, num_draws=num_draws, level=level
    )


def crossed_bootstrap(
    values: Float[np.ndarray, "s w"],
    *,
    seed: int = 0,
    num_draws: int = NUM_DRAWS,
    level: float = 0.95,
) -> Interval:
    """Return the mean over both axes and its interval, resampling each axis on its own.

    For values of training seeds on the windows that all of them share: neither is a sample of the
    other, so rows and columns are drawn independently. An axis of length 1 is not resampled; if
    both are, the bounds are NaN.

    Args:
        values: A score, or a paired difference, per seed and window.
        seed: Seed of the resampling; the same seed gives the same bounds.
        num_draws: Bootstrap draws.
        level: Probability that the interval holds, 0 to 1.

    Raises:
        ValueError: If there are no values or one is not finite.

    References:
        Owen 2007, The pigeonhole bootstrap, Annals of Applied Statistics 1 (2).
    """
    if values.size == 0:
        raise ValueError("no values to take the mean of")
    if not np.isfinite(values).all():
        raise ValueError("every value must be finite")
    mean = float(values.mean())
    if values.size == 1:
        return Interval(mean=mean, low=float("nan"), high=float("nan"))
    rng = np.random.default_rng(seed)
    rows, columns = (
        rng.multinomial(length, np.full(length, 1 / length), num_draws) / length
        for length in values.shape
    )
    means = ((rows @ values) * columns).sum(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(mean=mean, low=float(low), high=float(high))


def student_interval(values: Float[np.ndarray, "s"], *, level: float = 0.95) -> Interval:
    """Return the mean and Student's interval: resampling a handful of seeds would be too sure.

    Args:
        values: A score, or a paired difference, per seed; with a single one the bounds are NaN.
        level: Probability that the interval holds, 0 to 1.

    Raises:
        ValueError: If there are no values or one is not finite.
    """
    if len(values) == 0:
        raise ValueError("no values to take the mean of")
    if not np.isfinite(values).all():
        raise ValueError("every value must be finite")
    mean, count = float(np.mean(values)), len(values)
    if count == 1:
        return Interval(mean=mean, low=float("nan"), high=float("nan"))
    half = float(t.ppf((1 + level) / 2, count - 1) * np.std(values, ddof=1) / np.sqrt(count))
    return Interval(mean=mean, low=mean - half, high=mean + half)


def mcnemar_exact(success_a: Bool[np.ndarray, "n"], success_b: Bool[np.ndarray, "n"]) -> float:
    """Return the two-sided exact p-value that a and b succeed equally often on the same goals.

    References:
        McNemar 1947, Psychometrika 12 (2), with the exact binomial of the discordant pairs.
    """
    num_only_a = int(np.sum(success_a & ~success_b))
    num_only_b = int(np.sum(~success_a & success_b))
    if num_only_a + num_only_b == 0:
        return 1.0
    return float(binomtest(num_only_a, num_only_a + num_only_b, 0.5).pvalue)


def _resampled_means(
    sums: Float64[np.ndarray, "clusters"],
    counts: Int64[np.ndarray, "clusters"] | Float64[np.ndarray, "clusters"],
    rng: np.random.Generator,
    num_draws: int,
) -> Shaped[np.ndarray, "draws"]:
    drawn = rng.integers(len(sums), size=(num_draws, len(sums)))
    return sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
