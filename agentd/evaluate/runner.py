"""Plays the goals of one house with one arm, over Protocols only."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int8

from agentd.evaluate import metrics
from agentd.evaluate.arms import Arm
from agentd.evaluate.coverage import coverage
from agentd.evaluate.episodes import Task
from agentd.evaluate.rows import Failure, GoalRow
from agentd.worlds.base import World
from agentd.worlds.oracle import Oracle
from memory.protocols import ObjectMemory
from memory.records import Action, Goal, Observation, Slot, SlotState
from policies.protocols import Decision, Detector, Policy

SUCCESS_TOLERANCE_M = 0.1
"""A body this close to the success region stands in it (objnav success rule)."""


@runtime_checkable
class WipeableMemory(ObjectMemory, Protocol):
    """An object memory that can be emptied."""

    def clear(self) -> None:
        """Forget every slot and view."""
        ...


@runtime_checkable
class Safety(Protocol):
    """The last word before the body."""

    @property
    def interventions(self) -> int:
        """Commands that were changed so far."""
        ...

    def clip(self, action: Action, observation: Observation) -> Action:
        """Return the action, made safe."""
        ...


@runtime_checkable
class KnownMap(Protocol):
    """The part of an occupancy map that coverage is measured on."""

    @property
    def origin_m(self) -> tuple[float, float]:
        """World position of the corner of cell (0, 0)."""
        ...

    @property
    def cell_m(self) -> float:
        """Side of a cell."""
        ...

    def grid(self) -> Int8[np.ndarray, "x y"]:
        """Return -1 unknown, 0 free, 1 occupied."""
        ...


@runtime_checkable
class MappingPolicy(Policy, Protocol):
    """A policy whose map can be looked at."""

    @property
    def map(self) -> KnownMap:
        """What it knows of the place."""
        ...


class NoSlots:
    """The object memory of an arm that has none: it can be read, and is always empty."""

    def slots(self, label: str | None = None, *, archived: bool = False) -> list[Slot]:
        """Return nothing."""
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A house and an agent in it. `memory` is None for an arm without object memory."""

    world: World
    oracle: Oracle
    detector: Detector
    policy: MappingPolicy
    safety: Safety
    memory: WipeableMemory | None


@dataclass(slots=True, kw_only=True)
class Played:
    """What is noted while a goal is played."""

    known: bool
    poses: list[Float64[np.ndarray, "3"]]
    modes: Counter[str] = field(default_factory=Counter)
    decision: Decision | None = None
    first_seen_step: int | None = None
    steps: int = 0
    bumps: int = 0
    act_s: float = 0.0


class Player:
    """Plays goals on a stage; the step counter of the memory runs on over all of them."""

    def __init__(self, stage: Stage, arm: Arm) -> None:
        self._stage = stage
        self._arm = arm
        self._step = 0

    def explore(self, start: Float64[np.ndarray, "3"], num_steps: int) -> None:
        """Let the agent live in the house without a goal."""
        observation = self._put(start)
        for _ in range(num_steps):
            _, action, _ = self._think(observation, None)
            observation = self._step_world(action)

    def play(self, task: Task, budget_steps: int) -> GoalRow:
        """Put the robot on the start of a goal, play it, and score it against the truth."""
        stage = self._stage
        self._forget()
        interventions = stage.safety.interventions
        observation = self._put(task.start)
        trace = Played(known=self._knows(task.goal.label), poses=[stage.oracle.pose()])
        while trace.steps < budget_steps:
            decision, action, seen = self._think(observation, task.goal, trace)
            trace.decision = decision
            trace.modes[decision.mode.value] += 1
            if seen and trace.first_seen_step is None:
                trace.first_seen_step = trace.steps
            if decision.done or decision.failed:
                break
            observation = self._step_world(action)
            trace.poses.append(stage.oracle.pose())
            trace.bumps += observation.bumped
            trace.steps += 1
        return self._score(task, trace, stage.safety.interventions - interventions)

    def coverage(self) -> float | None:
        """Return the share of the reachable area that the agent's map knows."""
        if self._arm.wipes:
            return None
        known = self._stage.policy.map
        x_m, y_m = known.origin_m
        true_map = self._stage.oracle.true_map()
        return coverage(known.grid(), (float(x_m), float(y_m)), known.cell_m, true_map)

    def _forget(self) -> None:
        self._stage.policy.reset(keep_map=not self._arm.wipes)
        if self._arm.wipes and self._stage.memory is not None:
            self._stage.memory.clear()

    def _put(self, pose: Float64[np.ndarray, "3"]) -> Observation:
        self._stage.oracle.place(pose)
        return self._stage.world.reset(None)

    def _step_world(self, action: Action) -> Observation:
        result = self._stage.world.step(action)
        self._stage.policy.note_applied(result.applied)
        return result.observation

    def _knows(self, label: str) -> bool:
        memory = self._stage.memory
        return memory is not None and any(
            slot.state is SlotState.CONFIRMED for slot in memory.slots(label)
        )

    def _think(
        self, observation: Observation, goal: Goal | None, trace: Played | None = None
    ) -> tuple[Decision, Action, bool]:
        """Return the decision, the safe action, and whether the goal's category is in view."""
        stage = self._stage
        started_s = time.thread_time()
        detections = stage.detector.detect(observation)
        if stage.memory is not None:
            stage.memory.update(observation, detections, self._step)
        decision = stage.policy.act(observation, detections, goal)
        action = stage.safety.clip(decision.action, observation)
        self._step += 1
        if trace is not None:
            trace.act_s += time.thread_time() - started_s
        label = getattr(goal, "label", None)
        return decision, action, any(detection.label == label for detection in detections)

    def _score(self, task: Task, trace: Played, interventions: int) -> GoalRow:
        return score_goal(self._stage.oracle, task, trace, interventions)


def score_goal(oracle: Oracle, task: Task, trace: Played, interventions: int) -> GoalRow:
    """Return what became of a goal, by the truth as it is now.

    Args:
        oracle: Truth; the body stands where the goal ended.
        task: The goal.
        trace: What was noted while it was played.
        interventions: Commands that safety changed.

    Raises:
        ValueError: If nothing was decided.
    """
    decision = trace.decision
    if decision is None:
        raise ValueError("a goal needs a budget of at least one step")
    success = decision.done and oracle.success(task.goal)
    final_m = oracle.geodesic_m(task.goal, oracle.pose())
    path_m = path_length_m(trace.poses)
    return GoalRow(
        index=task.index,
        label=task.goal.label,
        success=success,
        spl=metrics.spl(success, task.shortest_m, path_m),
        soft_spl=metrics.soft_spl(final_m, task.shortest_m, path_m),
        shortest_m=task.shortest_m,
        path_m=path_m,
        final_m=final_m if math.isfinite(final_m) else None,
        steps=trace.steps,
        done=decision.done,
        reason=decision.failed or decision.reason,
        failure=failure_of(
            success=success,
            decision=decision,
            seen=trace.first_seen_step is not None,
            stood_there=any(
                oracle.geodesic_m(task.goal, pose) <= SUCCESS_TOLERANCE_M
                for pose in ([] if success else trace.poses)
            ),
        ),
        known=trace.known,
        first_seen_step=trace.first_seen_step,
        modes=dict(trace.modes),
        bumps=trace.bumps,
        interventions=interventions,
        act_ms=1e3 * trace.act_s / max(trace.modes.total(), 1),
    )


def path_length_m(poses: Sequence[Float64[np.ndarray, "3"]]) -> float:
    """Return the length of the polyline through the poses."""
    xy_m = np.stack([pose[:2] for pose in poses])
    return float(np.linalg.norm(np.diff(xy_m, axis=0), axis=1).sum())


def failure_of(*, success: bool, decision: Decision, seen: bool, stood_there: bool) -> Failure:
    """Return why a goal failed, "" if it did not.

    Args:
        success: Whether it succeeded.
        decision: The agent's last decision.
        seen: Whether the category was ever in view.
        stood_there: Whether the body ever stood in the success region.

    Returns:
        stop_too_far: the agent declared the goal reached where it is not. never_seen: the goal
        was never in view. gave_up: the agent gave a goal up that it had seen. not_reached: the
        steps ran out before it stood at the goal. budget: it stood there and did not stop.
    """
    if success:
        return ""
    if decision.done:
        return "stop_too_far"
    if not seen:
        return "never_seen"
    if decision.failed:
        return "gave_up"
    return "budget" if stood_there else "not_reached"
