"""A body whose localisation is lost for a while, and that says so as a guarded robot does."""

from dataclasses import replace

import numpy as np
from my_robot import MyRobot

from agentd.worlds.base import StepResult
from memory.records import Action, Observation


class LostRobot(MyRobot):
    """Lost from one step on to another, both counted from the start; its clock counts steps."""

    def __init__(self, lost_from: int, lost_to: int) -> None:
        self._lost = range(lost_from, lost_to)
        self._num_steps = 0
        super().__init__()

    def step(self, action: Action) -> StepResult:
        self._num_steps += 1
        result = super().step(action)
        return replace(result, advice=("relocalise",)) if self._num_steps in self._lost else result

    def _sense(self, before: np.ndarray, bumped: bool) -> Observation:
        stamp_ns = round(self._num_steps * self.spec.tick_s * 1e9)
        return replace(super()._sense(before, bumped), stamp_ns=stamp_ns)
