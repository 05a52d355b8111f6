"""One life, tick by tick: observe, remember, decide, make safe, act, record.

The loop knows only Protocols. It never waits for disk, network or training: rows go to the
recorder's queue, and a new model arrives as an object that was loaded elsewhere.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float32

from agentd.asking import Asking, AskingStoppedError
from agentd.care.care import Care
from agentd.events import EventLog
from agentd.goals import GoalBook, GoalEntry
from agentd.lived import LivedStep
from agentd.recorder import Recorder
from agentd.worlds.base import World, WorldEndedError
from memory.frames import body_pose
from memory.protocols import CropEncoder, ObjectMemory
from memory.records import NUM_OBJECTS, Action, Detection, Observation, Transition
from policies.protocols import Decision, Detector, LatentModel, LooksOn, Mode, Policy
from policies.surprise import Place, place_of

_GAP_S, _GAP_TICKS = 1.0, 6
"""Observations further apart than both are not of one episode."""


class Safety(Protocol):
    """The last word before the body."""

    interventions: int

    def clip(self, action: Action, observation: Observation) -> Action: ...


class SurprisingModel(LatentModel, CropEncoder, Protocol):
    """A model that also judges what it had expected, and embeds crops for the memory."""

    def surprise_error(
        self, z_prev: Float32[np.ndarray, "d"], action: Action, z_now: Float32[np.ndarray, "d"]
    ) -> float: ...


class Meter(Protocol):
    """Calibrates prediction errors per context and place, and what the memory did not expect."""

    def update(
        self, context: str, place: Place, error: float, contradiction_nats: float = 0.0
    ) -> float: ...
    def reset_model(self, checkpoint_id: str) -> None: ...


@dataclass(slots=True, kw_only=True)
class Parts:
    """What a loop is made of; wired in agentd.build."""

    world: World
    detector: Detector
    object_rows: Callable[[Sequence[Detection]], Float32[np.ndarray, "k f"]]
    slots: ObjectMemory
    policy: Policy
    safety: Safety
    meter: Meter
    contradiction_nats: Callable[[], float]
    recorder: Recorder
    goals: GoalBook
    events: EventLog
    care: Care | None = None


@dataclass(slots=True)
class LoopState:
    """What the views read; written by the loop's thread only, each field replaced as a whole."""

    step: int = 0
    episode_id: int = 0
    episode_steps: int = 0
    ticks: int = 0
    missed_ticks: int = 0
    decision: Decision | None = None
    action: Action | None = None
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0)
    surprise: float = float("nan")
    observation: Observation | None = None
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=4096))
    trail_m: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=4000))
    world_s: float = 0.0
    acting_s: float = 0.0


class Loop:
    """Runs ticks until it is stopped."""

    def __init__(
        self,
        parts: Parts,
        *,
        tick_s: float,
        real_time: bool,
        episode_steps: int,
        first_step: int,
        first_episode: int,
        on_tick: Callable[[int], None] = lambda step: None,
        patience_s: float = 0.0,
    ) -> None:
        self.parts = parts
        self.state = LoopState(step=first_step, episode_id=first_episode)
        self._spec = parts.world.spec
        self._tick_s, self._real_time = tick_s, real_time
        self._longest_gap_s = max(_GAP_S, _GAP_TICKS * tick_s)
        self._episode_limit = episode_steps
        self._on_tick = on_tick
        # Unpaced, every look costs steps of life: two successive ones in eight are felt.
        self._feel_every = 1 if real_time else 8
        self._is_first = True
        self._model: SurprisingModel | None = None
        self._z_prev: tuple[Float32[np.ndarray, "d"], Action] | None = None
        self._mailbox: deque[Callable[[], None]] = deque()
        self._for_next_episode: deque[Callable[[], None]] = deque()
        self._last_mode: tuple[Mode | None, str | None] = (None, None)
        self._last_interventions = 0
        self._cut = threading.Event()
        self.watchers: tuple[Callable[[LivedStep], None], ...] = ()
        """Told every step after it was lived, in the loop's own thread: to be quick."""
        self.stop_event = threading.Event()
        self.paused = threading.Event()
        self.asking = Asking(parts.world, self._note_world, self.stop_event.wait, patience_s)

    @property
    def model(self) -> SurprisingModel | None:
        """The model that acts."""
        return self._model

    def post(self, call: Callable[[], None]) -> None:
        """Have something done between two ticks, by the loop's own thread."""
        self._mailbox.append(call)

    def post_between_episodes(self, call: Callable[[], None]) -> None:
        """Have something done before the next episode begins, by the loop's own thread."""
        self._for_next_episode.append(call)

    def cut_episode(self) -> None:
        """End the episode with the next step, so that what waits for its end need not wait long."""
        self._cut.set()

    def use_model(self, model: SurprisingModel | None) -> None:
        """Swap the model; call from the loop's thread (through `post`) once it runs."""
        self._model = model
        self._z_prev = None
        self.parts.policy.use_model(model)
        if model is not None:
            self.parts.meter.reset_model(model.checkpoint_id)

    def run(self, first: Observation, max_ticks: int | None, until_s: float | None) -> Observation:
        """Tick until stopped, or for a number of ticks, or until a monotonic time.

        Returns:
            The last observation.
        """
        observation = first
        next_due = time.monotonic()
        while not self.stop_event.is_set():
            if max_ticks is not None and self.state.ticks >= max_ticks:
                break
            if until_s is not None and time.monotonic() >= until_s:
                break
            while self._mailbox:
                self._mailbox.popleft()()
            while self._is_first and self._for_next_episode:
                self._for_next_episode.popleft()()
            if self.paused.is_set():
                self.stop_event.wait(0.05)
                next_due = time.monotonic()
                continue
            try:
                observation = self.tick(observation)
            except AskingStoppedError:
                break
            except WorldEndedError as end:
                self._note_world(f"{end}; the life waits")
                self.paused.set()
                continue
            if self._real_time:
                next_due = self._wait_until(next_due + self._tick_s)
        return observation

    def tick(self, observation: Observation) -> Observation:
        """Live one step and return the next observation."""
        started = time.perf_counter()
        parts, state = self.parts, self.state
        detections = parts.detector.detect(observation)
        ids = parts.slots.update(observation, detections, state.step)
        rows = parts.object_rows(detections)
        state.surprise = self._feel(observation, rows)
        parts.policy.note_surprise(state.surprise)
        pose = body_pose(observation.T_world_camera, self._spec)
        where = (float(pose[0]), float(pose[1]), float(pose[2]))
        entry, decision = self._decide(observation, detections, where)
        if entry is not None:
            parts.goals.note(entry, state.step, observation.stamp_ns, where[:2], decision)
        action = parts.safety.clip(decision.action, observation)
        acted = time.perf_counter()
        state.latencies_s.append(acted - started)
        result = self.asking.step(action, observation.stamp_ns)
        parts.policy.note_applied(result.applied)
        stepped = time.perf_counter()
        for event in result.events:
            self._note_world(event)
        for text in result.interventions:
            self.parts.events.emit("safety", state.step, text)
        if parts.care is not None:
            parts.care.note(where, observation, decision.action.v_mps, result)
        moved_m = float(np.hypot(*result.observation.egomotion[:2]))
        ended, terminal = self._settle(decision, entry, moved_m, pose, observation.stamp_ns)
        # No window may span a world that began anew, a clock that was set back, or a silence.
        gap_s = (result.observation.stamp_ns - observation.stamp_ns) * 1e-9
        parted = result.is_first or not 0 <= gap_s <= self._longest_gap_s
        cut = ended or parted or state.episode_steps + 1 >= self._episode_limit
        cut = cut or self._cut.is_set()
        self._cut.clear()
        lived = LivedStep(
            step=state.step,
            is_first=self._is_first,
            observation=observation,
            rows=rows,
            action=result.applied,
            checkpoint_id=self._model.checkpoint_id if self._model else "",
            goal=entry.state if ended and entry else None,
        )
        self._record(lived, pose, ids, cut, terminal or result.was_terminal)
        for watch in self.watchers:
            watch(lived)
        self._tell(decision)
        state.decision, state.action, state.observation = decision, result.applied, observation
        state.pose = where
        if state.ticks % 5 == 0:
            state.trail_m.append(state.pose[:2])
        state.ticks += 1
        state.step += 1
        state.world_s += stepped - acted
        state.acting_s += acted - started + time.perf_counter() - stepped
        if self._z_prev is not None:
            self._z_prev = (self._z_prev[0], result.applied)
        self._on_tick(state.step)
        return result.observation

    def _decide(
        self,
        observation: Observation,
        detections: Sequence[Detection],
        pose: tuple[float, float, float],
    ) -> tuple[GoalEntry | None, Decision]:
        """Return the goal that is served and what to do; care goes before the policy."""
        parts = self.parts
        entry, care = parts.goals.active(), parts.care
        standing = (
            None
            if care is None
            else care.instead(pose, observation.stamp_ns, has_goal=entry is not None)
        )
        if standing is None:
            entry = parts.goals.active()  # care may have set, or ended, one
            goal = entry.goal if entry else None
            return entry, parts.policy.act(observation, detections, goal)
        if isinstance(parts.policy, LooksOn):
            parts.policy.look_on(observation, detections)
        action = Action(
            v_mps=standing.v_mps,
            w_radps=standing.w_radps,
            duration_s=self._spec.tick_s,
            source=standing.source,
        )
        return None, Decision(action=action, mode=standing.mode, reason=standing.reason)

    def _feel(self, observation: Observation, rows: Float32[np.ndarray, "k f"]) -> float:
        """Return the calibrated surprise of what is seen, NaN where nothing was expected."""
        x_m, y_m, yaw_rad = body_pose(observation.T_world_camera, self._spec).tolist()
        place = place_of(x_m, y_m, yaw_rad) if math.isfinite(x_m + y_m + yaw_rad) else (0, 0, 0)
        context, error = self._error(observation, rows)
        return self.parts.meter.update(context, place, error, self.parts.contradiction_nats())

    def _error(
        self, observation: Observation, rows: Float32[np.ndarray, "k f"]
    ) -> tuple[str, float]:
        """Return the context and error of the model's prediction, NaN without a model or a past."""
        model = self._model
        turn = self.state.ticks % self._feel_every
        if model is None or turn not in (0, self._feel_every - 1):
            self._z_prev = None
            return "", float("nan")
        z = model.encode(observation, rows)
        before, self._z_prev = self._z_prev, (z, Action(v_mps=0.0, w_radps=0.0, duration_s=0.0))
        if before is None or self._is_first:
            return "", float("nan")
        z_prev, action = before
        turning = "turn" if abs(action.w_radps) * action.duration_s > 0.05 else "straight"
        near = "near" if float(np.nanmin(observation.depth_m, initial=np.inf)) < 0.6 else "far"
        context = f"{turning}-{near}-{'bump' if observation.bumped else 'free'}"
        return context, model.surprise_error(z_prev, action, z)

    def _settle(
        self,
        decision: Decision,
        entry: GoalEntry | None,
        moved_m: float,
        pose: Float32[np.ndarray, "3"],
        stamp_ns: int,
    ) -> tuple[bool, bool]:
        """Close the goal in hand where due; return (episode ends, it is terminal)."""
        late = self.parts.goals.step(moved_m, stamp_ns, is_served=entry is not None)
        if entry is None:
            return False, False
        goal_id = entry.goal.goal_id
        ended = True
        if decision.done:
            self.parts.goals.finish(goal_id, "reached", decision.reason)
        elif decision.failed:
            self.parts.goals.finish(goal_id, "failed", decision.failed)
        else:
            ended = late is not None
        if ended:
            text = (
                f"{goal_id} ({entry.label}) {entry.state} after {entry.steps} steps: {entry.reason}"
            )
            self.parts.events.emit("goal", self.state.step, text)
            if entry.state == "failed":
                self.parts.slots.note_failure(entry.label, np.array([pose[0], pose[1], 0.0]))
            self.parts.policy.reset(keep_map=True)
        return ended, ended

    def _record(
        self,
        lived: LivedStep,
        pose: Float32[np.ndarray, "3"],
        ids: Sequence[int],
        is_last: bool,
        is_terminal: bool,
    ) -> None:
        state = self.state
        object_slots = np.zeros(NUM_OBJECTS, dtype=np.int32)
        kept = list(ids[:NUM_OBJECTS])
        object_slots[: len(kept)] = kept
        transition = Transition(
            step=lived.step,
            episode_id=state.episode_id,
            observation=lived.observation,
            action=lived.action,
            pose=pose,
            objects=lived.rows,
            object_slots=object_slots,
            is_first=lived.is_first,
            is_last=is_last,
            is_terminal=is_terminal,
            surprise=state.surprise,
            checkpoint_id=lived.checkpoint_id,
        )
        stored = self.parts.recorder.put(transition, wait_s=0.0 if self._real_time else 5.0)
        self._is_first = is_last or not stored
        state.episode_steps += 1
        if self._is_first:
            state.episode_id += 1
            state.episode_steps = 0

    def _tell(self, decision: Decision) -> None:
        """Log a change of mode or goal with its reason, and what safety held back."""
        now = (decision.mode, decision.goal_id)
        if now != self._last_mode:
            self._last_mode = now
            self.parts.events.emit(
                "mode", self.state.step, f"{decision.mode.value}: {decision.reason}"
            )
        held = self.parts.safety.interventions
        if held // 100 != self._last_interventions // 100:
            self.parts.events.emit("safety", self.state.step, f"{held} commands held back so far")
        self._last_interventions = held

    def _note_world(self, text: str) -> None:
        self.parts.events.emit("world", self.state.step, text)

    def _wait_until(self, due: float) -> float:
        """Sleep until a tick is due; count the ticks that were missed and skip them."""
        late_s = time.monotonic() - due
        if late_s < 0:
            self.stop_event.wait(-late_s)
            return due
        missed = math.floor(late_s / self._tick_s)
        self.state.missed_ticks += missed
        return due + missed * self._tick_s


def percentile_ms(latencies_s: Sequence[float], q: float) -> float:
    """Return a percentile of the latencies in milliseconds, 0 when there are none."""
    values: Any = list(latencies_s)
    return float(np.percentile(values, q) * 1e3) if values else 0.0
