"""How well a checkpoint's quasi-distance ranks places, against the true geodesic.

Near-field only: beyond a few metres the map plans, and the quasi-distance is never asked. The
straight line is the baseline that the learned distance has to beat.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.stats import spearmanr

from agentd.build import build_model_loader, build_oracle, build_world
from agentd.evaluate.errors import EvaluationError
from agentd.evaluate.statistics import Interval, cluster_bootstrap
from agentd.home import Home
from agentd.worlds.base import Resumable
from agentd.worlds.oracle import Oracle
from configs.schema import AgentConfig
from learners.registry import Registry
from memory.errors import NotEnoughDataError
from memory.frames import se3_from_pose
from memory.protocols import ReplayStore
from memory.records import Batch, BodySpec, Observation, PointGoal
from memory.replay.store import LanceReplay
from policies.protocols import LatentModel

NEAR_M = 3.0
"""Twenty steps at full speed: as far as the quasi-distance is trained."""

_MIN_STARTS = 5
"""A goal with fewer starts ranks nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistanceScore:
    """Rank correlations with the true geodesic over frames of probe episodes.

    Attributes:
        num_goals: Goals.
        num_pairs: (start, goal) pairs.
        spearman: Of the quasi-distance, over all pairs.
        spearman_euclid: Of the straight line, over the same pairs.
        within_goal: Mean over goals of the quasi-distance's rank correlation among the starts of
            one goal: what a planner needs, as it compares places for one goal.
        within_goal_euclid: The same of the straight line.
        advantage: Their difference per goal, with its interval over goals.
    """

    num_goals: int
    num_pairs: int
    spearman: float
    spearman_euclid: float
    within_goal: float
    within_goal_euclid: float
    advantage: Interval


def score_distance(
    model: LatentModel,
    replay: ReplayStore,
    oracle: Oracle,
    spec: BodySpec,
    *,
    seed: int = 0,
    num_goals: int = 32,
    num_starts: int = 16,
    horizon: int = 10,
) -> DistanceScore:
    """Score the quasi-distance on frames that no model was trained on.

    Args:
        model: The checkpoint.
        replay: What the life has seen; its held-out episodes are used.
        oracle: Truth about the house of that life, as it is now.
        spec: Body of that life.
        seed: Draws frames, goals and starts.
        num_goals: Goals, at most.
        num_starts: Starts per goal, at most.
        horizon: Frames per window drawn.

    Raises:
        EvaluationError: If the life holds too little that was held out.
    """
    rng = np.random.default_rng(seed)
    try:
        batch = replay.sample(4 * num_goals, horizon, rng, held_out=True)
    except NotEnoughDataError as error:
        raise EvaluationError(f"the life is too short to be scored: {error}") from error
    z, poses = _encode(model, batch, spec)
    goals: list[int] = []
    learned: list[np.ndarray] = []
    straight: list[np.ndarray] = []
    true: list[np.ndarray] = []
    for goal in rng.permutation(len(poses)):
        if len(goals) == num_goals:
            break
        starts, geodesic_m = _near_starts(oracle, poses, int(goal), num_starts, rng)
        if len(starts) < _MIN_STARTS or np.ptp(geodesic_m) == 0:
            continue
        goals.append(int(goal))
        true.append(geodesic_m)
        learned.append(np.asarray(model.distance(z[starts], z[goal]), dtype=np.float64))
        straight.append(_straight_m(poses[starts], poses[goal]))
    if len(goals) < 2:
        raise EvaluationError(
            "the held-out episodes hold too few places near each other to compare distances; "
            "let the life go on"
        )
    return _score(learned, straight, true)


def score_home(home: Home, config: AgentConfig, checkpoint_id: str | None = None) -> DistanceScore:
    """Score a checkpoint of a life on that life's own house, as it was saved last.

    Args:
        home: The life; it may be running.
        config: Its settings.
        checkpoint_id: The checkpoint; None takes the promoted one.

    Raises:
        EvaluationError: If there is no checkpoint, no truth about the world, or too little data.
    """
    registry = Registry(home.checkpoints_folder)
    chosen = checkpoint_id or registry.promoted()
    if chosen is None:
        raise EvaluationError(f"the life in {home.path} has promoted no checkpoint yet")
    model = build_model_loader(registry)(chosen)
    world = build_world(config.world)
    try:
        oracle = build_oracle(world)
        if oracle is None:
            raise EvaluationError("a world that does not know the truth about itself scores nobody")
        state = home.state_folder / "world.bin"
        if state.exists() and isinstance(world, Resumable):
            world.load_state(state.read_bytes())
        replay = LanceReplay(home.memory_folder, config.memory.replay)
        try:
            return score_distance(model, replay, oracle, world.spec, seed=config.life.seed)
        finally:
            replay.close()
    finally:
        world.close()


def _score(
    learned: list[Float64[np.ndarray, "_"]],
    straight: list[Float64[np.ndarray, "_"]],
    true: list[Float64[np.ndarray, "_"]],
) -> DistanceScore:
    within = np.array([_spearman(d, t) for d, t in zip(learned, true, strict=True)])
    within_euclid = np.array([_spearman(d, t) for d, t in zip(straight, true, strict=True)])
    truth = np.concatenate(true)
    return DistanceScore(
        num_goals=len(true),
        num_pairs=len(truth),
        spearman=_spearman(np.concatenate(learned), truth),
        spearman_euclid=_spearman(np.concatenate(straight), truth),
        within_goal=float(within.mean()),
        within_goal_euclid=float(within_euclid.mean()),
        advantage=cluster_bootstrap(within - within_euclid, np.arange(len(true))),
    )


def _encode(
    model: LatentModel, batch: Batch, spec: BodySpec
) -> tuple[Float32[np.ndarray, "n d"], Float64[np.ndarray, "n 3"]]:
    """Return latents and poses of all frames of the windows."""
    latents, poses = [], []
    for b in range(batch.rgb.shape[0]):
        for t in range(batch.rgb.shape[1]):
            observation = Observation(
                stamp_ns=int(batch.step[b, t]),
                rgb=batch.rgb[b, t],
                depth_m=batch.depth_m[b, t],
                instances=None,
                labels=("",),
                T_world_camera=se3_from_pose(batch.pose[b, t]) @ spec.T_body_camera,
                egomotion=batch.egomotion[b, t],
                bumped=bool(batch.bumped[b, t]),
            )
            latents.append(model.encode(observation, batch.objects[b, t]))
            poses.append(batch.pose[b, t].astype(np.float64))
    return np.stack(latents), np.stack(poses)


def _near_starts(
    oracle: Oracle,
    poses: Float64[np.ndarray, "n 3"],
    goal: int,
    num_starts: int,
    rng: np.random.Generator,
) -> tuple[Int64[np.ndarray, "starts"], Float64[np.ndarray, "starts"]]:
    """Draw frames within reach of the goal frame, and their true geodesics to it."""
    straight_m = _straight_m(poses, poses[goal])
    near = np.flatnonzero((straight_m <= NEAR_M) & (straight_m > 0))
    drawn = rng.permutation(near)[:num_starts]
    target = PointGoal(goal_id="probe", xy_m=(float(poses[goal, 0]), float(poses[goal, 1])))
    geodesic_m = np.array([oracle.geodesic_m(target, poses[start]) for start in drawn])
    reachable = geodesic_m <= NEAR_M
    return drawn[reachable].astype(np.int64), geodesic_m[reachable]


def _straight_m(
    poses: Float64[np.ndarray, "n 3"], goal: Float64[np.ndarray, "3"]
) -> Float64[np.ndarray, "n"]:
    return np.hypot(poses[:, 0] - goal[0], poses[:, 1] - goal[1])


def _spearman(a: Float64[np.ndarray, "n"], b: Float64[np.ndarray, "n"]) -> float:
    """Return the rank correlation, 0 where one side is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b).statistic)
