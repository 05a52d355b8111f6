"""Cost of the object memory from a hundred to a hundred thousand slots.

    python tests/bench/bench_slots.py --sizes 100 10000 100000

Each size is a folder made by tests/big_life.py, opened in a process of its own: a tick that looks
at three objects, what the control loop asks, a flush of what changed beside a bare LanceDB
merge_insert of as many rows into the same table, opening, memory. Prints a table, asserts nothing
about seconds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil
from big_life import make_big_objects
from fakes_memory import SPEC, Box, look_at, observe

from memory.config import ObjectConfig
from memory.objects.memory import SlotMemory
from memory.objects.rows import slots_to_arrow
from memory.objects.slot_arrays import SlotArrays
from memory.objects.tables import ObjectTables
from memory.schema import SLOTS
from memory.tables import connect

TICKS, FLUSHES, FLUSHED_SLOTS = 600, 40, 8


def percentiles(call: Callable[[int], object], repeats: int) -> tuple[float, float, float]:
    """Return the 50th, 95th and 99th percentile of the wall time, in ms."""
    taken = []
    for i in range(repeats):
        start = time.perf_counter()
        call(i)
        taken.append((time.perf_counter() - start) * 1e3)
    p50, p95, p99 = np.percentile(taken, (50, 95, 99)).tolist()
    return p50, p95, p99


def row_of_chairs(first_y_m: float) -> list[Box]:
    """Return eight chairs, all seen at once."""
    return [
        Box(label="chair", xyz_m=(3.5, first_y_m - 2.1 + 0.6 * i, 0.4), extent_m=(0.3, 0.3, 0.8))
        for i in range(FLUSHED_SLOTS)
    ]


def measure(folder: Path) -> dict[str, float]:
    """Return the figures of one memory."""
    process = psutil.Process()
    rss = process.memory_info().rss
    start = time.perf_counter()
    memory = SlotMemory(folder, ObjectConfig(), SPEC)
    found = {"open s": time.perf_counter() - start}
    found["RSS MiB"] = process.memory_info().rss / 2**20
    found["of this the memory"] = (process.memory_info().rss - rss) / 2**20
    frames = [
        observe(row_of_chairs(0.0)[:3], look_at((0.0, i / 20), (3.5, -1.5))) for i in range(8)
    ]
    step = 10**7

    def tick(i: int) -> None:
        memory.update(*frames[i % 8], step + i)

    found["tick p50 ms"], _, found["tick p99 ms"] = percentiles(tick, TICKS)
    found["slots(label), first, ms"], _, _ = percentiles(lambda _: memory.slots("chair"), 1)
    found["chairs"] = len(memory.slots("chair"))

    def ask(i: int) -> None:
        memory.slots("chair")

    asked = []
    for i in range(TICKS):
        tick(i)
        asked.append(percentiles(ask, 1)[0])
    found["slots(label) p50 ms"], found["slots(label) p99 ms"] = np.percentile(asked, (50, 99))
    place = (0.0, 0.0)
    _, _, found["near(3 m) p99 ms"] = percentiles(lambda _: memory.near(place, 3.0), 300)
    measure_flush(folder, memory, found)
    return found


def measure_flush(folder: Path, memory: SlotMemory, found: dict[str, float]) -> None:
    """Add the time of flushes of eight slots, and of bare writes in between."""
    frames = [observe(row_of_chairs(0.0), look_at((0.0, i / 20), (3.5, 0.0))) for i in range(8)]
    for i in range(8):
        memory.update(*frames[i], 10**8 + i)
    memory.flush()
    table = connect(folder).open_table(SLOTS)
    arrays = SlotArrays()
    arrays.fill(ObjectTables(folder).load(1).slots)
    rows = slots_to_arrow(arrays.extract(np.arange(FLUSHED_SLOTS), neighbours=True))
    del arrays
    ours, bare = [], []
    for i in range(FLUSHES):
        memory.update(*frames[i % 8], 2 * 10**8 + i)
        ours.append(percentiles(lambda _: memory.flush(), 1)[0])
        merge = table.merge_insert(["slot_id"])
        merge = merge.when_matched_update_all().when_not_matched_insert_all()
        bare.append(percentiles(lambda _, merge=merge: merge.execute(rows), 1)[0])
    found["flush p50 ms"], found["flush p95 ms"] = np.percentile(ours, (50, 95))
    found["bare merge p50 ms"], found["bare merge p95 ms"] = np.percentile(bare, (50, 95))
    found["flush over bare, p50"] = found["flush p50 ms"] / found["bare merge p50 ms"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 10_000, 100_000])
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--vector-dim", type=int, default=270)
    parser.add_argument("--one", type=Path, help="measure this folder and print JSON")
    options = parser.parse_args()
    if options.one:
        sys.stdout.write(json.dumps({k: float(v) for k, v in measure(options.one).items()}))
        return
    columns: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for size in options.sizes:
            folder = Path(scratch) / str(size)
            make_big_objects(folder, size, options.views, seed=0, vector_dim=options.vector_dim)
            command = [sys.executable, __file__, "--one", str(folder)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            columns[size] = json.loads(done.stdout)
    title = f"object memory, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    table = Table("slots", *(f"{size:,}" for size in columns), title=title)
    for name in next(iter(columns.values())):
        table.add_row(name, *(f"{column[name]:.2f}" for column in columns.values()))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
