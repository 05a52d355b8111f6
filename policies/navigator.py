"""The policy: senses into the map, asks the pursuit what it wants, and drives."""

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64

from memory.frames import body_pose, wrap_rad
from memory.records import (
    Action,
    ActionSource,
    BodySpec,
    Detection,
    Goal,
    ImageGoal,
    ObjectGoal,
    Observation,
    PointGoal,
)
from policies.config import PoliciesConfig
from policies.explorer import Explorer
from policies.find_object import FindObject
from policies.follower import Follower, LocalClearance
from policies.keyframes import Keyframes
from policies.layers import VISIT_CELL_M, Layer
from policies.occupancy import OccupancyMap
from policies.perception import object_rows
from policies.planner import LatentPlanner, Situation
from policies.protocols import Decision, LatentModel, Mode, SlotSource
from policies.pursuit import Intent, Place, Wander
from policies.reach import ReachPoint, ReachView
from policies.recovery import Recovery, StuckWatch
from policies.route import Moment, Route, Router

BUMPS_BEFORE_RECOVERY = 3
BUMP_MEMORY_STEPS = 25
BLOCKED_BEFORE_RECOVERY = 4
"""Ticks in which the follower found no clear arc."""
RECOVERIES_BEFORE_GIVING_UP = 2
VISIT_FADE = 0.999
PATH_POINTS = 24
CARRIED_M = 1.0
"""A body that moved farther than this in one tick was carried: it looks around again."""


class Navigator:
    """Explores, finds objects, reaches points; keeps one map through many goals.

    Attributes:
        map: Occupancy of the place.
        explorer: Frontiers, unreachable places and learning progress.
        planner: Latent planner; its `reason` says why it steps aside.
    """

    def __init__(
        self,
        spec: BodySpec,
        config: PoliciesConfig,
        slots: SlotSource,
        rng: np.random.Generator,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._config = config
        self._clock, self._began_s = clock, clock()
        self.map = OccupancyMap(spec, config.map)
        self.explorer = Explorer(config.explore, config.map.size_m, spec.tick_s)
        self.planner = LatentPlanner(spec, config.planner, rng)
        self._model: LatentModel | None = None
        self._place = Place(
            spec=spec,
            config=config,
            occupancy=self.map,
            router=Router(spec, config, self.map),
            explorer=self.explorer,
            keyframes=Keyframes(spec),
            slots=slots,
        )
        self._follower = Follower(spec, config.map.clearance_m)
        self._stuck = StuckWatch(spec)
        self._recovery = Recovery(spec, rng)
        self._visits = Layer(VISIT_CELL_M, config.map.size_m)
        half_fov = math.atan2(spec.width_px / 2, spec.fx_px)
        self._look_around_rad = 2 * math.pi - 1.5 * half_fov
        self._step = -1
        self._xy_before: tuple[float, float] | None = None
        self.reset(keep_map=False)

    @property
    def model(self) -> LatentModel | None:
        """The model in use."""
        return self._model

    def act(
        self, observation: Observation, detections: Sequence[Detection], goal: Goal | None
    ) -> Decision:
        """Take in an observation and decide."""
        self._began_s = self._clock()
        self._step += 1
        now = self._sense(observation, detections)
        if self._pursuit is None or goal != self._goal:
            self._begin(goal, now)
        assert self._pursuit is not None
        self._pursuit.notice(now)
        deadline = goal.deadline_steps if goal is not None else None
        if deadline is not None and self._step - self._pursuit.begun_step >= deadline:
            why = f"not reached within {deadline} steps"
            return self._decide(now, Intent(mode=Mode.IDLE, reason=why, failed=why), (0.0, 0.0))
        self._watch_body(now)
        if self._recovery.is_active:
            intent = Intent(mode=Mode.RECOVER, reason="the body is stuck: turning to open space")
            return self._decide(now, intent, self._recovery.command(now.pose))
        if self._turned_rad < self._look_around_rad:
            self._turned_rad += abs(float(observation.egomotion[2]))
            intent = Intent(mode=Mode.INITIALISE, reason="looking around in a new place")
            return self._decide(now, intent, (0.0, 0.9 * self._spec.w_max_radps))
        intent = self._pursuit.intend(now)
        return self._decide(now, intent, self._command(now, intent))

    def use_model(self, model: LatentModel | None) -> None:
        """Swap the model between two steps."""
        self._model = model
        self.planner.use_model(model)
        self._place.keyframes.use_model(model)

    def reset(self, *, keep_map: bool = True) -> None:
        """Forget the goal in hand; with keep_map False also the map."""
        self._goal: Goal | None = None
        self._pursuit: Wander | None = None
        self._bumps: list[int] = []
        self._num_recoveries = 0
        self._num_blocked = 0
        self._stuck.clear()
        self._recovery.cancel()
        self.planner.reset()
        self._source: ActionSource = "explorer"
        if not keep_map:
            self.map.clear()
            self._place.keyframes.clear()
            self._place.router.reset()
            self._turned_rad = 0.0

    def note_learning_progress(self, samples: Sequence[tuple[float, float, float]]) -> None:
        """Take in (x_m, y_m, old error - new error) of a learning round."""
        self.explorer.progress.note(samples)

    def save(self) -> dict[str, np.ndarray]:
        """Return everything that is known about the place, as plain arrays."""
        return {
            "policy_step": np.array(self._step),
            "policy_turned_rad": np.array(self._turned_rad),
            "policy_visits": self._visits.values.copy(),
            **self.map.save(),
            **self.explorer.save(),
            **self._place.keyframes.save(),
        }

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over what `save` returned.

        Raises:
            ValueError: If an array is missing or does not fit the configuration.
        """
        missing = [key for key in self.save() if key not in arrays]
        if missing:
            raise ValueError(f"saved policy state lacks {', '.join(missing)}")
        self.reset(keep_map=False)
        self.map.load(arrays)
        self.explorer.load(arrays, self.map.origin_m)
        self._place.keyframes.load(arrays)
        self._place.keyframes.use_model(self._model)
        self._visits.clear(self.map.origin_m)
        if arrays["policy_visits"].shape == self._visits.values.shape:
            self._visits.values[:] = arrays["policy_visits"]
        self._step = int(arrays["policy_step"])
        self._turned_rad = float(arrays["policy_turned_rad"])

    def _sense(self, observation: Observation, detections: Sequence[Detection]) -> Moment:
        pose = body_pose(observation.T_world_camera, self._spec).astype(np.float64)
        was_empty = self.map.is_empty
        if self._xy_before is not None and math.dist(pose[:2], self._xy_before) > CARRIED_M:
            self._turned_rad = 0.0
        self._xy_before = (float(pose[0]), float(pose[1]))
        self.map.update(observation, self._step)
        if was_empty and not self.map.is_empty:
            self.explorer.clear(self.map.origin_m)
            self._visits.clear(self.map.origin_m)
        if observation.bumped:
            self.map.mark_bump(pose, self._step)
        self.explorer.note_pose(pose[:2])
        self._visits.values *= VISIT_FADE
        self._visits.add(pose[:2], 1.0)
        rows = object_rows(detections, self._spec)
        self._place.keyframes.note(observation, rows, pose, self._step)
        return Moment(
            step=self._step,
            pose=pose,
            observation=observation,
            detections=detections,
            near=LocalClearance(self.map, pose[:2]),
        )

    def _begin(self, goal: Goal | None, now: Moment) -> None:
        self.reset()
        self._goal = goal
        match goal:
            case None:
                self._pursuit = Wander(self._place, now)
            case ObjectGoal():
                self._pursuit = FindObject(self._place, now, goal)
            case PointGoal():
                self._pursuit = ReachPoint(self._place, now, goal)
            case ImageGoal():
                self._pursuit = ReachView(self._place, now, goal)

    def _watch_body(self, now: Moment) -> None:
        """Notice bumps, wheels that turn in vain, and targets that bring no progress."""
        assert self._pursuit is not None
        if now.observation.bumped:
            self._bumps = [s for s in self._bumps if now.step - s < BUMP_MEMORY_STEPS] + [now.step]
            self._pursuit.drop_route()
            self.planner.reset()
        stuck = self._stuck.is_stuck(now.pose)
        if stuck:
            self.map.mark_bump(now.pose, now.step)
        stuck = stuck or self._num_blocked >= BLOCKED_BEFORE_RECOVERY
        if (stuck or len(self._bumps) >= BUMPS_BEFORE_RECOVERY) and not self._recovery.is_active:
            self._bumps, self._num_blocked = [], 0
            self._stuck.clear()
            self._num_recoveries += 1
            if self._num_recoveries > RECOVERIES_BEFORE_GIVING_UP:
                self._num_recoveries = 0
                self._pursuit.give_up(now, "the body got stuck on the way")
            self._pursuit.drop_route()
            self._recovery.start(now.pose, now.near)
        if self._pursuit.route is not None and self._place.router.has_stalled(now):
            self._pursuit.give_up(now, "no progress towards it")
            self._recovery.start(now.pose, now.near)

    def _command(self, now: Moment, intent: Intent) -> tuple[float, float]:
        self._source = "explorer"
        if intent.done or intent.failed:
            return 0.0, 0.0
        if intent.turn_to_rad is not None:
            error = wrap_rad(intent.turn_to_rad - float(now.pose[2]))
            w_max = self._spec.w_max_radps
            return 0.0, float(np.clip(error / self._spec.tick_s, -w_max, w_max))
        if intent.route is None:
            return 0.0, 0.0
        wanted = self._follower.command(now.pose, intent.route.path_m, now.near)
        self._num_blocked = self._num_blocked + 1 if wanted is None else 0
        if wanted is None:
            return 0.0, 0.0
        planned = self._planned(now, intent.route, wanted)
        if planned is None:
            return wanted
        self._source = self.planner.source
        return planned

    def _planned(
        self, now: Moment, route: Route, wanted: tuple[float, float]
    ) -> tuple[float, float] | None:
        if self._model is None or not self._model.trusted or not self._config.planner.enabled:
            self.planner.is_ready()
            return None
        end = route.path_m[-1]
        look = np.array(route.look_m, dtype=np.float64)
        return self.planner.act(
            Situation(
                observation=now.observation,
                objects=object_rows(now.detections, self._spec),
                pose=now.pose,
                field=route.distance_field,
                near=now.near,
                visits=self._visits,
                wanted=wanted,
                z_goal=lambda: self._place.keyframes.latent_near(end, look),
                aim=lambda: self._follower.aim(now.pose, route.path_m, now.near),
                time_left_s=self._time_left_s,
            )
        )

    def _time_left_s(self) -> float:
        """Return what is left of this tick's time for planning."""
        budget_s = self._config.planner.budget_s
        return math.inf if budget_s is None else budget_s - (self._clock() - self._began_s)

    def _decide(self, now: Moment, intent: Intent, command: tuple[float, float]) -> Decision:
        self._stuck.note(now.pose, command[0])
        route = intent.route
        path: Float64[np.ndarray, "t 2"] = np.empty((0, 2))
        if route is not None:
            start = int(np.argmin(np.hypot(*(route.path_m - now.pose[:2]).T)))
            stride = max(1, math.ceil((len(route.path_m) - start) / PATH_POINTS))
            path = route.path_m[start::stride]
        return Decision(
            action=Action(
                v_mps=command[0],
                w_radps=command[1],
                duration_s=self._spec.tick_s,
                source=self._source if intent.mode != Mode.STOP else "none",
            ),
            mode=intent.mode,
            reason=intent.reason,
            goal_id=self._goal.goal_id if self._goal is not None else None,
            target_m=route.look_m if route is not None else None,
            path_m=tuple((float(x), float(y)) for x, y in path),
            slot_id=intent.slot_id,
            done=intent.done,
            failed=intent.failed,
        )
