"""A life of a million steps and a hundred thousand objects: opened, sampled, searched, written on.

    python tests/bench/bench_long_life.py --rows 1000000 --slots 100000

Made by tests/big_replay.py and tests/big_life.py in a folder of its own (about 8 kB a row; --folder
keeps it and takes it again) and merged once as its upkeep leaves it, beside a young life of the
same house. The two are opened and used in turns, each time in a process of its own; the table has
the medians. Prints a table, asserts nothing about seconds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from big_life import make_big_objects
from big_replay import EPISODE_ROWS, REAL_ROWS, make_big_replay, real_rows

from agentd.recorder import Recorder
from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from memory.care.stats import memory_stats
from memory.config import ObjectConfig, ReplayConfig
from memory.objects.memory import SlotMemory
from memory.records import Transition
from memory.replay.store import LanceReplay
from memory.search.home import SlotSearch
from memory.search.query import SlotQuery
from policies.config import PoliciesConfig
from policies.detectors.instances import InstanceDetector

APPEND, APPENDS = 20, 40
WINDOWS, HORIZON, SAMPLES = 64, 8, 20
STEPS, TURNS = 400, 3


def timed_ms(call: Callable[[], object], repeats: int) -> dict[str, float]:
    """Return the median and the 95th percentile of the wall time."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1e3)
    return {"p50": float(np.median(taken)), "p95": float(np.percentile(taken, 95))}


def step_ms(store: LanceReplay, slots: SlotMemory, real: list[Transition]) -> dict[str, float]:
    """Return the CPU time that the memory takes of the control thread per step."""
    told: list[str] = []
    world = HouseWorld(HouseConfig(seed=3))
    detector = InstanceDetector(world.spec, PoliciesConfig().perception)
    recorder = Recorder(store, slots, ReplayConfig(), told.append)
    first, taken = store.last_step() + 1, []
    recorder.start()
    for i, row in enumerate(next_rows(store, (real * STEPS)[:STEPS])):
        found = detector.detect(row.observation)
        began = time.thread_time()
        slots.update(row.observation, found, first + i)
        recorder.put(row)
        taken.append((time.thread_time() - began) * 1e3)
        time.sleep(0.01)
    recorder.close(60.0)
    world.close()
    assert recorder.rows_committed == STEPS, told
    return {"p50": float(np.median(taken)), "p95": float(np.percentile(taken, 95))}


def measure(folder: Path) -> dict[str, Any]:
    """Open a life, use it, and return what that cost."""
    spec = HouseWorld(HouseConfig(seed=3)).spec
    began, began_cpu = time.perf_counter(), time.process_time()
    store = LanceReplay(folder, ReplayConfig())
    slots = SlotMemory(folder, ObjectConfig(), spec)
    found: dict[str, Any] = {
        "open_s": time.perf_counter() - began,
        "open_cpu_s": time.process_time() - began_cpu,
        "rows": len(store),
        "slots": sum(slots.num_by_state().values()),
        "rss_mib": psutil.Process().memory_info().rss / 2**20,
    }
    rng = np.random.default_rng(0)
    found["sample first"] = timed_ms(lambda: store.sample(WINDOWS, HORIZON, rng), SAMPLES)
    found["sample"] = timed_ms(lambda: store.sample(WINDOWS, HORIZON, rng), 2 * SAMPLES)
    real = real_rows(REAL_ROWS // 8, 3)
    found["step"] = step_ms(store, slots, real)
    found["append"] = timed_ms(lambda: store.append(next_rows(store, real[:APPEND])), APPENDS)
    search = SlotSearch(folder)
    query = SlotQuery(text="chair", near_xy_m=(0.0, 0.0), radius_m=20.0, limit=10)
    search.find(query)
    found["search"] = timed_ms(lambda: search.find(query), SAMPLES)
    found["stats"] = timed_ms(lambda: memory_stats(folder), 3)
    return found


def next_rows(store: LanceReplay, real: list[Transition]) -> list[Transition]:
    """Return rows as the loop would hand them over next."""
    first = store.last_step() + 1
    stride_ns = real[1].observation.stamp_ns - real[0].observation.stamp_ns
    return [
        replace(
            real[i],
            step=first + i,
            episode_id=(first + i) // EPISODE_ROWS,
            observation=replace(real[i].observation, stamp_ns=(first + i + 1) * stride_ns),
        )
        for i in range(len(real))
    ]


def in_child(folder: Path) -> dict[str, Any]:
    """Return what `measure` found in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def medians(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of every figure."""
    return {
        name: medians([turn[name] for turn in turns])
        if isinstance(value, dict)
        else float(np.median([turn[name] for turn in turns]))
        for name, value in turns[0].items()
    }


def compaction(folder: Path) -> dict[str, float]:
    """Return the CPU and wall seconds of one upkeep, as the agent starts it."""
    began = time.perf_counter()
    before = os.times()
    command = [sys.executable, "-m", "memory.care.upkeep", str(folder), "{}"]
    subprocess.run(command, check=True)
    after = os.times()
    cpu_s = after.children_user + after.children_system
    cpu_s -= before.children_user + before.children_system
    return {"cpu_s": cpu_s, "wall_s": time.perf_counter() - began}


def main() -> None:
    """Make both lives, measure them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--slots", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="keep the long life here, or take it from here")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(measure(options.measure)))
        return
    with tempfile.TemporaryDirectory(prefix="agentd-bench-") as scratch:
        long = options.folder or Path(scratch) / "long"
        young = Path(scratch) / "young"
        sizes = {young: (REAL_ROWS, 100), long: (options.rows, options.slots)}
        for folder, (rows, slots) in sizes.items():
            if not folder.exists():
                make_big_objects(folder, slots)
                make_big_replay(folder, rows)
                compaction(folder)
        turns = []
        for _ in range(TURNS):
            measured = {folder: in_child(folder) for folder in sizes}
            # A life's upkeep comes every two minutes; reads slow down with the files in between.
            care = {folder: compaction(folder) for folder in sizes}
            turns.append({folder: measured[folder] | {"upkeep": care[folder]} for folder in sizes})
        found = {folder: medians([turn[folder] for turn in turns]) for folder in sizes}
    title = f"a young and a long life, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    table = Table(title=title)
    table.add_column("figure")
    for folder in sizes:
        rows, slots = found[folder]["rows"], found[folder]["slots"]
        table.add_column(f"{rows:.0f} steps, {slots:.0f} slots", justify="right")
    lines: dict[str, Callable[[Path], str]] = {
        "open, s (CPU s)": lambda f: f"{found[f]['open_s']:.2f} ({found[f]['open_cpu_s']:.2f})",
        "resident after opening, MiB": lambda f: f"{found[f]['rss_mib']:.0f}",
    }
    names = {
        "sample first": f"sample {WINDOWS} x {HORIZON}, first {SAMPLES}, ms",
        "sample": f"sample {WINDOWS} x {HORIZON}, after them, ms",
        "step": "memory's share of a step, control thread, CPU ms",
        "append": f"append {APPEND} rows, ms",
        "search": "search by name and place, ms",
        "stats": "memory stats, ms",
    }
    for key, name in names.items():
        lines[f"{name}: p50 / p95"] = lambda f, key=key: (
            f"{found[f][key]['p50']:.1f} / {found[f][key]['p95']:.1f}"
        )
    lines["one upkeep, CPU s (wall s)"] = lambda f: (
        f"{found[f]['upkeep']['cpu_s']:.1f} ({found[f]['upkeep']['wall_s']:.1f})"
    )
    for name, cell in lines.items():
        table.add_row(name, *(cell(folder) for folder in sizes))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
