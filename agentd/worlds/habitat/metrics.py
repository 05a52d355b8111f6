"""The ObjectNav scores, by the definitions of habitat-lab.

DistanceToGoal is the geodesic from the feet to the nearest view point of any goal; an episode
succeeds if the agent said stop and that distance is below a limit (0.1 m in the ObjectNav task).
With d0 the distance at the start, d at the end, and L the length of the driven polyline,

    SPL = success * d0 / max(d0, L)        SoftSPL = max(0, 1 - d / d0) * d0 / max(d0, L).

An episode whose start reaches no view point has no score: NaN, left out of means and counted.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from agentd.evaluate.metrics import soft_spl, spl

SUCCESS_M = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeScore:
    """What an episode scored; all NaN if it could not be solved."""

    success: float
    spl: float
    soft_spl: float
    distance_to_goal_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanScore:
    """Means over the episodes that could be solved.

    Attributes:
        num_episodes: How many those are.
        num_unreachable: How many could not, and are left out.
    """

    success: float
    spl: float
    soft_spl: float
    distance_to_goal_m: float
    num_episodes: int
    num_unreachable: int


def score(
    *, stopped: bool, start_m: float, final_m: float, path_m: float, success_m: float = SUCCESS_M
) -> EpisodeScore:
    """Return the scores of one episode.

    Args:
        stopped: Whether the agent said stop.
        start_m: DistanceToGoal at the start. Where it is 0 the ratios 0/0, which habitat-lab
            leaves undefined, are 1: stopping at once is the shortest path.
        final_m: DistanceToGoal at the end.
        path_m: Length of the driven path, see `path_length_m`.
        success_m: Below it a stop succeeds.

    Raises:
        ValueError: If a length is negative or not a number.
    """
    if math.isinf(start_m):
        return EpisodeScore(
            success=math.nan, spl=math.nan, soft_spl=math.nan, distance_to_goal_m=math.nan
        )
    success = stopped and final_m < success_m
    return EpisodeScore(
        success=float(success),
        spl=spl(success, start_m, path_m),
        soft_spl=soft_spl(final_m, start_m, path_m),
        distance_to_goal_m=final_m,
    )


def path_length_m(positions_m: Sequence[Float64[np.ndarray, "3"]]) -> float:
    """Return the sum of the straight lengths between positions, heights included."""
    steps = np.diff(np.asarray(positions_m, dtype=np.float64).reshape(-1, 3), axis=0)
    return float(np.linalg.norm(steps, axis=1).sum())


def mean_score(scores: Iterable[EpisodeScore]) -> MeanScore:
    """Return the means over the episodes that could be solved, NaN over none.

    An end from which no view point can be reached any more has no distance; it counts as failed,
    and is left out of the mean distance alone.
    """
    listed = list(scores)
    known = [s for s in listed if not math.isnan(s.spl)]

    def mean(values: list[float]) -> float:
        finite = [v for v in values if math.isfinite(v)]
        return math.fsum(finite) / len(finite) if finite else math.nan

    return MeanScore(
        success=mean([s.success for s in known]),
        spl=mean([s.spl for s in known]),
        soft_spl=mean([s.soft_spl for s in known]),
        distance_to_goal_m=mean([s.distance_to_goal_m for s in known]),
        num_episodes=len(known),
        num_unreachable=len(listed) - len(known),
    )
