"""Strategies by name."""

import numpy as np

from memory.records import BodySpec
from policies.config import StrategyName
from policies.strategies.base import ExplorationStrategy
from policies.strategies.curious import Disagreement, Novelty, Progress, Surprise
from policies.strategies.geometric import LeastVisited, NearestFrontier, RandomPlace, UniformPlace
from policies.strategies.information import InformationRate


def make_strategy(
    name: StrategyName, spec: BodySpec, size_m: float, rng: np.random.Generator
) -> ExplorationStrategy:
    """Return the strategy of a name.

    Args:
        name: See `policies.config.ExploreConfig.strategy`.
        spec: Body that drives.
        size_m: Side of the map.
        rng: Draws places and random networks.
    """
    match name:
        case "random":
            return RandomPlace(rng)
        case "uniform":
            return UniformPlace(rng)
        case "nearest_frontier":
            return NearestFrontier()
        case "count":
            return LeastVisited(size_m)
        case "rnd":
            return Novelty(spec, size_m, rng)
        case "disagreement":
            return Disagreement(spec, size_m, rng)
        case "surprise":
            return Surprise(spec, size_m, rng)
        case "progress":
            return Progress(spec, size_m, rng)
        case "information":
            return InformationRate(spec, size_m)
