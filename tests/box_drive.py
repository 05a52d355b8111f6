"""A navigator in a ray-cast world of boxes, with safety: drives until a goal ends."""

from collections.abc import Callable

import numpy as np
from fakes_policies import Box, BoxWorld, FixedSlots, room

from memory.records import Goal
from policies.config import MapConfig, PoliciesConfig
from policies.detectors.instances import InstanceDetector
from policies.navigator import Navigator
from policies.protocols import Decision, Mode
from policies.safety import SafetyFilter

CONFIG = PoliciesConfig(map=MapConfig(size_m=16.0))


class Drive:
    """A navigator in a world of boxes, with safety."""

    def __init__(
        self,
        boxes: list[Box],
        pose: list[float],
        slots: FixedSlots | None = None,
        config: PoliciesConfig = CONFIG,
    ) -> None:
        self.world, self.config = BoxWorld(boxes, pose), config
        spec = self.world.spec
        self.navigator = Navigator(spec, config, slots or FixedSlots(), np.random.default_rng(0))
        self.detector = InstanceDetector(spec, config.perception)
        self.safety = SafetyFilter(spec, config.safety)
        self.observation = self.world.observe()
        self.decisions: list[Decision] = []

    def step(self, goal: Goal | None) -> Decision:
        decision = self.navigator.act(
            self.observation, self.detector.detect(self.observation), goal
        )
        self.decisions.append(decision)
        if not decision.done and not decision.failed:
            action = self.safety.clip(decision.action, self.observation)
            self.observation = self.world.step(action)
            self.navigator.note_applied(action)
        return decision

    def run(
        self, goal: Goal | None, ticks: int, until: Callable[[Decision], bool] | None = None
    ) -> Decision:
        for _ in range(ticks):
            decision = self.step(goal)
            if decision.done or decision.failed or (until and until(decision)):
                break
        return decision

    def modes(self) -> list[Mode]:
        out: list[Mode] = []
        for d in self.decisions:
            if not out or out[-1] != d.mode:
                out.append(d.mode)
        return out


def two_rooms() -> list[Box]:
    walls = [Box(4.0, 0.0, 4.1, 1.5), Box(4.0, 2.45, 4.1, 4.0)]
    lintel = Box(4.0, 1.5, 4.1, 2.45, top_m=2.5, low_m=2.05)
    return [*room(8, 4), *walls, lintel]
