"""The replay store of a long life, made of a short one: real frames, told over and over.

    python tests/big_replay.py FOLDER --rows 1000000 --seed 3

The house is lived in for `REAL_ROWS` steps; their rows are then appended again and again with
growing steps, episodes and stamps. Frames that are alike lie megabytes apart, so that compression
finds no more in them than in a life.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from memory.config import ObjectConfig, ReplayConfig
from memory.frames import body_pose
from memory.objects.memory import SlotMemory
from memory.records import NUM_OBJECTS, Transition
from memory.replay.store import LanceReplay
from policies.config import PoliciesConfig
from policies.navigator import Navigator
from policies.perception import InstanceDetector, object_rows
from policies.safety import SafetyFilter

REAL_ROWS = 2048
EPISODE_ROWS = 256
APPEND_ROWS = 2048
"""Rows per append: a long life is made of merged files, not of those of its last minutes."""


def real_rows(count: int, seed: int) -> list[Transition]:
    """Return the first steps of a life in a house, as the loop would record them."""
    config = PoliciesConfig()
    world = HouseWorld(HouseConfig(seed=seed))
    spec = world.spec
    slots = SlotMemory(None, ObjectConfig(), spec)
    navigator = Navigator(spec, config, slots, np.random.default_rng(seed))
    detector, safety = InstanceDetector(spec, config.perception), SafetyFilter(spec, config.safety)
    seen, rows = world.reset(seed), []
    for step in range(count):
        found = detector.detect(seen)
        ids = slots.update(seen, found, step)[:NUM_OBJECTS]
        object_slots = np.zeros(NUM_OBJECTS, dtype=np.int32)
        object_slots[: len(ids)] = ids
        action = safety.clip(navigator.act(seen, found, None).action, seen)
        result = world.step(action)
        rows.append(
            Transition(
                step=step,
                episode_id=step // EPISODE_ROWS,
                observation=seen,
                action=result.applied,
                pose=body_pose(seen.T_world_camera, spec),
                objects=object_rows(found, spec),
                object_slots=object_slots,
                is_first=step % EPISODE_ROWS == 0,
                is_last=step % EPISODE_ROWS == EPISODE_ROWS - 1,
                is_terminal=False,
                surprise=float("nan"),
                checkpoint_id="",
            )
        )
        seen = result.observation
    world.close()
    return rows


def retold(rows: list[Transition], first_step: int) -> Iterator[Transition]:
    """Return the rows as they would have been recorded from another step on."""
    stride_ns = rows[1].observation.stamp_ns - rows[0].observation.stamp_ns
    for i, row in enumerate(rows):
        step = first_step + i
        stamped = replace(row.observation, stamp_ns=(step + 1) * stride_ns)
        episode = step // EPISODE_ROWS
        yield replace(row, step=step, episode_id=episode, observation=stamped)


def make_big_replay(folder: Path, num_rows: int, seed: int = 3) -> list[Transition]:
    """Write a replay store of `num_rows` steps; return the real rows that it repeats."""
    rows = real_rows(min(REAL_ROWS, num_rows), seed)
    store = LanceReplay(folder, ReplayConfig())
    for first in range(0, num_rows, APPEND_ROWS):
        at = first % len(rows)
        some = (rows[at:] + rows[:at])[: min(APPEND_ROWS, num_rows - first)]
        store.append(list(retold(some, first)))
    store.close()
    return rows


def main() -> None:
    """Write the store."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    make_big_replay(options.folder, options.rows, options.seed)


if __name__ == "__main__":
    main()
