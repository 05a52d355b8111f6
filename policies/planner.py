"""Model-predictive control in latent space for the next metres.

The map plans everything farther away; here a learned model says how the body will move and
whether it will be stopped, and the map's geodesic field says what that is worth.

Axis letters: s plans, t time, d latent, b blocks.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from memory.frames import egomotion_between
from memory.records import ActionSource, BodySpec, Observation, Rollout
from policies.cem import minimise
from policies.config import PlannerConfig
from policies.cost import Surroundings, plan_costs
from policies.follower import LocalClearance, arc_poses
from policies.geodesic import Field
from policies.layers import Layer
from policies.protocols import LatentModel, ReactivePolicy
from policies.timebox import TimeBox

METRES_PER_STEP = 0.12
AGREEMENT_STEPS = 12
MAX_OFF_M = 0.06
MAX_OFF_RAD = 0.15
DISTRUST_STEPS = 60
OPEN_TIMES_S = np.linspace(0.0, 0.8, 5)
"""The follower needs no plan while its arc stays in the open for so long."""
SLIP_M = 0.05
SLIP_RAD = 0.1
"""A body whose ticks end so far from where an ideal one would be does not move as it is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the planner needs to know of one moment.

    Attributes:
        observation: Now.
        objects: Object rows of the observation.
        pose: Body in the world frame.
        field: Returns the distance to where the body should go, None if it cannot be stood on;
            asked only for a plan.
        near: Obstacles around the body.
        visits: How often places were visited.
        wanted: (v_mps, w_radps) that the geodesic follower would command.
        z_goal: Returns the latent of a view at the goal, if one is known; asked only for a plan.
        aim: Returns the point that the geodesic follower aims at, world frame; asked only by the
            distilled policy.
        time_left_s: Returns how long planning may still take.
    """

    observation: Observation
    objects: Float32[np.ndarray, "k f"]
    pose: Float64[np.ndarray, "3"]
    field: Callable[[], Field | None]
    near: LocalClearance
    visits: Layer
    wanted: tuple[float, float]
    z_goal: Callable[[], Float32[np.ndarray, "d"] | None]
    aim: Callable[[], Float64[np.ndarray, "2"]]
    time_left_s: Callable[[], float]


class LatentPlanner:
    """CEM over velocity blocks, warm-started, with reasons when it steps aside.

    Attributes:
        reason: Why the last call did not plan, "" when it did.
        num_plans_made: Plans made so far.
        source: Whether the last command came from a plan or from the distilled policy.
    """

    def __init__(
        self,
        spec: BodySpec,
        config: PlannerConfig,
        rng: np.random.Generator,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._clock = clock
        self._config = config
        self._rng = rng
        self._model: LatentModel | None = None
        self.reason = "no model yet"
        self.num_plans_made = 0
        self.source: ActionSource = "planner"
        self._reactive: ReactivePolicy | None = None
        blocks = config.horizon_blocks
        self._low = np.tile([0.0, -spec.w_max_radps], blocks)
        self._high = np.tile([spec.v_max_mps, spec.w_max_radps], blocks)
        self._std = np.tile([0.4 * spec.v_max_mps, 0.5 * spec.w_max_radps], blocks)
        self._off: deque[tuple[float, float]] = deque(maxlen=AGREEMENT_STEPS)
        self._tick_s = np.array([spec.tick_s])
        self._slip: deque[tuple[float, float]] = deque(maxlen=AGREEMENT_STEPS)
        self._distrust_left = 0
        self.reset()

    def use_model(self, model: LatentModel | None) -> None:
        """Swap the model; what the old one planned is dropped."""
        self._model = model
        self._reactive = model if isinstance(model, ReactivePolicy) else None
        self._distrust_left = 0
        self._off.clear()
        self.reset()

    def reset(self) -> None:
        """Drop the plan in hand: the target changed."""
        self._mean: Float64[np.ndarray, "n"] | None = None
        self._queue: deque[tuple[float, float]] = deque()
        self._expected: deque[Float64[np.ndarray, "3"]] = deque()
        self._sent: tuple[float, float] | None = None

    def step_aside(self, reason: str) -> None:
        """Leave this tick to the follower, and say why."""
        self.reset()
        self.reason = reason

    def is_ready(self) -> bool:
        """Return whether the model may steer now; sets `reason` when not."""
        if not self._config.enabled:
            self.reason = "planner switched off"
        elif self._model is None:
            self.reason = "no model yet"
        elif not self._model.trusted:
            self.reason = f"model {self._model.checkpoint_id} is not trusted by its probes"
        elif self._distrust_left > 0:
            self._distrust_left -= 1
        else:
            self.reason = ""
        return self.reason == ""

    def act(self, now: Situation) -> tuple[float, float] | None:
        """Return (v_mps, w_radps) for the next tick, None to leave it to the follower."""
        self._compare(now)
        if not self.is_ready():
            self.reset()
            return None
        if not self._queue and self._is_open(now):
            self.reset()
            self.reason = "open floor: the follower needs no plan"
            self._sent = now.wanted
            return None
        self.source = "planner"
        if not self._queue and now.time_left_s() <= 0:
            command = self._react(now)
        else:
            command = self._planned(now)
        if command is None:
            return None
        v, w = command
        times = np.linspace(0.0, 1.5 * self._spec.tick_s, 5)[1:]
        here = now.near.at_point(now.pose[:2])
        if now.near.tightest(now.pose, v, w, times) < min(self._spec.radius_m + 0.01, here):
            self.reason = "the planned arc touches an obstacle of the map"
            self.reset()
            return None
        self._sent = (v, w)
        return v, w

    def _planned(self, now: Situation) -> tuple[float, float] | None:
        """Return the next command of the plan in hand, or of a new one."""
        if not self._queue:
            field = now.field()
            if field is None:
                self.reason = "the target cannot be stood on"
                self.reset()
                return None
            self._plan(now, field)
        return self._queue.popleft()

    def _is_open(self, now: Situation) -> bool:
        """Return whether the follower's next arc stays away from everything, on a body that obeys.

        A plan costs more than everything else in a tick. Where there is room, a body that moves as
        it is told gains nothing from one.
        """
        if len(self._slip) == AGREEMENT_STEPS:
            slip_m, slip_rad = _mean(self._slip)
            if slip_m > SLIP_M or slip_rad > SLIP_RAD:
                return False
        room_m = self._spec.radius_m + self._config.open_m
        return now.near.tightest(now.pose, *now.wanted, OPEN_TIMES_S, room_m) > room_m

    def _react(self, now: Situation) -> tuple[float, float] | None:
        """Return what the distilled policy would do, None if the model has none."""
        assert self._model is not None
        self.reset()
        if self._reactive is None:
            self.reason = "no time left to plan: the follower drives"
            return None
        self.reason = "no time left to plan: the distilled policy acts"
        self.source = "reactive"
        there = np.array([*now.aim(), 0.0])
        goal_m = egomotion_between(now.pose, there)[:2].astype(np.float64)
        v, w = self._reactive.react(self._model.encode(now.observation, now.objects), goal_m)
        return float(np.clip(v, self._low[0], self._high[0])), float(
            np.clip(w, self._low[1], self._high[1])
        )

    def _plan(self, now: Situation, field: Field) -> None:
        config, model = self._config, self._model
        assert model is not None
        time_box = TimeBox(now.time_left_s(), self._clock)
        z, z_goal = model.encode(now.observation, now.objects), now.z_goal()
        around = Surroundings(
            pose=now.pose,
            field=field,
            near=now.near,
            visits=now.visits,
            radius_m=self._spec.radius_m,
            target_m=self._straight_to(now, z_goal),
        )
        follow = np.tile(np.array(now.wanted), config.horizon_blocks)
        mean = follow if self._mean is None else self._mean
        seeds = np.stack([follow, mean, 0.5 * (follow + mean)])
        expected: dict[bytes, np.ndarray] = {}

        def cost(samples: np.ndarray) -> np.ndarray:
            plans = self._plans(samples)
            rollout = model.rollout(z, plans)
            for row, ego in zip(samples, rollout.egomotion, strict=True):
                expected[row.tobytes()] = ego
            costs = plan_costs(config.cost, around, rollout)
            if z_goal is not None and config.cost.goal_term == "quasi":
                costs = costs + config.cost.progress * self._nearest(rollout, z_goal)
            elif z_goal is not None and config.cost.goal_latent:
                steps = model.distance(np.ascontiguousarray(rollout.z[:, -1]), z_goal)
                costs = costs + config.cost.goal_latent * METRES_PER_STEP * steps
            return costs

        mean, best, _ = minimise(
            cost,
            mean,
            self._std,
            (self._low, self._high),
            num_samples=config.num_plans,
            num_elites=config.num_elites,
            num_iterations=config.num_iterations,
            rng=self._rng,
            seeds=seeds,
            min_std=0.1 * self._std,
            has_time=time_box,
        )
        self.num_plans_made += 1
        steps = config.execute_blocks * config.block_steps
        commands = np.repeat(best.reshape(-1, 2), config.block_steps, axis=0)[:steps]
        self._queue.extend((float(v), float(w)) for v, w in commands)
        self._expected.extend(expected[best.tobytes()][:steps].astype(np.float64))
        shifted = np.roll(mean.reshape(-1, 2), -config.execute_blocks, axis=0)
        shifted[-config.execute_blocks :] = follow[:2]
        self._mean = shifted.ravel()

    def _straight_to(
        self, now: Situation, z_goal: Float32[np.ndarray, "d"] | None
    ) -> Float64[np.ndarray, "2"] | None:
        """Return the point that plans are measured to in a straight line, None to use others."""
        term = self._config.cost.goal_term
        if term == "way" or (term == "quasi" and z_goal is not None):
            return None
        return now.aim()

    def _nearest(
        self, rollout: Rollout, z_goal: Float32[np.ndarray, "d"]
    ) -> Float64[np.ndarray, "s"]:
        """Return the least quasi-distance along each plan, in metres."""
        assert self._model is not None
        num, horizon, width = rollout.z.shape
        flat = np.ascontiguousarray(rollout.z.reshape(num * horizon, width))
        steps = self._model.distance(flat, z_goal).reshape(num, horizon)
        least: Float64[np.ndarray, "s"] = METRES_PER_STEP * steps.min(axis=1).astype(np.float64)
        return least

    def _plans(self, samples: Float64[np.ndarray, "s n"]) -> Float32[np.ndarray, "s t 3"]:
        blocks = samples.reshape(len(samples), -1, 2)
        steps = np.repeat(blocks, self._config.block_steps, axis=1)
        duration = np.full((*steps.shape[:2], 1), self._spec.tick_s)
        return np.concatenate([steps, duration], axis=-1).astype(np.float32)

    def _compare(self, now: Situation) -> None:
        """Check the last command and prediction against what the body did."""
        if self._sent is None:
            return
        sent, self._sent = self._sent, None
        moved = now.observation.egomotion.astype(np.float64)
        ideal = arc_poses(np.zeros(3), *sent, self._tick_s)[0]
        self._slip.append(_off(moved, ideal))
        if not self._expected:
            return
        expected = self._expected.popleft()
        if now.observation.bumped or self._slip[-1][0] > MAX_OFF_M:
            return  # stopped or slowed by something other than the model
        self._off.append(_off(moved, expected))
        if len(self._off) < AGREEMENT_STEPS:
            return
        off_m, off_rad = _mean(self._off)
        if off_m > MAX_OFF_M or off_rad > MAX_OFF_RAD:
            self.reason = f"the model's motion is off by {off_m:.2f} m and {off_rad:.2f} rad a step"
            self._distrust_left = DISTRUST_STEPS
            self._off.clear()


def _off(a: Float64[np.ndarray, "3"], b: Float64[np.ndarray, "3"]) -> tuple[float, float]:
    gap = egomotion_between(b, a)
    return float(np.hypot(gap[0], gap[1])), abs(float(gap[2]))


def _mean(offs: deque[tuple[float, float]]) -> tuple[float, float]:
    return sum(off[0] for off in offs) / len(offs), sum(off[1] for off in offs) / len(offs)
