"""A life in a house, and what may surprise it: changed furniture, a lift elsewhere, noise."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from agentd.build import build_parts, build_policy
from agentd.events import EventLog
from agentd.goals import GoalBook
from agentd.loop import Loop, SurprisingModel
from agentd.worlds.base import StepResult
from agentd.worlds.house.maps import cell_centres, main_component
from agentd.worlds.house.scenario import find_spot
from agentd.worlds.house.world import HouseWorld
from configs.schema import AgentConfig
from configs.worlds import HouseConfig, ScenarioConfig, ScenarioEvent, SensorNoise
from memory.frames import se3_from_pose
from memory.objects.memory import SlotMemory
from memory.records import Action, Observation, SlotState, Transition
from policies.protocols import Decision, Mode

NUM_SPARES = 3
LOOK_TICKS = 8
SEEN_PX = 30
"""Pixels from which an object counts as in view."""
NOT_DUE = 10**9


class Screen:
    """A house in which things of one category show new noise at every look.

    Args:
        world: The house.
        category: What shows noise; empty for nothing.
    """

    def __init__(self, world: HouseWorld, seed: int) -> None:
        self.world, self.category = world, ""
        self.spec = world.spec
        self._rng = np.random.default_rng(seed)

    def reset(self) -> Observation:
        """Sense."""
        return self.noisy(self.world.reset())

    def step(self, action: Action) -> StepResult:
        """Act and sense."""
        result = self.world.step(action)
        return replace(result, observation=self.noisy(result.observation))

    def noisy(self, observation: Observation) -> Observation:
        """Return the observation with noise on the screen."""
        if not self.category or observation.instances is None:
            return observation
        numbers = [k for k, label in enumerate(observation.labels) if label == self.category]
        shown = np.isin(observation.instances, numbers)
        rgb = observation.rgb.copy()
        rgb[shown] = self._rng.integers(0, 256, (int(shown.sum()), 3), dtype=np.uint8)
        return replace(observation, rgb=rgb)


class Looker:
    """Stands and turns a little to and fro.

    Args:
        see: Takes each observation into the map.
        w_radps: Speed of turning.
    """

    def __init__(self, see: Callable[[Observation], None], w_radps: float) -> None:
        self._see, self._w_radps, self._calls = see, w_radps, 0

    def act(self, observation: Observation, detections: Any, goal: Any) -> Decision:
        """Return the next turn."""
        self._see(observation)
        self._calls += 1
        w = self._w_radps if self._calls % 4 in (1, 2) else -self._w_radps
        action = Action(v_mps=0.0, w_radps=w, duration_s=0.2)
        return Decision(action=action, mode=Mode.EXPLORE, reason="looking", goal_id=None)

    def note_surprise(self, surprise: float) -> None:
        pass

    def note_applied(self, action: Action) -> None:
        """Nothing to learn."""

    def use_model(self, model: Any) -> None:
        """Look without one."""

    def reset(self, *, keep_map: bool = True) -> None:
        """Remember nothing."""


@dataclass(frozen=True)
class Change:
    """A piece of furniture that is not where it was.

    Attributes:
        kind: added, moved or removed.
        index: Of the object.
        spot: Where it is now, (x_m, y_m, yaw_rad); None if it is gone.
        pose: From where the change is in view.
    """

    kind: str
    index: int
    spot: tuple[float, float, float] | None
    pose: np.ndarray


class HouseLife:
    """The daemon's loop without recorder and learner, in a house whose changes are ours.

    Args:
        seed: House, and every draw.
        folder: For the object memory.
        model: Acts as the daemon's would.
        noise: Of the sensors.
        put: Takes every step, as the recorder would.
    """

    def __init__(
        self,
        seed: int,
        folder: Path,
        model: SurprisingModel | None = None,
        noise: SensorNoise | None = None,
        put: Callable[[Transition], object] = lambda row: None,
    ) -> None:
        spares = [ScenarioEvent(at_step=NOT_DUE, action="add_object") for _ in range(NUM_SPARES)]
        script = ScenarioConfig(seed=seed, events=tuple(spares))
        config = HouseConfig(seed=seed, scenario=script, noise=noise or SensorNoise())
        self.world = HouseWorld(config)
        self.screen = Screen(self.world, seed)
        self.rng = np.random.default_rng(seed)
        self._config, self._folder, self._model = AgentConfig(), folder, model
        self._put, self._seed = put, seed
        self._slots = SlotMemory(folder, self._config.memory.objects, self.world.spec)
        self.navigator, self._safety = build_policy(
            self.world.spec, self._config.policies, self._slots, seed
        )
        self.loop = self._loop()
        self.now = self.screen.reset()

    def live(self, num_ticks: int) -> np.ndarray:
        """Return the surprise of each of so many ticks."""
        found = np.empty(num_ticks)
        for tick in range(num_ticks):
            self.now = self.loop.tick(self.now)
            found[tick] = self.loop.state.surprise
        return found

    def run_errands(self, num_ticks: int) -> None:
        """Look for known objects, one after the other; explore only in order to find one."""
        goals = self.loop.parts.goals
        for _ in range(num_ticks):
            if not goals.busy:
                known = {s.label for s in self._slots.slots() if s.state is SlotState.CONFIRMED}
                if known:
                    goals.add_object(str(self.rng.choice(sorted(known))))
            self.live(1)

    def _take(self, row: Transition, *, wait_s: float = 0.0) -> bool:
        self._put(row)
        return True

    def keep(self) -> None:
        """Remember all as it is now, for `back`."""
        self._slots.flush()
        self._kept = (
            self.world.save_state(),
            self.navigator.save(),
            copy.deepcopy(self.loop.parts.meter),
            self.loop.state.step,
        )

    def back(self) -> None:
        """Be as at `keep`; what was seen since is forgotten."""
        state, arrays, meter, step = self._kept
        self.now = self.world.load_state(state)
        self._slots = SlotMemory(self._folder, self._config.memory.objects, self.world.spec)
        self.navigator, self._safety = build_policy(
            self.world.spec, self._config.policies, self._slots, self._seed
        )
        self.navigator.load(arrays)
        self.loop = self._loop(step)
        self.loop.parts.meter = copy.deepcopy(meter)

    def look(
        self, pose: np.ndarray, num_ticks: int = LOOK_TICKS, w_radps: float = 0.6
    ) -> np.ndarray:
        """Return the surprises of looking around a little at a pose."""
        explorer = self.loop.parts.policy
        see = self.navigator.map.update
        step = self.loop.state.step
        self.loop.parts.policy = Looker(lambda o: see(o, step), w_radps)
        self.world.place(pose)
        self.now = self.screen.reset()
        self.loop._is_first = True
        found = self.live(num_ticks)
        self.loop.parts.policy = explorer
        return found

    def carried_off(self) -> float:
        """Return the surprise of the first frame after being carried elsewhere unnoticed."""
        before = self.now
        spots = self.spots()
        x, y = spots[int(self.rng.integers(len(spots)))]
        self.world.place(np.array([x, y, self.rng.uniform(-math.pi, math.pi)]))
        self.now = replace(self.screen.reset(), egomotion=before.egomotion, bumped=before.bumped)
        return float(self.live(1)[0])

    def draw_change(self, kind: str) -> Change | None:
        """Return a change of that kind whose place was seen before and can be looked at.

        None if this draw finds none. Afterwards the house is as at `keep`.
        """
        stage = self.world.stage
        objects = stage.scene.house.objects
        self.world.load_state(self._kept[0])
        if kind == "added":
            index = len(objects) - NUM_SPARES + int(self.rng.integers(NUM_SPARES))
        else:
            standing = [k for k, o in stage.standing() if o.room >= 0 and not o.piece.flat]
            index = int(self.rng.choice(standing))
        spot, leave = None, None if kind == "added" else index
        if kind != "removed":
            placed = find_spot(stage, objects[index].piece, self.rng, leave=leave)
            if placed is None:
                return None
            spot = placed.x, placed.y, placed.yaw_rad
        at_new = kind == "added" or (kind == "moved" and bool(self.rng.random() < 0.5))
        if at_new and spot is not None:
            stage.move_object(index, *spot)
        pose = self._view_of(index)
        self.world.load_state(self._kept[0])
        return None if pose is None else Change(kind, index, spot, pose)

    def apply(self, change: Change) -> None:
        """Change the house."""
        if change.spot is None:
            self.world.stage.remove_object(change.index)
        else:
            self.world.stage.move_object(change.index, *change.spot)

    def view_of(self, category: str) -> np.ndarray | None:
        """Return a pose from which a thing of a category is large, None if there is none."""
        things = self.world.stage.standing()
        views = [self._views(k) for k, placed in things if placed.piece.category == category]
        return max((v for vs in views for v in vs), key=lambda v: v[0], default=(0, None))[1]

    def spots(self) -> np.ndarray:
        """Return where the body may stand."""
        return cell_centres(np.argwhere(main_component(self.world.stage.maps.navigable())))

    def _view_of(self, index: int) -> np.ndarray | None:
        return next((pose for num_px, pose in self._views(index) if num_px >= SEEN_PX), None)

    def _views(self, index: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield poses around an object whose place was seen, each with the pixels it has there."""
        x, y, _ = self.world.stage.object_pose(index)
        known = self.navigator.map.is_state(np.array([[x, y]]))
        if not (known[0] | known[1])[0]:
            return
        spots, spec = self.spots(), self.world.spec
        away = np.hypot(spots[:, 0] - x, spots[:, 1] - y)
        around = self.rng.permutation(np.flatnonzero((away > 1.0) & (away < 3.0)))[:12]
        for px, py in spots[around][self.navigator.map.is_state(spots[around])[0]]:
            yaw = math.atan2(y - py, x - px) + self.rng.uniform(-0.35, 0.35)
            pose = np.array([px, py, yaw])
            self.world.place(pose)
            camera_pose = se3_from_pose(pose) @ spec.T_body_camera
            picture = self.world.camera.take(self.world.stage.data, camera_pose)
            yield int(np.count_nonzero(picture.owner == index + 1)), pose

    def _loop(self, step: int = 0) -> Loop:
        parts = build_parts(
            world=self.screen,  # type: ignore[arg-type]
            slots=self._slots,
            navigator=self.navigator,
            safety=self._safety,
            recorder=SimpleNamespace(put=self._take),  # type: ignore[arg-type]
            goals=GoalBook(1000),
            events=EventLog(None),
            config=self._config,
        )
        loop = Loop(
            parts,
            tick_s=self.world.spec.tick_s,
            real_time=True,
            episode_steps=self._config.life.episode_steps,
            first_step=step,
            first_episode=0,
        )
        if self._model is not None:
            loop._model = self._model  # the policy explores by the map alone
            parts.meter.reset_model(self._model.checkpoint_id)
        return loop
