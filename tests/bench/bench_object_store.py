"""What object storage costs the replay store: appends and samples, beside a local disk.

    python tests/bench/bench_object_store.py                       # about a minute
    python tests/bench/bench_object_store.py --rows 640 --rounds 5     # a glance

The server is moto in this process: the figures hold its own work and no network. Both stores take
turns within one run, so that neighbours on the machine slow both alike: read the ratios. Prints a
table, asserts nothing about seconds.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes_memory import make_transition
from object_store import BUCKET, KEYS, ObjectStore, object_store

from memory.claim import settle_place
from memory.config import MemoryConfig, ReplayConfig
from memory.records import Transition
from memory.replay.spooled import SpooledReplay
from memory.replay.store import LanceReplay

BATCH_ROWS, WINDOWS, HORIZON, SIZE = 64, 64, 8, 64
EPISODE_ROWS = 256


def rows_from(first: int, count: int) -> list[Transition]:
    """Return rows of 64 x 64 noise, which no filter makes smaller."""
    return [
        make_transition(
            step,
            step // EPISODE_ROWS,
            is_first=step % EPISODE_ROWS == 0,
            is_last=step % EPISODE_ROWS == EPISODE_ROWS - 1,
            size=SIZE,
        )
        for step in range(first, first + count)
    ]


def timed_ms(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def measure(folder: Path, store: ObjectStore, rows: int, rounds: int) -> dict[str, np.ndarray]:
    """Return milliseconds (rounds 2) of the local store and of the one elsewhere, by what."""
    storage = {"uri": f"s3://{BUCKET}/life", "endpoint": store.endpoint, "allow_http": True}
    config = MemoryConfig.model_validate({"storage": storage})
    settle_place(folder / "far", config.storage)
    stores = (LanceReplay(folder / "near", config.replay), SpooledReplay(folder / "far", config))
    far = stores[1]
    appends, stored = [], []
    for first in range(0, rows, BATCH_ROWS):
        batch = rows_from(first, BATCH_ROWS)
        appends.append([timed_ms(partial(s.append, batch)) for s in stores])
        settle_ms = timed_ms(partial(far.settle, 60.0))
        stored.append([appends[-1][0], appends[-1][1] + settle_ms])
    found = {
        f"append {BATCH_ROWS} rows: safe on a disk": np.array(appends),
        f"append {BATCH_ROWS} rows: in the store": np.array(stored),
    }
    for name, hot_mib in (("cold", 0), ("decoded rows in RAM", 1024)):
        readers = [
            LanceReplay(folder / side, ReplayConfig(hot_mib=hot_mib)) for side in ("near", "far")
        ]
        samples = []
        for seed in range(rounds):
            samples.append(
                [
                    timed_ms(partial(r.sample, WINDOWS, HORIZON, np.random.default_rng(seed)))
                    for r in readers
                ]
            )
        found[f"sample {WINDOWS} x {HORIZON}, {name}"] = np.array(samples)
    store.stop()
    away = [timed_ms(partial(far.append, rows_from(rows + b, 1))) for b in range(rounds)]
    found["append 1 row, the store away"] = np.array([[np.nan, ms] for ms in away])
    far.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2560)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    os.environ.update(KEYS)
    table = Table("what", "local ms", "elsewhere ms", "ratio", "elsewhere worst ms")
    with tempfile.TemporaryDirectory() as folder, object_store() as store:
        for what, ms in measure(Path(folder), store, asked.rows, asked.rounds).items():
            near, far = np.median(ms, axis=0)
            worst = ms[:, 1].max()
            table.add_row(what, f"{near:.1f}", f"{far:.1f}", f"{far / near:.1f}", f"{worst:.0f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
