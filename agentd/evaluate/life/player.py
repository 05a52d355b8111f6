"""Lives the goals of a phase in one home, and notes what the tables need to know."""

import math
import time
from dataclasses import dataclass

import numpy as np

from agentd.evaluate.episodes import Task
from agentd.evaluate.life.arms import LifeArm
from agentd.evaluate.life.change import Facts
from agentd.evaluate.life.failures import failure_of
from agentd.evaluate.life.place import HomePlace
from agentd.evaluate.life.record import StepRecorder
from agentd.evaluate.life.rows import LifeFailure, LifeRow, Vain
from agentd.evaluate.rows import GoalRow
from agentd.evaluate.runner import Played, Safety, WipeableMemory, score_goal
from agentd.worlds.base import StepResult
from agentd.worlds.oracle import TrueObject
from memory.records import BodySpec, Detection, Observation, SlotState
from policies.perception import object_rows
from policies.protocols import Decision, Detector, Mode, Policy

STALE_M = 1.5
"""A body this close to where a remembered object is not has come in vain."""
_THERE_M = 0.5
_NEAR_M = 1.0
_MIN_PX = 12
_REMEMBERED = (Mode.GOTO, Mode.VERIFY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """What lives: the same through all homes. `memory` is None for an arm that has none."""

    spec: BodySpec
    detector: Detector
    perfect: Detector
    policy: Policy
    safety: Safety
    memory: WipeableMemory | None


@dataclass(slots=True, kw_only=True)
class _Trace(Played):
    detected: bool = False
    aimed: bool = False
    stale_aim: bool = False
    vain: Vain = ""


class LifePlayer:
    """Plays goals; the step counter of the life runs on over all homes.

    Attributes:
        step: Steps lived so far.
        checkpoint_id: Model that acts, "" for none.
    """

    def __init__(
        self, agent: Agent, arm: LifeArm, facts: Facts, recorder: StepRecorder | None
    ) -> None:
        self._agent, self._arm, self._facts, self._recorder = agent, arm, facts, recorder
        self.step = 0
        self.checkpoint_id = ""
        self._shown: dict[int, set[str]] = {}

    def play(
        self,
        home: HomePlace,
        home_number: int,
        task: Task,
        budget_steps: int,
        *,
        number: int,
        phase: str,
        repeat: int,
        moved: frozenset[str],
    ) -> LifeRow:
        """Put the robot on the start of a goal, play it, and score it against the truth."""
        agent, begun = self._agent, self.step
        agent.policy.reset(keep_map=self._arm.remembers)
        if not self._arm.remembers and agent.memory is not None:
            agent.memory.clear()
        home.oracle.place(task.start)
        observation = home.world.reset(None)
        shown = self._shown.setdefault(home_number, set())
        seen_before = task.goal.label in shown
        trace = _Trace(poses=[home.oracle.pose()], known=self._knows(task.goal.label))
        interventions = agent.safety.interventions
        truth = [t for t in home.oracle.objects() if t.label == task.goal.label]
        while trace.steps < budget_steps:
            ended, result = self._tick(home, observation, task, trace, truth, shown)
            if ended or result is None:
                break
            observation = result.observation
            trace.poses.append(home.oracle.pose())
            trace.bumps += observation.bumped
            trace.steps += 1
        if self._recorder is not None:
            self._recorder.flush()
        row = score_goal(home.oracle, task, trace, agent.safety.interventions - interventions)
        return LifeRow(
            number=number,
            phase=phase,
            repeat=repeat,
            begun_step=begun,
            goal=row,
            why=self._why(row, trace),
            seen_before=seen_before,
            moved=task.goal.label in moved,
            stale_aim=trace.stale_aim,
            vain=trace.vain,
            checkpoint=self.checkpoint_id,
        )

    def _tick(
        self,
        home: HomePlace,
        observation: Observation,
        task: Task,
        trace: _Trace,
        truth: list[TrueObject],
        shown: set[str],
    ) -> tuple[bool, StepResult | None]:
        """Live one step; return whether the goal ended, and what the action led to."""
        agent, label = self._agent, task.goal.label
        self._note_shown(observation, shown, label, trace)
        started_s = time.thread_time()
        detections = agent.detector.detect(observation)
        ids: list[int] = []
        if agent.memory is not None:
            ids = list(agent.memory.update(observation, detections, self.step))
        decision = agent.policy.act(observation, detections, task.goal)
        action = agent.safety.clip(decision.action, observation)
        trace.act_s += time.thread_time() - started_s
        trace.decision = decision
        trace.modes[decision.mode.value] += 1
        trace.detected |= any(d.label == label for d in detections)
        self._note_stale(home, decision, trace, truth, label)
        if self._arm.remembers:
            self._facts.look(observation, agent.perfect.detect(observation), self.step)
        ended = bool(decision.done or decision.failed)
        result = None if ended else home.world.step(action)
        if result is not None:
            agent.policy.note_applied(result.applied)
        if self._recorder is not None:
            self._record(observation, detections, ids, result, ended=ended)
        self.step += 1
        return ended, result

    def _record(
        self,
        observation: Observation,
        detections: list[Detection],
        ids: list[int],
        result: StepResult | None,
        *,
        ended: bool,
    ) -> None:
        assert self._recorder is not None
        rows = object_rows(detections, self._agent.spec)
        self._recorder.note(
            self.step, observation, rows, ids, self.checkpoint_id, result, ended=ended
        )

    def _note_shown(
        self, observation: Observation, shown: set[str], label: str, trace: _Trace
    ) -> None:
        """Note which categories the camera shows, whatever the detector makes of it."""
        assert observation.instances is not None
        counts = np.bincount(observation.instances.ravel(), minlength=len(observation.labels))
        for number in np.flatnonzero(counts[1:] >= _MIN_PX) + 1:
            name = observation.labels[number]
            shown.add(name)
            if name == label and trace.first_seen_step is None:
                trace.first_seen_step = trace.steps

    def _note_stale(
        self,
        home: HomePlace,
        decision: Decision,
        trace: _Trace,
        truth: list[TrueObject],
        label: str,
    ) -> None:
        """Note whether a remembered object that it goes for is not there."""
        if decision.slot_id is None or decision.target_m is None:
            return
        if decision.mode not in _REMEMBERED:
            return
        target = np.array(decision.target_m) - home.offset_m[:2]
        there = any(
            np.hypot(*np.maximum(np.abs(target - t.xyz_m[:2]) - t.extent_m[:2] / 2, 0)) <= _THERE_M
            for t in truth
        )
        if not trace.aimed:
            trace.aimed, trace.stale_aim = True, not there
        x, y, _ = trace.poses[-1]
        if not there and math.hypot(target[0] - x, target[1] - y) <= STALE_M:
            place = np.array(decision.target_m, dtype=np.float64)
            trace.vain = trace.vain or self._facts.why_vain(label, place, self.step - trace.steps)

    def _knows(self, label: str) -> bool:
        memory = self._agent.memory
        return memory is not None and any(
            slot.state is SlotState.CONFIRMED for slot in memory.slots(label)
        )

    def _why(self, row: GoalRow, trace: _Trace) -> LifeFailure:
        assert trace.decision is not None
        return failure_of(
            success=row.success,
            decision=trace.decision,
            in_view=trace.first_seen_step is not None,
            detected=trace.detected,
            final_m=math.inf if row.final_m is None else row.final_m,
            near_m=_NEAR_M,
            poses=np.stack(trace.poses),
        )
