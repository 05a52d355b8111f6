"""What a plan costs: the drives of the agent, each with its weight in the settings.

Axis letters: s plans, t time.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from memory.frames import compose
from memory.records import Rollout
from policies.config import CostConfig
from policies.follower import LocalClearance
from policies.geodesic import Field
from policies.layers import Layer

GRID_COST = 4.0
"""Metres that a step into a known obstacle costs."""
TIGHT_COST = 1.0
TIGHT_M = 0.06
"""Room beyond the body's radius that still counts as tight."""
HEADING_AHEAD_M = 0.3
W_HEADING = 0.5
W_MEAN = 0.5
"""Share of the mean distance along the plan: arriving early counts, not only arriving."""
NO_WAY_M = 3.0
"""Places without a way count this much farther than the body is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What plans are judged by.

    Attributes:
        pose: Body in the world frame.
        field: Distance to where the body should go.
        near: Obstacles around the body, and how sure the map is of them.
        visits: How often places were visited.
        radius_m: Of the body.
        target_m: Where the route aims, for what measures the straight line.
    """

    pose: Float64[np.ndarray, "3"]
    field: Field
    near: LocalClearance
    visits: Layer
    radius_m: float
    target_m: Float64[np.ndarray, "2"] | None = None


def plan_costs(
    weights: CostConfig, around: Surroundings, rollout: Rollout
) -> Float64[np.ndarray, "s"]:
    """Return the cost of plans in metres of way.

    Known obstacles cost the same whatever the weights: no setting trades a wall for progress.
    """
    poses = plan_poses(around.pose, rollout)
    xy = poses[..., :2]
    cost = _known_obstacles(around, xy)
    if weights.progress and weights.goal_term == "way":
        cost = cost + weights.progress * progress(around, poses)
    elif weights.progress and around.target_m is not None:
        cost = cost + weights.progress * np.linalg.norm(xy - around.target_m, axis=-1).min(axis=1)
    if weights.collision:
        cost = cost + weights.collision * rollout.p_collision.mean(axis=1)
    if weights.novelty:
        cost = cost + weights.novelty * familiarity(around, xy)
    if weights.map_uncertainty:
        cost = cost + weights.map_uncertainty * around.near.uncertainty(xy).mean(axis=1)
    return cost


def plan_poses(pose: Float64[np.ndarray, "3"], rollout: Rollout) -> Float64[np.ndarray, "s t 3"]:
    """Return where plans lead, world frame."""
    num, horizon = rollout.p_collision.shape
    poses = np.empty((num, horizon, 3))
    at = np.broadcast_to(pose, (num, 3))
    for t in range(horizon):
        at = compose(at, rollout.egomotion[:, t])
        poses[:, t] = at
    return poses


def progress(around: Surroundings, poses: Float64[np.ndarray, "s t 3"]) -> Float64[np.ndarray, "s"]:
    """Return the way that is left, in metres: least, mean and where the plan's end faces."""
    field, shape = around.field, poses.shape[:2]
    here_m = float(field.at(around.pose[None, :2])[0])
    away_m = (here_m if np.isfinite(here_m) else 0.0) + NO_WAY_M
    way = np.minimum(field.at(poses[..., :2].reshape(-1, 2)), away_m).reshape(shape)
    end = poses[:, -1]
    ahead = end[:, :2] + HEADING_AHEAD_M * np.stack([np.cos(end[:, 2]), np.sin(end[:, 2])], -1)
    facing = (np.minimum(field.at(ahead), away_m) - way[:, -1]) / HEADING_AHEAD_M
    # The closest approach counts, not only the end: a plan may pass its target.
    left: Float64[np.ndarray, "s"] = (
        way.min(axis=1) + W_MEAN * way.mean(axis=1) + W_HEADING * np.clip(facing, -1, 1)
    )
    return left


def familiarity(around: Surroundings, xy: Float64[np.ndarray, "s t 2"]) -> Float64[np.ndarray, "s"]:
    """Return how often the places of plans were visited, as a mean logarithm."""
    visits = np.log1p(around.visits.at(xy.reshape(-1, 2))).reshape(xy.shape[:2])
    mean: Float64[np.ndarray, "s"] = visits.mean(axis=1)
    return mean


def _known_obstacles(
    around: Surroundings, xy: Float64[np.ndarray, "s t 2"]
) -> Float64[np.ndarray, "s"]:
    clearance, radius = around.near.at(xy), around.radius_m
    tight = np.clip((radius + TIGHT_M - clearance) / TIGHT_M, 0, 1).sum(axis=1)
    cost: Float64[np.ndarray, "s"] = GRID_COST * (clearance < radius).sum(axis=1)
    return cost + TIGHT_COST * tight
