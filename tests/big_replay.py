"""The replay store of a long life, made of a short one: real frames, told over and over.

    python tests/big_replay.py FOLDER --rows 1000000 --seed 3

The house is lived in for `REAL_ROWS` steps; their rows are then added again and again with growing
steps, episodes and stamps, in files as merges leave them. Frames that are alike lie megabytes
apart, so that compression finds no more in them than in a life.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from memory.config import ObjectConfig, ReplayConfig
from memory.frames import body_pose
from memory.objects.memory import SlotMemory
from memory.records import NUM_OBJECTS, Transition
from memory.replay.rows import encode
from memory.replay.store import LanceReplay
from memory.schema import TRANSITIONS
from memory.tables import open_table
from policies.config import PoliciesConfig
from policies.detectors.instances import InstanceDetector
from policies.navigator import Navigator
from policies.perception import object_rows
from policies.safety import SafetyFilter

REAL_ROWS = 2048
EPISODE_ROWS = 256


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


def make_big_replay(folder: Path, num_rows: int, seed: int = 3) -> list[Transition]:
    """Write a replay store of `num_rows` steps, a multiple of `REAL_ROWS`; return the real rows."""
    rows = real_rows(REAL_ROWS, seed)
    store = LanceReplay(folder, ReplayConfig())
    store.append(rows)
    store.close()
    table = open_table(folder, TRANSITIONS)
    assert table is not None
    told = encode(rows, table.schema)
    stride_ns = rows[1].observation.stamp_ns - rows[0].observation.stamp_ns
    for first in range(REAL_ROWS, num_rows, REAL_ROWS):
        later = {
            "step": first,
            "episode_id": first // EPISODE_ROWS,
            "stamp_ns": first * stride_ns,
        }
        batch = told
        for name, more in later.items():
            at = told.schema.get_field_index(name)
            batch = batch.set_column(at, told.schema.field(at), pc.add(told[name], more))
        table.add(batch)
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
