"""Time the object memory: slot updates, flushes, searches (the replay store: bench_replay.py).

Run as `python tests/bench/bench_memory.py`; prints tables and asserts nothing about seconds.
"""

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

from fakes_memory import SPEC, Box, look_at, observe

from memory.colour_encoder import ColourEncoder
from memory.config import ObjectConfig
from memory.objects import SlotMemory
from memory.records import Embedding
from memory.search import search_home


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
    p50, p99 = timed(lambda: search_home(folder, "chair", 10), 20)
    table.add_row("search from another process", f"{p50:.1f}", f"{p99:.1f}", "")


def main() -> None:
    """Print the table."""
    table = Table(title=f"memory, {os.cpu_count()} cores")
    for column in ("what", "p50 ms", "p99 ms", ""):
        table.add_column(column, justify="left" if column in ("what", "") else "right")
    with tempfile.TemporaryDirectory() as scratch:
        bench_objects(Path(scratch) / "objects", table)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
