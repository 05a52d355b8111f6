"""Cost of acting against the cost of the world.

    python tests/bench/bench_policy.py --seed 3 --steps 400
    python tests/bench/bench_policy.py --seed 7 --home runs/life

Drives the house at full pace: detector, object memory, policy and safety per tick beside the
world's own step, while it explores and while it goes for remembered objects. With a home, the
checkpoint that acts in it steers the next metres. CPU time of one core. Prints a table, asserts
nothing about seconds.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from agentd.build import build_model_loader
from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from learners.registry import Registry
from memory.config import ObjectConfig
from memory.objects.memory import SlotMemory
from memory.records import Goal, ObjectGoal
from policies.config import PoliciesConfig
from policies.detectors.instances import InstanceDetector
from policies.navigator import Navigator
from policies.safety import SafetyFilter

PARTS = ("world", "detector", "objects", "policy", "safety")
T = TypeVar("T")


class Drive:
    """One house and all that acts in it, with the CPU time of each part."""

    def __init__(self, seed: int) -> None:
        config = PoliciesConfig()
        self.world = HouseWorld(HouseConfig(seed=seed))
        spec = self.world.spec
        self.memory = SlotMemory(None, ObjectConfig(), spec)
        self.navigator = Navigator(spec, config, self.memory, np.random.default_rng(seed))
        self._detector = InstanceDetector(spec, config.perception)
        self._safety = SafetyFilter(spec, config.safety)
        self._observation = self.world.reset(seed)
        self._step = 0
        self.spent_ms: dict[str, list[float]] = {part: [] for part in PARTS}

    def tick(self, goal: Goal | None) -> bool:
        """Act once; return whether the goal is over."""
        seen = self._observation
        found = self._timed("detector", lambda: self._detector.detect(seen))
        self._timed("objects", lambda: self.memory.update(seen, found, self._step))
        decision = self._timed("policy", lambda: self.navigator.act(seen, found, goal))
        action = self._timed("safety", lambda: self._safety.clip(decision.action, seen))
        self._observation = self._timed("world", lambda: self.world.step(action)).observation
        self._step += 1
        return decision.done or bool(decision.failed)

    def _timed(self, part: str, call: Callable[[], T]) -> T:
        begin = time.process_time()
        result = call()
        self.spent_ms[part].append((time.process_time() - begin) * 1e3)
        return result

    def clear(self) -> None:
        """Start another measurement."""
        self.spent_ms = {part: [] for part in PARTS}


def report(title: str, drive: Drive) -> None:
    """Print mean, median and worst percentile of each part."""
    print(f"\n{title}: {len(drive.spent_ms['world'])} ticks")
    print(f"  {'part':<10}{'mean ms':>9}{'median':>9}{'p99':>9}")
    for part in PARTS:
        ms = np.array(drive.spent_ms[part])
        line = f"{ms.mean():>9.2f}{np.median(ms):>9.2f}{np.percentile(ms, 99):>9.2f}"
        print(f"  {part:<10}{line}")
    mean = {part: float(np.mean(drive.spent_ms[part])) for part in PARTS}
    acting = sum(mean.values()) - mean["world"]
    print(f"  acting over world: {acting / mean['world']:.2f}")
    print(f"  plans of the model so far: {drive.navigator.planner.num_plans_made}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--home", type=Path, help="life whose acting checkpoint steers")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    drive = Drive(options.seed)
    if options.home is not None:
        registry = Registry(options.home / "checkpoints")
        drive.navigator.use_model(build_model_loader(registry)(registry.promoted() or ""))
    for _ in range(options.steps):
        drive.tick(None)
    report("exploring", drive)
    drive.clear()
    labels = sorted({slot.label for slot in drive.memory.slots()})
    for label in labels * 3:
        goal = ObjectGoal(goal_id=label, label=label)
        while len(drive.spent_ms["world"]) < options.steps and not drive.tick(goal):
            pass
    report("going for remembered objects", drive)


if __name__ == "__main__":
    main()
