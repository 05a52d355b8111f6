"""Time exports of lives in the house, and of a short span at the end of a long life.

Run as `python tests/bench/bench_export.py`; prints tables. What matters is the ratio to the rate of
the life (a step takes 0.2 s): an export of a running robot must keep far ahead of it.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from big_replay import make_big_replay
from rich.console import Console
from rich.table import Table

from agentd.export.happenings import Record
from agentd.export.mcap import Source, export_mcap
from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from memory.config import ReplayConfig
from memory.export.lerobot import export_lerobot
from memory.export.span import Calendar, read_calendar
from memory.export.tum import export_tum
from memory.frames import body_pose
from memory.records import NUM_OBJECTS, OBJECT_FEATURES, Action, BodySpec, Transition
from memory.replay.store import LanceReplay

EPISODE_ROWS = 256


def drive(folder: Path, image_px: int, num_rows: int) -> BodySpec:
    """Record a drive of gentle turns through a house."""
    world = HouseWorld(HouseConfig(seed=3, image_px=image_px))
    replay, rng = LanceReplay(folder, ReplayConfig()), np.random.default_rng(0)
    seen, rows, w_radps = world.reset(0), [], 0.0
    for step in range(num_rows):
        if step % 16 == 0 or seen.bumped:
            w_radps = float(rng.uniform(-1, 1)) * (2.0 if seen.bumped else 0.5)
        wanted = Action(v_mps=0.4, w_radps=w_radps, duration_s=world.spec.tick_s)
        result = world.step(wanted)
        place = step % EPISODE_ROWS
        rows.append(
            Transition(
                step=step,
                episode_id=step // EPISODE_ROWS,
                observation=seen,
                action=result.applied,
                pose=body_pose(seen.T_world_camera, world.spec),
                objects=np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32),
                object_slots=np.zeros(NUM_OBJECTS, dtype=np.int32),
                is_first=place == 0,
                is_last=place == EPISODE_ROWS - 1,
                is_terminal=False,
                surprise=float(step % 7),
                checkpoint_id="",
            )
        )
        seen = result.observation
        if len(rows) == EPISODE_ROWS:
            replay.append(rows)
            rows = []
    if rows:
        replay.append(rows)
    replay.close()
    world.close()
    return world.spec


def source(folder: Path, span: Calendar, spec: BodySpec) -> Source:
    """Return a span without events and goals."""
    nothing = Record(happenings=[], goals=[])
    newest = span.last_step
    return Source(folder=folder, span=span, newest_step=newest, spec=spec, record=nothing, facts={})


def writers(
    folder: Path, span: Calendar, spec: BodySpec, out: Path
) -> dict[str, Callable[[], object]]:
    """Return what writes each format to `out`."""
    tasks = ["explore"] * len(span)
    return {
        "MCAP, PNG depth": lambda: export_mcap(source(folder, span, spec), out),
        "MCAP, raw depth": lambda: export_mcap(source(folder, span, spec), out, depth="raw"),
        "LeRobot v3.0": lambda: export_lerobot(folder, span, spec, tasks, out),
        "TUM": lambda: export_tum(folder, span, spec, out),
    }


def size_of(path: Path) -> int:
    """Return the bytes of a file or folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def bench_formats(root: Path, sizes: dict[int, int]) -> Table:
    """Export whole lives of some image sizes in every format."""
    table = Table(title="exports, one core")
    for name in ("image", "format", "steps", "steps/s", "MB/s", "kB/step", "x life's rate"):
        table.add_column(name, justify="left" if name == "format" else "right")
    for image_px, num_rows in sizes.items():
        folder = root / f"life{image_px}"
        spec = drive(folder, image_px, num_rows)
        span = read_calendar(folder)
        for name, write in writers(folder, span, spec, root / "out").items():
            started = time.perf_counter()
            write()
            seconds = time.perf_counter() - started
            num_bytes = size_of(root / "out")
            shutil.rmtree(root / "out") if (root / "out").is_dir() else (root / "out").unlink()
            per_s = num_rows / seconds
            table.add_row(
                f"{image_px} px",
                name,
                str(num_rows),
                f"{per_s:.0f}",
                f"{num_bytes / seconds / 1e6:.2f}",
                f"{num_bytes / num_rows / 1e3:.2f}",
                f"{per_s * spec.tick_s:.0f}",
            )
    return table


def bench_long(root: Path, lengths: list[int], span_rows: int) -> Table:
    """Export the newest steps of ever longer lives: it should cost the same."""
    table = Table(title=f"the newest {span_rows} steps of a long life as MCAP")
    for name in ("steps in the life", "calendar s", "export s", "x shortest"):
        table.add_column(name, justify="right")
    spec, first_s = HouseWorld(HouseConfig(seed=3)).spec, None
    for length in lengths:
        folder = root / f"long{length}"
        make_big_replay(folder, length, 3)
        started = time.perf_counter()
        whole = read_calendar(folder)
        calendar_s = time.perf_counter() - started
        span = whole.part(first_step=whole.last_step - span_rows + 1)
        started = time.perf_counter()
        export_mcap(source(folder, span, spec), root / "out.mcap", force=True)
        seconds = time.perf_counter() - started
        first_s = first_s or seconds
        table.add_row(
            f"{length:,}", f"{calendar_s:.2f}", f"{seconds:.2f}", f"{seconds / first_s:.2f}"
        )
        shutil.rmtree(folder)
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1024, help="steps of the drive at 64 px")
    parser.add_argument("--lengths", type=int, nargs="*", default=[4096, 65_536, 262_144])
    parser.add_argument("--span", type=int, default=512)
    args = parser.parse_args()
    console = Console(width=110)
    root = Path(tempfile.mkdtemp(prefix="bench-export-"))
    try:
        sizes = {64: args.rows, 256: args.rows // 4}
        console.print(bench_formats(root, sizes))
        if args.lengths:
            console.print(bench_long(root, args.lengths, args.span))
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
