"""Time the replay store: appends, and samples against an in-RAM ring.

Run as `python tests/bench/bench_memory.py`; prints tables and asserts nothing about seconds.
"""

import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes_memory import Box, look_at, make_transition, observe

from memory.config import ReplayConfig
from memory.records import Transition
from memory.replay import LanceReplay

ROWS = 2048
BATCH = 64
WINDOWS, HORIZON = 64, 8


def timed(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the median and the 99th percentile of the wall time, in ms."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1e3)
    return float(np.median(taken)), float(np.percentile(taken, 99))


def room() -> list[Box]:
    """Return ten objects on a grid in front of a wall."""
    colours = np.random.default_rng(0).integers(30, 220, (10, 3)).tolist()
    return [
        Box(
            label="chair" if i % 2 else "table",
            xyz_m=(2.0 + 1.2 * (i // 5), -1.4 + 0.7 * (i % 5), 0.3 + 0.3 * (i // 5)),
            extent_m=(0.4, 0.4, 0.6 + 0.6 * (i // 5)),
            rgb=tuple(colours[i]),
        )
        for i in range(10)
    ]


def real_rows(count: int) -> list[Transition]:
    """Return 64 x 64 rows of a drive past the room: they compress as rooms do, not as noise."""
    frames = [
        observe(room(), look_at((-0.5, 2 * math.sin(i / 10)), (2.0, 0.0)))[0] for i in range(64)
    ]
    rows = []
    for step in range(count):
        row = make_transition(step, step // 256 * 2, size=64)
        object.__setattr__(row, "observation", frames[step % 64])
        rows.append(row)
    return rows


class Ring:
    """The fastest there is: arrays in RAM."""

    def __init__(self, rows: list[Transition]) -> None:
        self.rgb = np.stack([row.observation.rgb for row in rows])
        self.depth_m = np.stack([row.observation.depth_m for row in rows])

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return windows."""
        first = rng.integers(len(self.rgb) - HORIZON, size=WINDOWS)
        at = first[:, None] + np.arange(HORIZON)
        return self.rgb[at], self.depth_m[at]


def bench_replay(folder: Path, table: Table) -> None:
    """Add rows about the replay store."""
    rows = real_rows(ROWS)
    store = LanceReplay(folder, ReplayConfig())
    batches = iter([rows[i : i + BATCH] for i in range(0, ROWS, BATCH)])
    p50, p99 = timed(lambda: store.append(next(batches)), ROWS // BATCH)
    table.add_row(f"append {BATCH} rows", f"{p50:.1f}", f"{p99:.1f}", f"{BATCH / p50:.1f} rows/ms")
    ring, rng = Ring(rows), np.random.default_rng(0)
    ring_ms, ring_99 = timed(lambda: ring.sample(rng), 50)
    frames = f"{WINDOWS} x {HORIZON} frames"
    table.add_row(f"ring in RAM, {frames}", f"{ring_ms:.1f}", f"{ring_99:.1f}", "1.0 x")
    for name in (f"{ROWS // BATCH} fragments", "compacted"):
        p50, p99 = timed(lambda: store.sample(WINDOWS, HORIZON, rng), 30)
        table.add_row(
            f"sample, {name}", f"{p50:.1f}", f"{p99:.1f}", f"{p50 / ring_ms:.1f} x the ring"
        )
        if name != "compacted":
            fresh = store.disk_bytes() / ROWS
            started = time.perf_counter()
            store.compact()
            taken = (time.perf_counter() - started) * 1e3
    table.add_row("compact", f"{taken:.0f}", "", f"{fresh:.0f} bytes/row before it")
    p50, p99 = timed(lambda: LanceReplay(folder, ReplayConfig()), 10)
    table.add_row(f"open {ROWS} rows", f"{p50:.1f}", f"{p99:.1f}", "")


def main() -> None:
    """Print the table."""
    table = Table(title=f"replay, {os.cpu_count()} cores")
    for column in ("what", "p50 ms", "p99 ms", ""):
        table.add_column(column, justify="left" if column in ("what", "") else "right")
    with tempfile.TemporaryDirectory() as scratch:
        bench_replay(Path(scratch) / "replay", table)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
