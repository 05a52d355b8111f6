import math
from dataclasses import replace

import numpy as np
import pytest
from fakes_policies import BoxWorld, UnicycleModel, fake_spec, room
from pydantic import ValidationError

from memory.records import Rollout
from policies.config import CostConfig, MapConfig
from policies.cost import Surroundings, plan_costs, plan_poses
from policies.follower import LocalClearance
from policies.geodesic import Terrain
from policies.layers import VISIT_CELL_M, Layer
from policies.occupancy import OccupancyMap

CONFIG = MapConfig(size_m=14.0)
NOTHING = {name: 0.0 for name in CostConfig.model_fields if name != "goal_term"}
SPEC = fake_spec()
LEFT, RIGHT = 0, 1


@pytest.fixture(scope="module")
def occupancy() -> OccupancyMap:
    """A room of 6 m by 4 m, seen from its middle."""
    world = BoxWorld(room(6, 4), np.array([3.0, 2.0, 0.0]))
    occupancy = OccupancyMap(SPEC, CONFIG)
    for _ in range(16):
        occupancy.update(world.observe(), 0)
        world.pose[2] += 2 * math.pi / 16
    return occupancy


@pytest.fixture
def around(occupancy: OccupancyMap) -> Surroundings:
    """A body in the middle, the target straight ahead, heading along x."""
    terrain = Terrain(occupancy, SPEC, CONFIG, body_xy_m=np.array([3.0, 2.0]))
    field = terrain.field(terrain.cells(np.array([[5.0, 2.0]])), through_unknown=True)
    assert field is not None
    visits = Layer(VISIT_CELL_M, 14.0)
    visits.clear(occupancy.origin_m)
    return Surroundings(
        pose=np.array([3.0, 2.0, 0.0]),
        field=field,
        near=LocalClearance(occupancy, np.array([3.0, 2.0])),
        visits=visits,
        radius_m=SPEC.radius_m,
    )


@pytest.fixture
def rollout() -> Rollout:
    """One plan turns left and one turns right, symmetrical about the body's heading."""
    plans = np.zeros((2, 6, 3), dtype=np.float32)
    plans[..., 0], plans[..., 2] = 0.5, 0.2
    plans[LEFT, :, 1], plans[RIGHT, :, 1] = 0.8, -0.8
    return UnicycleModel(SPEC).rollout(np.array([3, 2, 0, 0, 0, 0, 0, 0], np.float32), plans)


def costs(around: Surroundings, rollout: Rollout, **weights: float) -> np.ndarray:
    return plan_costs(CostConfig(**{**NOTHING, **weights}), around, rollout)


def test_with_all_weights_zero_only_known_obstacles_cost(
    around: Surroundings, rollout: Rollout
) -> None:
    np.testing.assert_array_equal(costs(around, rollout), 0.0)


def test_no_weight_trades_a_known_obstacle(around: Surroundings, occupancy: OccupancyMap) -> None:
    pose = np.array([3.0, 0.4, -math.pi / 2])
    at_wall = replace(around, pose=pose, near=LocalClearance(occupancy, pose[:2]))
    plans = np.zeros((1, 4, 3), dtype=np.float32)
    plans[..., 0], plans[..., 2] = 0.5, 0.2
    rollout = UnicycleModel(SPEC).rollout(np.array([*pose, 0, 0, 0, 0, 0], np.float32), plans)
    assert costs(at_wall, rollout)[0] >= 2 * 4.0


def test_each_weight_scales_its_own_term(around: Surroundings, rollout: Rollout) -> None:
    rollout.p_collision[LEFT] = 0.5
    around.visits.add(np.array([3.4, 2.1]), 5.0)
    for name in ("progress", "collision", "novelty"):
        once = costs(around, rollout, **{name: 1.0})
        assert (once != 0).any(), name
        np.testing.assert_allclose(costs(around, rollout, **{name: 3.0}), 3 * once)


def test_collision_and_novelty_turn_the_choice(around: Surroundings, rollout: Rollout) -> None:
    rollout.p_collision[LEFT] = 0.4
    found = costs(around, rollout, collision=5.0)
    np.testing.assert_allclose(found, [2.0, 0.0], atol=1e-6)
    around.visits.add(plan_poses(around.pose, rollout)[RIGHT, -1, :2], 20.0)
    found = costs(around, rollout, novelty=1.0)
    assert found[RIGHT] > found[LEFT]


def test_uncertainty_of_the_map_is_an_entropy_in_bits(rollout: Rollout) -> None:
    occupancy = OccupancyMap(SPEC, CONFIG)
    world = BoxWorld(room(6, 4), np.array([3.0, 2.0, 0.0]))
    occupancy.update(world.observe(), 0)
    near = LocalClearance(occupancy, np.array([3.0, 2.0]))
    xy = np.array([[3.9, 2.0], [2.2, 2.0]])
    cells = occupancy.cells(xy)
    odds = occupancy.log_odds[cells[:, 0], cells[:, 1]].astype(np.float64)
    assert odds[0] != 0
    assert odds[1] == 0
    p = 1 / (1 + np.exp(-odds))
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    np.testing.assert_allclose(near.uncertainty(xy), entropy)
    assert near.uncertainty(xy)[1] == 1.0


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        CostConfig(collision=-1.0)
