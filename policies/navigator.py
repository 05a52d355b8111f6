"""The policy: senses into the map, asks the pursuit what it wants, and drives."""

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64

from memory.frames import body_pose
from memory.records import Action, ActionSource, BodySpec, Detection, Goal, Observation
from policies.config import PoliciesConfig
from policies.explorer import Explorer
from policies.follower import LocalClearance
from policies.helm import Helm
from policies.keyframes import Keyframes
from policies.occupancy import OccupancyMap
from policies.perception import object_rows
from policies.planner import LatentPlanner, Situation
from policies.protocols import Decision, LatentModel, Mode, SlotSource
from policies.pursuit import Intent, Place, Wander
from policies.pursuits import pursuit_of
from policies.recovery import Recovery, StuckWatch
from policies.regions import Regions
from policies.route import Area, Moment, Route, Router
from policies.senses import SenseWatch, Trust

BUMPS_BEFORE_RECOVERY = 3
BUMP_MEMORY_STEPS = 25
BLOCKED_BEFORE_RECOVERY = 4
"""Ticks in which the follower found no clear arc."""
RECOVERIES_BEFORE_GIVING_UP = 2
PATH_POINTS = 24


class Navigator:
    """Explores, finds objects, reaches points; keeps one map through many goals.

    Attributes:
        map: Occupancy of the place.
        explorer: Frontiers, unreachable places and learning progress.
        planner: Latent planner; its `reason` says why it steps aside.
        helm: Drives the body through a model of how it moves.
    """

    def __init__(
        self,
        spec: BodySpec,
        config: PoliciesConfig,
        slots: SlotSource,
        rng: np.random.Generator,
        clock: Callable[[], float] = time.monotonic,
        area: Area | None = None,
    ) -> None:
        self._spec = spec
        self._config = config
        self._clock, self._began_s = clock, clock()
        self.map = OccupancyMap(spec, config.map)
        self.explorer = Explorer(config.explore, config.map.size_m, spec, rng.spawn(1)[0])
        self.planner = LatentPlanner(spec, config.planner, rng)
        self._model: LatentModel | None = None
        self._place = Place(
            spec=spec,
            config=config,
            occupancy=self.map,
            router=Router(spec, config, self.map, area),
            explorer=self.explorer,
            keyframes=Keyframes(spec),
            slots=slots,
            tracks={},
        )
        self.helm = Helm(spec, config, self.map)
        self._stuck = StuckWatch(spec)
        self._recovery = Recovery(spec, rng)
        self._regions = Regions(spec, config, self._place)
        self._step = -1
        self._surprise = math.nan
        self._source: ActionSource = "explorer"
        self._senses = SenseWatch(spec)
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
        self._source = "explorer"
        self._step += 1
        pose = body_pose(observation.T_world_camera, self._spec).astype(np.float64)
        trust = self._senses.check(observation, pose, self.map)
        if trust.lost:
            return self._stand_still(trust, goal)
        now = self._sense(observation, detections, pose, trust)
        if self._pursuit is None or goal != self._goal:
            self._begin(goal, now)
        assert self._pursuit is not None
        if not trust.doubt:
            self._pursuit.notice(now)
        deadline = goal.deadline_steps if goal is not None else None
        if deadline is not None and self._step - self._pursuit.begun_step >= deadline:
            why = f"not reached within {deadline} steps"
            return self._decide(now, Intent(mode=Mode.IDLE, reason=why, failed=why), (0.0, 0.0))
        if trust.doubt:
            intent = Intent(mode=Mode.INITIALISE, reason=trust.doubt)
            return self._decide(now, intent, (0.0, 0.9 * self._spec.w_max_radps))
        self._watch_body(now)
        if self._recovery.is_active:
            intent = Intent(mode=Mode.RECOVER, reason="the body is stuck: turning to open space")
            wanted = self._recovery.command(self.helm.rests_m)
            return self._decide(now, intent, self.helm.body.command(*wanted))
        if self._regions.is_new:
            self._regions.note_turn(float(observation.egomotion[2]))
            self._place.router.watch(now)
            intent = Intent(mode=Mode.INITIALISE, reason=self._regions.why_look_around)
            return self._decide(now, intent, (0.0, 0.9 * self._spec.w_max_radps))
        intent = self._pursuit.intend(now)
        return self._decide(now, intent, self._command(now, intent))

    def look_on(self, observation: Observation, detections: Sequence[Detection]) -> str:
        """Take in what is seen while somebody else drives; return why it is not believed, or ""."""
        self._step += 1
        pose = body_pose(observation.T_world_camera, self._spec).astype(np.float64)
        trust = self._senses.check(observation, pose, self.map)
        if trust.lost:
            self._start_over()
            self.helm.note_unseen()
            return trust.lost
        self._sense(observation, detections, pose, trust)
        self._regions.note_turn(float(observation.egomotion[2]))
        self.helm.note_told(0.0, 0.0)  # `note_applied` says what it was
        return trust.doubt

    def use_model(self, model: LatentModel | None) -> None:
        """Swap the model between two steps."""
        self._model = model
        self.planner.use_model(model)
        self._regions.use_model(model)
        self.explorer.use_model(model)

    def reset(self, *, keep_map: bool = True) -> None:
        """Forget the goal in hand; with keep_map False also the maps of all regions."""
        self._goal: Goal | None = None
        self._pursuit: Wander | None = None
        self._bumps: list[int] = []
        self._num_recoveries = 0
        self._num_blocked = 0
        self._stuck.clear()
        self._recovery.cancel()
        self.planner.reset()
        self._source = "explorer"
        if not keep_map:
            self._senses.clear()
            self._place.tracks.clear()
            self._regions.clear()

    def note_surprise(self, surprise: float) -> None:
        """Take in how surprising the next observation is: places that surprise are seen again."""
        self._surprise = surprise

    def note_applied(self, action: Action) -> None:
        """Take in what the wheels were told in the end: safety may have changed the decision."""
        self.helm.note_applied(action)

    def note_learning_progress(self, samples: Sequence[tuple[float, float, float]]) -> None:
        """Take in (x_m, y_m, old error - new error) of a learning round."""
        self.explorer.progress.note(samples)

    def save(self) -> dict[str, np.ndarray]:
        """Return everything that is known about all places, as plain arrays."""
        return {
            "policy_step": np.array(self._step),
            **self.helm.body.save(),
            **self._regions.save(),
        }

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over what `save` returned.

        Raises:
            ValueError: If an array is missing or does not fit the configuration.
        """
        if "policy_step" not in arrays:
            raise ValueError("saved policy state lacks policy_step")
        self._regions.load(arrays)
        self.reset()
        self._senses.clear()
        self._place.tracks.clear()
        self.helm.body.load(arrays)
        self._step = int(arrays["policy_step"])

    def _sense(
        self,
        observation: Observation,
        detections: Sequence[Detection],
        pose: Float64[np.ndarray, "3"],
        trust: Trust,
    ) -> Moment:
        """Take an observation in, unless its pose is in doubt."""
        if self._regions.enter(pose[:2]):
            self._start_over()
        elif trust.jumped_m:
            self._start_over()
            text = f"the pose jumped by {trust.jumped_m:.1f} m in one tick: looking around"
            self._regions.look_again(text)
        self.helm.sense(observation, pose)
        if not trust.doubt:
            rows = object_rows(detections, self._spec)
            self._regions.take_in(observation, rows, pose, self._step, self._surprise)
        return Moment(
            step=self._step,
            pose=pose,
            observation=observation,
            detections=detections,
            near=LocalClearance(self.map, pose[:2]),
        )

    def _start_over(self) -> None:
        """Drop what belongs to where the body was a tick ago."""
        self._bumps, self._num_blocked = [], 0
        self._stuck.clear()
        self._recovery.cancel()
        self.planner.reset()
        if self._pursuit is not None:
            self._pursuit.drop_route()

    def _stand_still(self, trust: Trust, goal: Goal | None) -> Decision:
        """Wait for senses that work; a goal does not wait for ever."""
        self._start_over()
        self.helm.note_unseen()
        return Decision(
            action=Action(v_mps=0.0, w_radps=0.0, duration_s=self._spec.tick_s, source="none"),
            mode=Mode.RECOVER,
            reason=trust.lost,
            goal_id=goal.goal_id if goal is not None else None,
            failed=trust.lost if goal is not None and trust.gives_up else "",
        )

    def _begin(self, goal: Goal | None, now: Moment) -> None:
        self.reset()
        self._goal = goal
        self._place.router.passages.doubt()
        self._pursuit = pursuit_of(goal, self._place, now)

    def _watch_body(self, now: Moment) -> None:
        """Notice bumps, wheels that turn in vain, and targets that bring no progress."""
        assert self._pursuit is not None
        if now.observation.bumped:
            self._bumps = [s for s in self._bumps if now.step - s < BUMP_MEMORY_STEPS] + [now.step]
            self._pursuit.drop_route()
            self.planner.reset()
        stuck = self._stuck.is_stuck(now.pose)
        if stuck and self.map.mark_bump(now.pose, now.step):
            self._place.router.passages.note_stuck(now.pose, self.map, now.step)
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
        if intent.done or intent.failed:
            return 0.0, 0.0
        if intent.turn_to_rad is not None:
            return self.helm.turn_to(intent.turn_to_rad)
        if intent.route is None:
            return 0.0, 0.0
        wanted = self.helm.follow(intent.route.path_m, now.near)
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
        if self.helm.body.late_s >= self._spec.tick_s / 2:
            # A rollout begins with the command of this tick and knows none that is on its way.
            self.planner.step_aside(f"the body acts {self.helm.body.late_s:.1f} s late")
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
                visits=self._regions.visits,
                wanted=wanted,
                z_goal=lambda: self._place.keyframes.latent_near(end, look),
                aim=lambda: self.helm.aim(route.path_m, now.near),
                time_left_s=self._time_left_s,
            )
        )

    def _time_left_s(self) -> float:
        """Return what is left of this tick's time for planning."""
        budget_s = self._config.planner.budget_s
        return math.inf if budget_s is None else budget_s - (self._clock() - self._began_s)

    def _failed(self, intent: Intent) -> str:
        """Return why the goal failed, with the ways that were found blocked on it."""
        if not intent.failed or self._pursuit is None:
            return intent.failed
        blocked = self._place.router.passages.why_since(self._pursuit.begun_step)
        return f"{intent.failed} ({blocked})" if blocked else intent.failed

    def _decide(self, now: Moment, intent: Intent, command: tuple[float, float]) -> Decision:
        self.helm.note_told(*command)
        self._stuck.note(now.pose, self.helm.body.foreseen_mps())
        route = intent.route
        path: Float64[np.ndarray, "t 2"] = np.empty((0, 2))
        if route is not None:
            start = int(np.argmin(np.hypot(*(route.path_m - now.pose[:2]).T)))
            stride = max(1, math.ceil((len(route.path_m) - start) / PATH_POINTS))
            path = route.path_m[start::stride]
        if intent.done or intent.failed:
            self._place.tracks.pop(self._goal.goal_id if self._goal is not None else "", None)
        return Decision(
            action=Action(
                v_mps=command[0],
                w_radps=command[1],
                duration_s=self._spec.tick_s,
                source=self._source if intent.mode != Mode.STOP else "none",
            ),
            mode=intent.mode,
            reason="; ".join(filter(None, (intent.reason, self.helm.news()))),
            goal_id=self._goal.goal_id if self._goal is not None else None,
            target_m=route.look_m if route is not None else None,
            path_m=tuple((float(x), float(y)) for x, y in path),
            slot_id=intent.slot_id,
            done=intent.done,
            failed=self._failed(intent),
            why=route.why if route is not None else None,
        )
