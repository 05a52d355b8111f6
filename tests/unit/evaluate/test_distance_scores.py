from collections.abc import Callable

import numpy as np
import pytest
from unit.evaluate.flatland import SPEC, FlatWorld

from agentd.evaluate.errors import EvaluationError
from agentd.evaluate.model import score_distance
from memory.errors import NotEnoughDataError
from memory.records import NUM_OBJECTS, OBJECT_FEATURES, Batch, Goal, Observation
from policies.protocols import Rollout


class Walks:
    """A replay of random walks; knows nothing but `sample`."""

    version = 1

    def sample(
        self,
        batch_size: int,
        horizon: int,
        rng: np.random.Generator,
        *,
        sampler: object = None,
        held_out: bool = False,
    ) -> Batch:
        assert held_out
        pose = np.zeros((batch_size, horizon, 3), dtype=np.float32)
        pose[..., :2] = rng.uniform(1, 7, (batch_size, 1, 2))
        pose[..., :2] += rng.uniform(-0.5, 0.5, (batch_size, horizon, 2))
        shape = (batch_size, horizon)
        return Batch(
            rgb=np.zeros((*shape, 8, 8, 3), dtype=np.uint8),
            depth_m=np.ones((*shape, 8, 8), dtype=np.float32),
            action=np.zeros((*shape, 3), dtype=np.float32),
            egomotion=np.zeros((*shape, 3), dtype=np.float32),
            bumped=np.zeros(shape, dtype=bool),
            pose=pose,
            is_planned=np.zeros(shape, dtype=bool),
            objects=np.zeros((*shape, NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32),
            object_slots=np.zeros((*shape, NUM_OBJECTS), dtype=np.int32),
            step=np.zeros(shape, dtype=np.int64),
            episode_id=np.ones(batch_size, dtype=np.int64),
        )

    def at_version(self, version: int) -> "Walks":
        return self

    def append(self, transitions: object) -> int:
        return 1

    def __len__(self) -> int:
        return 1000


class PoseModel:
    """Its latent is the pose, its distance any function of two places."""

    checkpoint_id = "pose"
    trusted = True

    def __init__(self, metric: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        self._metric = metric

    def encode(self, observation: Observation, objects: np.ndarray) -> np.ndarray:
        return observation.T_world_camera[:2, 3].astype(np.float32)

    def rollout(self, z: np.ndarray, plans: np.ndarray) -> Rollout:
        raise AssertionError("not asked here")

    def distance(self, z: np.ndarray, z_goal: np.ndarray) -> np.ndarray:
        return self._metric(z, z_goal).astype(np.float32)


class WalledWorld(FlatWorld):
    """Moving along y costs three times as much: the straight line ranks places badly."""

    def geodesic_m(self, goal: Goal, start: np.ndarray | None = None) -> float:
        dx, dy = np.abs(np.asarray(goal.xy_m) - start[:2])
        return float(np.hypot(dx, 3 * dy))


def _walled(z: np.ndarray, z_goal: np.ndarray) -> np.ndarray:
    return np.hypot(z[:, 0] - z_goal[0], 3 * (z[:, 1] - z_goal[1]))


def test_a_distance_that_knows_the_walls_beats_the_straight_line() -> None:
    score = score_distance(PoseModel(_walled), Walks(), WalledWorld([]), SPEC, num_goals=16)
    assert score.spearman > 0.99
    assert score.within_goal > 0.99
    assert score.spearman_euclid < 0.9
    assert score.advantage.low > 0
    assert score.num_goals == 16
    assert score.num_pairs >= 5 * 16


def test_a_distance_that_knows_nothing_ranks_nothing() -> None:
    rng = np.random.default_rng(5)
    noise = PoseModel(lambda z, z_goal: rng.uniform(0, 1, len(z)))
    score = score_distance(noise, Walks(), FlatWorld([]), SPEC, num_goals=16)
    assert abs(score.spearman) < 0.3
    assert score.spearman_euclid > 0.95
    assert score.advantage.high < 0


def test_a_constant_distance_scores_zero_and_not_nan() -> None:
    constant = PoseModel(lambda z, z_goal: np.ones(len(z)))
    assert score_distance(constant, Walks(), FlatWorld([]), SPEC, num_goals=4).spearman == 0.0


def test_the_same_seed_scores_the_same() -> None:
    scores = [
        score_distance(PoseModel(_walled), Walks(), FlatWorld([]), SPEC, num_goals=4, seed=3)
        for _ in range(2)
    ]
    assert scores[0] == scores[1]


def test_a_life_that_is_too_short_says_so() -> None:
    class Short(Walks):
        def sample(self, *args: object, **kwargs: object) -> Batch:
            raise NotEnoughDataError("the longest episode has 4 frames")

    with pytest.raises(EvaluationError, match="too short to be scored: the longest"):
        score_distance(PoseModel(_walled), Short(), FlatWorld([]), SPEC)
