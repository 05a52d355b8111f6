"""The steps of a life as rows of its replay store."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from agentd.worlds.base import StepResult
from memory.frames import body_pose
from memory.protocols import ReplayStore
from memory.records import NUM_OBJECTS, Action, BodySpec, Observation, Transition

EPISODE_STEPS = 256
_STILL = Action(v_mps=0.0, w_radps=0.0, duration_s=0.0, source="none")


class StepRecorder:
    """Hands every step to the replay store, a goal at a time."""

    def __init__(self, replay: ReplayStore, spec: BodySpec) -> None:
        self._replay, self._spec = replay, spec
        self._rows: list[Transition] = []
        self._episode = 0
        self._in_episode = 0

    def note(
        self,
        step: int,
        observation: Observation,
        rows: Float32[np.ndarray, "k f"],
        slot_ids: list[int],
        checkpoint_id: str,
        result: StepResult | None,
        *,
        ended: bool = False,
    ) -> None:
        """Take in a step; `result` is None for the last of a goal, after which nothing was done.

        Args:
            step: Of the life.
            observation: Before the action.
            rows: Object rows of it.
            slot_ids: Slot of each detection.
            checkpoint_id: Model that acted.
            result: What the action led to.
            ended: Whether the goal ended by success or failure, not by a cut.
        """
        is_last = result is None or self._in_episode + 1 >= EPISODE_STEPS
        slots = np.zeros(NUM_OBJECTS, dtype=np.int32)
        slots[: len(slot_ids[:NUM_OBJECTS])] = slot_ids[:NUM_OBJECTS]
        self._rows.append(
            Transition(
                step=step,
                episode_id=self._episode,
                observation=observation,
                action=_STILL if result is None or is_last else result.applied,
                pose=body_pose(observation.T_world_camera, self._spec),
                objects=rows,
                object_slots=slots,
                is_first=self._in_episode == 0,
                is_last=is_last,
                is_terminal=is_last and ended,
                surprise=float("nan"),
                checkpoint_id=checkpoint_id,
            )
        )
        self._in_episode += 1
        if is_last:
            self._begin_episode()

    def flush(self) -> None:
        """Write what was taken in; the next step begins another episode."""
        if not self._rows:
            return
        if not self._rows[-1].is_last:
            self._rows[-1] = replace(self._rows[-1], is_last=True, action=_STILL)
            self._begin_episode()
        self._replay.append(self._rows)
        self._rows = []

    def _begin_episode(self) -> None:
        self._episode += 1
        self._in_episode = 0
