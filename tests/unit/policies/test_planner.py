import math

import numpy as np
import pytest
from fakes_policies import Box, BoxWorld, UnicycleModel, room

from memory.records import NUM_OBJECTS, OBJECT_FEATURES, Action
from policies.config import CostConfig, MapConfig, PlannerConfig
from policies.follower import LocalClearance
from policies.geodesic import Terrain
from policies.layers import VISIT_CELL_M, Layer
from policies.occupancy import OccupancyMap
from policies.planner import LatentPlanner, Situation

CONFIG = MapConfig(size_m=14.0)
TARGET = np.array([4.6, 2.0])


class Bench:
    """A room with a pillar between the body and its target."""

    def __init__(self, pose: list[float], *boxes: Box) -> None:
        self.world = BoxWorld([*room(6, 4), *boxes], pose)
        self.occupancy = OccupancyMap(self.world.spec, CONFIG)
        for _ in range(16):
            self.occupancy.update(self.world.observe(), 0)
            self.world.pose[2] += 2 * math.pi / 16
        self.world.pose[2] = pose[2]
        terrain = Terrain(self.occupancy, self.world.spec, CONFIG, body_xy_m=self.world.pose[:2])
        field = terrain.field(terrain.cells(TARGET[None]), through_unknown=True)
        assert field is not None
        self.field = field
        self.visits = Layer(VISIT_CELL_M, 14.0)
        self.visits.clear(self.occupancy.origin_m)
        self.observation = self.world.observe()
        self.time_left_s = math.inf

    def situation(self, wanted: tuple[float, float] = (0.0, 0.5)) -> Situation:
        return Situation(
            observation=self.observation,
            objects=np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32),
            pose=self.world.pose.copy(),
            field=lambda: self.field,
            near=LocalClearance(self.occupancy, self.world.pose[:2]),
            visits=self.visits,
            wanted=wanted,
            z_goal=lambda: None,
            aim=lambda: TARGET,
            time_left_s=lambda: self.time_left_s,
        )

    def drive(self, planner: LatentPlanner, ticks: int) -> int:
        """Return how many ticks the planner steered."""
        steered = 0
        for step in range(ticks):
            self.occupancy.update(self.observation, step)
            command = planner.act(self.situation())
            steered += command is not None
            v, w = command or (0.0, 0.5)
            self.observation = self.world.step(Action(v_mps=v, w_radps=w, duration_s=0.2))
            if np.hypot(*(self.world.pose[:2] - TARGET)) < 0.3:
                break
        return steered


def planner_with(bench: Bench, model: UnicycleModel | None, **changes: object) -> LatentPlanner:
    """Return a planner that plans in every place unless `open_m` says otherwise."""
    config = PlannerConfig(**({"open_m": math.inf} | changes))
    planner = LatentPlanner(bench.world.spec, config, np.random.default_rng(0))
    planner.use_model(model)
    return planner


@pytest.mark.parametrize("yaw", [0.0, 2.5])
def test_an_analytic_model_is_steered_around_an_obstacle(yaw: float) -> None:
    bench = Bench([1.2, 2.0, yaw], Box(2.6, 1.5, 3.0, 2.5, top_m=1.2))
    planner = planner_with(bench, UnicycleModel(bench.world.spec))
    steered = bench.drive(planner, 60)
    assert np.hypot(*(bench.world.pose[:2] - TARGET)) < 0.3
    assert bench.world.num_bumps == 0
    assert steered > 15
    assert bench.world.path_m < 1.35 * 3.4


def test_plans_are_executed_for_some_steps_before_planning_again() -> None:
    bench = Bench([1.2, 2.0, 0.0])
    model = UnicycleModel(bench.world.spec)
    planner = planner_with(bench, model, num_iterations=2, execute_blocks=2, block_steps=2)
    bench.drive(planner, 8)
    assert planner.num_plans_made == 2
    assert model.num_rollouts == 4


def test_the_reason_for_stepping_aside_is_told() -> None:
    bench = Bench([1.2, 2.0, 0.0])
    planner = planner_with(bench, None)
    assert planner.act(bench.situation()) is None
    assert planner.reason == "no model yet"
    planner.use_model(UnicycleModel(bench.world.spec, trusted=False))
    assert planner.act(bench.situation()) is None
    assert "unicycle-1 is not trusted" in planner.reason
    planner.use_model(UnicycleModel(bench.world.spec))
    assert planner.act(bench.situation()) is not None
    assert planner.reason == ""


def test_a_planner_that_is_switched_off_stays_off() -> None:
    bench = Bench([1.2, 2.0, 0.0])
    planner = planner_with(bench, UnicycleModel(bench.world.spec), enabled=False)
    assert planner.act(bench.situation()) is None
    assert planner.reason == "planner switched off"


def test_a_model_that_predicts_motion_wrongly_is_distrusted() -> None:
    bench = Bench([1.2, 2.0, 0.0])
    planner = planner_with(bench, UnicycleModel(bench.world.spec, scale=0.2))
    steered = bench.drive(planner, 30)
    assert "off by" in planner.reason
    assert steered < 30


def test_collision_risk_turns_the_plan_away() -> None:
    """The map knows nothing of it; only the model says that the straight way is stopped."""

    class Wary(UnicycleModel):
        def rollout(self, z, plans):
            out = super().rollout(z, plans)
            straight = np.abs(out.z[..., 1] - 2.0) < 0.25
            out.p_collision[straight & (out.z[..., 0] > 1.6)] = 1.0
            return out

    bench = Bench([1.2, 2.0, 0.0])
    planner = planner_with(bench, Wary(bench.world.spec), cost=CostConfig(collision=20.0))
    ys = []
    for _ in range(10):
        command = planner.act(bench.situation((0.75, 0.0)))
        assert command is not None
        action = Action(v_mps=command[0], w_radps=command[1], duration_s=0.2)
        bench.observation = bench.world.step(action)
        ys.append(abs(bench.world.pose[1] - 2.0))
    assert max(ys) > 0.2 or bench.world.pose[0] < 1.7


def test_the_same_seed_plans_the_same() -> None:
    commands = []
    for _ in range(2):
        bench = Bench([1.2, 2.0, 0.4])
        planner = planner_with(bench, UnicycleModel(bench.world.spec))
        commands.append([planner.act(bench.situation()) for _ in range(3)])
    assert commands[0] == commands[1]


def test_on_open_floor_the_follower_drives_and_beside_obstacles_the_model_plans() -> None:
    for yaw, plans in ((0.0, False), (math.pi / 2, True)):
        bench = Bench([3.0, 2.0, yaw], Box(2.5, 2.5, 3.5, 3.0, top_m=1.2))
        planner = planner_with(bench, UnicycleModel(bench.world.spec), open_m=0.1)
        command = planner.act(bench.situation((0.6, 0.0)))
        assert (planner.num_plans_made == 1) == plans
        assert (planner.reason == "open floor: the follower needs no plan") == (not plans)
        assert plans or command is None


def test_a_body_that_does_not_move_as_told_is_planned_for_on_open_floor_too() -> None:
    for slip, plans in ((1.0, False), (0.5, True)):
        bench = Bench([1.2, 2.0, 0.0])
        planner = planner_with(bench, UnicycleModel(bench.world.spec), open_m=0.1)
        for _ in range(14):
            bench.world.pose[:2] = (1.2, 2.0)
            planner.act(bench.situation((0.6, 0.0)))
            bench.observation = bench.world.step(
                Action(v_mps=slip * 0.6, w_radps=0.0, duration_s=0.2)
            )
        bench.world.pose[:2] = (1.2, 2.0)
        planner.act(bench.situation((0.6, 0.0)))
        assert (planner.num_plans_made > 0) == plans


class Reflex(UnicycleModel):
    """A model that also acts at once, towards the goal it is given."""

    def react(self, z: np.ndarray, goal_m: np.ndarray) -> tuple[float, float]:
        self.goal_m = goal_m
        return 0.3, 9.0


def test_when_time_is_out_the_distilled_policy_acts_within_the_limits_of_the_body() -> None:
    bench = Bench([1.2, 2.0, math.pi / 2])
    model = Reflex(bench.world.spec)
    planner = planner_with(bench, model)
    assert planner.act(bench.situation()) is not None
    assert planner.source == "planner"
    planner.reset()
    bench.time_left_s = 0.0
    assert planner.act(bench.situation()) == (0.3, bench.world.spec.w_max_radps)
    assert planner.source == "reactive"
    assert planner.reason == "no time left to plan: the distilled policy acts"
    np.testing.assert_allclose(model.goal_m, [0.0, -3.4], atol=1e-5)
    assert planner.num_plans_made == 1


def test_when_time_is_out_and_nothing_is_distilled_the_follower_drives() -> None:
    bench = Bench([1.2, 2.0, 0.0])
    planner = planner_with(bench, UnicycleModel(bench.world.spec))
    bench.time_left_s = 0.0
    assert planner.act(bench.situation()) is None
    assert planner.reason == "no time left to plan: the follower drives"


def test_a_plan_is_carried_out_although_its_time_is_out() -> None:
    bench = Bench([1.2, 2.0, 0.0])
    now_s = [0.0]

    class Slow(UnicycleModel):
        def rollout(self, z, plans):
            now_s[0] += 0.02
            return super().rollout(z, plans)

    model = Slow(bench.world.spec)
    config = PlannerConfig(open_m=math.inf, num_iterations=9)
    bench.time_left_s = 0.05
    planner = LatentPlanner(
        bench.world.spec, config, np.random.default_rng(0), clock=lambda: now_s[0]
    )
    planner.use_model(model)
    assert planner.act(bench.situation((0.75, 0.0))) is not None
    assert planner.num_plans_made == 1
    assert model.num_rollouts == 2
