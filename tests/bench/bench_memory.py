"""Time the memory: appends, samples against an in-RAM ring, slot updates, searches.

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

from fakes_memory import SPEC, Box, look_at, make_transition, observe

from memory.colour_encoder import ColourEncoder
from memory.config import ObjectConfig, ReplayConfig
from memory.objects import SlotMemory
from memory.query import SlotQuery
from memory.records import Embedding, Transition
from memory.replay import LanceReplay
from memory.search import SlotSearch

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


def bench_objects(folder: Path, table: Table) -> None:
    """Add rows about the object memory."""
    memory = SlotMemory(folder, ObjectConfig(), SPEC)
    step = 0
    for offset in range(0, 80, 10):
        boxes = [
            Box(
                label=box.label,
                xyz_m=(box.xyz_m[0], box.xyz_m[1] + 6.0 * offset, box.xyz_m[2]),
                extent_m=box.extent_m,
                rgb=box.rgb,
            )
            for box in room()
        ]
        for turn in range(4):
            y = 6.0 * offset + 0.2 * turn
            memory.update(*observe(boxes, look_at((-0.5, y), (2.0, y)), step), step)
            step += 1
    memory.flush()
    frames = [observe(room(), look_at((-0.5, i / 10), (2.0, 0.0)), step + i) for i in range(10)]
    num_slots = len(memory.slots())
    p50, p99 = timed(
        lambda: memory.update(*frames[np.random.default_rng(0).integers(10)], 999), 300
    )
    num_seen = np.mean([len(detections) for _, detections in frames])
    name = f"update, {num_seen:.0f} detections, {num_slots} slots"
    table.add_row(name, f"{p50:.2f}", f"{p99:.2f}", "")
    p50, p99 = timed(lambda: memory.slots("chair"), 300)
    table.add_row("slots of a label", f"{p50:.2f}", f"{p99:.2f}", "")
    encoder, view = ColourEncoder(), memory.views(1)[0]
    vector = Embedding(
        encoder_version=encoder.encoder_version, vector=encoder.embed(view.crop[None])[0]
    )
    p50, p99 = timed(lambda: memory.similar(vector, 5), 50)
    table.add_row(f"similar, {memory.num_views()} views", f"{p50:.2f}", f"{p99:.2f}", "")

    def update_and_flush() -> None:
        memory.update(*frames[0], 1000)
        memory.flush()

    p50, p99 = timed(update_and_flush, 30)
    table.add_row("flush", f"{p50:.1f}", f"{p99:.1f}", "")
    p50, p99 = timed(lambda: SlotSearch(folder).find(SlotQuery(text="chair", limit=10)), 20)
    table.add_row("search from another process", f"{p50:.1f}", f"{p99:.1f}", "")


def main() -> None:
    """Print the table."""
    table = Table(title=f"memory, {os.cpu_count()} cores")
    for column in ("what", "p50 ms", "p99 ms", ""):
        table.add_column(column, justify="left" if column in ("what", "") else "right")
    with tempfile.TemporaryDirectory() as scratch:
        bench_replay(Path(scratch) / "replay", table)
        bench_objects(Path(scratch) / "objects", table)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
