"""Cost of acting against how much is remembered.

    python tests/bench/bench_scale.py --seed 3 --steps 150

Drives one house with what else may be remembered: maps of other homes in the atlas, and objects of
other homes in the memory, a twentieth of them of the category that is looked for. CPU time of one
core per tick of the policy alone (the memory's own cost: bench_slots.py). Asserts nothing.
"""

import argparse
import time

import numpy as np

from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from memory.config import ObjectConfig
from memory.objects.listing import RankedSlots, Rect
from memory.objects.memory import SlotMemory
from memory.records import ObjectGoal, Slot, SlotState
from policies.config import MapConfig, PoliciesConfig
from policies.detectors.instances import InstanceDetector
from policies.navigator import Navigator
from policies.safety import SafetyFilter

HOMES = (0, 10, 100)
SLOTS = (0, 100, 1_000, 10_000, 100_000)
ROOMS = (5, 8, 12, 16)
LARGE_M = 48.0
LABELS = 20
APART_M = 60.0


class Crowded:
    """An object memory beside which so many objects of other homes are remembered."""

    def __init__(self, memory: SlotMemory, num_slots: int, label: str) -> None:
        self._memory = memory
        self._others = RankedSlots()
        self._others.fill([_slot(k, label) for k in range(num_slots // LABELS)])

    def slots(self, label: str | None = None, *, archived: bool = False) -> list[Slot]:
        """Return the slots of the house and of the other homes."""
        return [*self._memory.slots(label, archived=archived), *self._others.slots()]

    def slots_within(self, label: str, rect_m: Rect) -> list[Slot]:
        """Return those in a rectangle of the floor."""
        return [*self._memory.slots_within(label, rect_m), *self._others.within(rect_m)]


def _slot(k: int, label: str) -> Slot:
    return Slot(
        slot_id=1_000_000 + k,
        label=label,
        votes={label: 3.0},
        xyz_m=np.array([APART_M * (1 + k % 100), APART_M * (k // 100), 0.4]),
        cov_m2=np.eye(3) * 0.01,
        extent_m=np.array([0.4, 0.4, 0.8]),
        existence=3.0,
        state=SlotState.CONFIRMED,
        num_hits=5,
        first_seen_ns=0,
        last_seen_ns=0,
        first_seen_step=0,
        last_seen_step=0,
    )


def drive(
    seed: int, steps: int, num_homes: int = 0, num_slots: int = 0, num_rooms: int | None = None
) -> tuple[float, float]:
    """Return the mean and the 99th percentile of the policy's CPU-ms per tick."""
    config = PoliciesConfig(map=MapConfig(size_m=LARGE_M)) if num_rooms else PoliciesConfig()
    world = HouseWorld(HouseConfig(seed=seed, num_rooms=num_rooms))
    spec = world.spec
    memory = SlotMemory(None, ObjectConfig(), spec)
    label = "trashcan"
    slots = Crowded(memory, num_slots, label)
    navigator = Navigator(spec, config, slots, np.random.default_rng(seed))
    detector, safety = InstanceDetector(spec, config.perception), SafetyFilter(spec, config.safety)
    region = {k: v for k, v in navigator.save().items() if k != "policy_step"}
    for k in range(num_homes):
        origin = np.array([APART_M * (k + 1), 0.0])
        navigator._regions._atlas.put({**region, "map_origin_m": origin})
    goal = ObjectGoal(goal_id="g", label=label)
    seen, spent = world.reset(seed), []
    for step in range(steps):
        found = detector.detect(seen)
        memory.update(seen, found, step)
        begin = time.process_time()
        decision = navigator.act(seen, found, goal)
        spent.append((time.process_time() - begin) * 1e3)
        if decision.done or decision.failed:
            navigator.reset()
        result = world.step(safety.clip(decision.action, seen))
        navigator.note_applied(result.applied)
        seen = result.observation
    return float(np.mean(spent)), float(np.percentile(spent, 99))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150)
    options = parser.parse_args()
    drive(options.seed, 20)
    print(f"{'homes':>7}{'slots':>9}{'mean ms':>9}{'p99 ms':>9}")
    for homes, slots in [*((h, 0) for h in HOMES), *((0, s) for s in SLOTS[1:])]:
        mean, high = drive(options.seed, options.steps, homes, slots)
        print(f"{homes:>7}{slots:>9}{mean:>9.2f}{high:>9.2f}", flush=True)
    print(f"{'rooms':>7}{'steps':>9}{'mean ms':>9}{'p99 ms':>9}")
    for rooms in ROOMS:
        # As long for each room: the larger the home, the longer it is explored.
        steps = options.steps * rooms // ROOMS[0]
        mean, high = drive(options.seed, steps, num_rooms=rooms)
        print(f"{rooms:>7}{steps:>9}{mean:>9.2f}{high:>9.2f}", flush=True)


if __name__ == "__main__":
    main()
