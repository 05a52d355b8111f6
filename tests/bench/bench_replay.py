"""The replay store against the fastest there is: bytes, reads, appends, merges.

    python tests/bench/bench_replay.py                  # all tables, about ten minutes
    python tests/bench/bench_replay.py --hour-rows 3600 --many 300 --rows 1024     # a glance

Rows are 64 x 64 frames of a drive through the house. Reads of all sources take turns within one
run, so that neighbours on the machine slow all of them alike: read the ratios. torchrl's storage is
measured if torchrl can be imported. Prints tables, asserts nothing about seconds.
"""

import argparse
import importlib.util
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes_memory import make_transition

from agentd.recorder import Recorder
from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig, SensorNoise
from memory.config import ReplayConfig
from memory.records import Action, Observation, Transition
from memory.replay.rows import to_millimetres
from memory.replay.store import LanceReplay
from memory.schema import TRANSITIONS
from memory.sizes import folder_bytes
from memory.tables import connect

WINDOWS, HORIZON = 64, 8
SIZE = 64
EPISODE_ROWS = 256
COLD = ReplayConfig(hot_mib=0)
FRAMES: tuple[Literal["delta-lz4", "delta", "raw"], ...] = ("delta-lz4", "delta", "raw")
NOISE = SensorNoise(depth_rel=0.01, depth_dropout=0.01, rgb=2.0)
HOUR_S = 3600.0
Read = Callable[[np.ndarray], object]


def drive(count: int, noise: SensorNoise) -> list[Observation]:
    """Return what a robot sees that goes on until it bumps and then turns, from many places."""
    world, rng = HouseWorld(HouseConfig(seed=3, noise=noise)), np.random.default_rng(0)
    seen = [world.reset(0)]
    while len(seen) < count:
        if len(seen) % 16 == 0:
            seen.append(world.reset(len(seen)))
            continue
        turn = seen[-1].bumped or rng.random() < 0.2
        action = Action(
            v_mps=0.0 if turn else 0.6,
            w_radps=float(rng.choice([-1.5, 1.5])) if turn else float(rng.normal(0, 0.2)),
            duration_s=0.2,
        )
        seen.append(world.step(action).observation)
    world.close()
    return seen


def as_rows(frames: Sequence[Observation], count: int, first: int = 0) -> list[Transition]:
    """Return rows of long episodes that show the frames in turn."""
    rows = []
    for step in range(first, first + count):
        row = make_transition(step, step // EPISODE_ROWS * 2, size=1)
        seen = frames[step % len(frames)]
        stamped = {name: getattr(seen, name) for name in Observation.__slots__} | {"stamp_ns": step}
        object.__setattr__(row, "observation", Observation(**stamped))
        rows.append(row)
    return rows


def append_all(store: LanceReplay, rows: Sequence[Transition], per_append: int) -> float:
    """Append rows in batches; return the CPU seconds of this process."""
    begin = time.process_time()
    for at in range(0, len(rows), per_append):
        store.append(rows[at : at + per_append])
    return time.process_time() - begin


def raw_lance(folder: Path, rgb: np.ndarray, depth_mm: np.ndarray) -> Read:
    """Return a reader of fixed-size-list columns in LanceDB."""

    def column(values: np.ndarray) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values[0].size)

    batch = pa.table({"rgb": column(rgb), "depth_mm": column(depth_mm)})
    table = connect(folder).create_table("raw", batch)

    def read(at: np.ndarray) -> object:
        wanted, order = np.unique(at, return_inverse=True)
        found = table.take_offsets(wanted.tolist()).select(["rgb", "depth_mm"]).to_arrow()
        parts = [found[name].combine_chunks().flatten().to_numpy() for name in ("rgb", "depth_mm")]
        return [part.reshape(len(wanted), -1)[order.reshape(at.shape)] for part in parts]

    return read


def torchrl_memmap(folder: Path, rgb: np.ndarray, depth_mm: np.ndarray) -> Read | None:
    """Return a reader of torchrl's storage on disk, None without torchrl."""
    if importlib.util.find_spec("torchrl") is None:
        return None
    import torch
    from tensordict import TensorDict
    from torchrl.data import LazyMemmapStorage, ReplayBuffer

    buffer = ReplayBuffer(storage=LazyMemmapStorage(len(rgb), scratch_dir=str(folder / "torchrl")))
    values = {"rgb": torch.from_numpy(rgb), "depth_mm": torch.from_numpy(depth_mm.view(np.int16))}
    buffer.extend(TensorDict(values, [len(rgb)]))
    return lambda at: buffer[torch.from_numpy(at.ravel())]


def windows(num_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Return offsets of windows, uniform over life."""
    return rng.integers(0, num_rows - HORIZON, WINDOWS)[:, None] + np.arange(HORIZON)


def take_turns(reads: dict[str, Read], num_rows: int, rounds: int) -> dict[str, list[list[float]]]:
    """Return wall and CPU milliseconds of every source and round; the first rounds warm up."""
    spent: dict[str, list[list[float]]] = {name: [] for name in reads}
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        at = windows(num_rows, rng)
        for name, read in reads.items():
            wall, cpu = time.perf_counter(), time.process_time()
            read(at)
            spent[name].append(
                [(time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3]
            )
    return {name: values[rounds // 3 :] for name, values in spent.items()}


def sampled(store: LanceReplay) -> Read:
    """Return a reader that draws for itself."""
    rng = np.random.default_rng(0)
    return lambda _: store.sample(WINDOWS, HORIZON, rng)


def bench_reads(scratch: Path, frames: Sequence[Observation], num_rows: int) -> Table:
    """Return the table of reads."""
    rows = as_rows(frames, num_rows)
    rgb = np.stack([row.observation.rgb for row in rows])
    depth_mm = to_millimetres(np.stack([row.observation.depth_m for row in rows]))
    mapped = []
    for name, values in (("rgb", rgb), ("depth", depth_mm)):
        np.save(scratch / f"{name}.npy", values)
        mapped.append(np.load(scratch / f"{name}.npy", mmap_mode="r"))
    ours = {}
    for frames_as in FRAMES:
        store = LanceReplay(scratch / frames_as, ReplayConfig(hot_mib=0, frames=frames_as))
        append_all(store, rows, 512)
        ours[f"ours, {frames_as}"] = store
    raw_bytes = f"{(rgb.nbytes + depth_mm.nbytes) / num_rows:.0f}"
    reads: dict[str, Read] = {
        "ring in RAM": lambda at: (rgb[at], depth_mm[at]),
        "numpy memmap": lambda at: (mapped[0][at], mapped[1][at]),
        "LanceDB fixed-size lists, take_offsets": raw_lance(scratch, rgb, depth_mm),
        **{name: sampled(store) for name, store in ours.items()},
        "ours with the hot tier": sampled(LanceReplay(scratch / FRAMES[0], ReplayConfig())),
    }
    torchrl = torchrl_memmap(scratch, rgb, depth_mm)
    if torchrl is not None:
        reads["torchrl LazyMemmapStorage"] = torchrl
    size = {name: f"{store.disk_bytes() / num_rows:.0f}" for name, store in ours.items()}
    size["ours with the hot tier"] = ""
    spent = take_turns(reads, num_rows, 60)
    table = Table(title=f"{WINDOWS} windows x {HORIZON} frames, warm, {num_rows} rows")
    for column in ("source", "ms", "CPU ms", "windows/s", "times the ring", "bytes/row"):
        table.add_column(column, justify="left" if column == "source" else "right")
    ring = np.array(spent["ring in RAM"])[:, 0]
    for name, values in spent.items():
        wall, cpu = np.median(np.array(values), axis=0)
        ratio = np.median(np.array(values)[:, 0] / ring)
        cells = (f"{wall:.1f}", f"{cpu:.1f}", f"{WINDOWS / wall * 1e3:.0f}", f"{ratio:.1f}")
        table.add_row(name, *cells, size.get(name, raw_bytes))
    if torchrl is None:
        table.add_row("torchrl LazyMemmapStorage", "not installed: pip install torchrl")
    return table


def sample_for_ever(folder: Path) -> None:
    """Sample as a learner in another process does, until it is ended."""
    store, rng = LanceReplay(folder, COLD), np.random.default_rng(1)
    while True:
        store.sample(WINDOWS, HORIZON, rng)


def learner(folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that samples."""
    return subprocess.Popen([sys.executable, __file__, "--sample", str(folder)])


def bench_recording(scratch: Path, frames: Sequence[Observation], num_rows: int) -> Table:
    """Return the table of appends and of handing rows over, while another process samples."""
    table = Table(title="recording while another process samples")
    for column in ("what", "value"):
        table.add_column(column)
    store = LanceReplay(scratch / "recording", COLD)
    store.append(as_rows(frames, EPISODE_ROWS))
    with learner(scratch / "recording") as child:
        for per_append in (20, 64, 256):
            rows = as_rows(frames, num_rows, store.version)
            wall = time.perf_counter()
            cpu = append_all(store, rows, per_append)
            wall = time.perf_counter() - wall
            text = f"{num_rows / wall:.0f} rows/s, {num_rows / cpu:.0f} rows per CPU second"
            table.add_row(f"append {per_append} rows", text)
        told: list[str] = []
        slots = SimpleNamespace(flush=lambda: 0)
        recorder = Recorder(store, slots, ReplayConfig(), told.append)
        rows = as_rows(frames, num_rows, store.version)
        recorder.start()
        taken = []
        for row in rows:
            begin = time.perf_counter()
            recorder.put(row)
            taken.append(time.perf_counter() - begin)
            time.sleep(0.001)
        recorder.close(60.0)
        child.kill()
    p50, p99 = np.percentile(taken, [50, 99]) * 1e3
    table.add_row("Recorder.put at up to 1000 rows/s", f"p50 {p50:.3f} ms, p99 {p99:.3f} ms")
    table.add_row("rows written of those put", f"{recorder.rows_committed} of {num_rows} {told}")
    return table


MERGE = """
import os
import sys
from datetime import timedelta
from pathlib import Path
import memory.care.merging

os.nice(15)
memory.care.merging.KEEP_VERSIONS = timedelta(seconds=float(sys.argv[2]))
memory.care.merging.merge_tiers(Path(sys.argv[1]), "transitions")
"""


def merge(folder: Path, keep_s: float = 1800.0) -> None:
    """Compact as the agent does, in a child process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LANCE_CPU_THREADS": "1"}
    command = [sys.executable, "-c", MERGE, str(folder), str(keep_s)]
    subprocess.run(command, check=True, env=environment)


def num_files(folder: Path) -> int:
    """Return how many files the newest version of a table has."""
    return int(connect(folder).open_table(TRANSITIONS).stats()["fragment_stats"]["num_fragments"])


def bench_fragments(scratch: Path, frames: Sequence[Observation], many: int) -> Table:
    """Return the table of reads from few and many files with the same rows."""
    table = Table(title=f"the same {4 * many} rows in few and many appends, no hot tier")
    for column in ("appends", "files", "ms", "CPU ms"):
        table.add_column(column, justify="right")
    rows = as_rows(frames, 4 * many)
    few, much = scratch / "few", scratch / "many"
    append_all(LanceReplay(few, COLD), rows, math.ceil(len(rows) / 30))
    append_all(LanceReplay(much, COLD), rows, 4)
    for title in ("", " after the merge"):
        reads = {
            f"30{title}": sampled(LanceReplay(few, COLD)),
            f"{many}{title}": sampled(LanceReplay(much, COLD)),
        }
        spent = take_turns(reads, len(rows), 45)
        for name, folder in zip(reads, (few, much), strict=True):
            wall, cpu = np.median(np.array(spent[name]), axis=0)
            table.add_row(name, str(num_files(folder)), f"{wall:.1f}", f"{cpu:.1f}")
        for folder in (few, much):
            merge(folder)
    return table


def bench_hour(scratch: Path, frames: Sequence[Observation], num_rows: int) -> Table:
    """Return CPU per row at 10 Hz with the default settings, without waiting for the clock."""
    config, folder = ReplayConfig(), scratch / "hour"
    per_append = round(10 * config.flush_s)
    per_merge = round(10 * config.compact_s)
    store = LanceReplay(folder, config)
    table = Table(title=f"{num_rows} rows at 10 Hz, {per_append} per append")
    for column in ("rows", "append CPU us/row", "merge CPU us/row", "share of a core", "files"):
        table.add_column(column, justify="right")
    table.add_column("bytes/row", justify="right")
    part = max(per_merge, num_rows // 6)
    for first in range(0, num_rows, part):
        append_s = merge_s = 0.0
        for at in range(first, first + part, per_merge):
            append_s += append_all(store, as_rows(frames, per_merge, at), per_append)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            # The hour takes minutes here: what is replaced has to go sooner by the same factor.
            merge(folder, keep_s=30.0)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            merge_s += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        length = len(store)
        table.add_row(
            f"to {length}",
            f"{append_s / part * 1e6:.0f}",
            f"{merge_s / part * 1e6:.0f}",
            f"{(append_s + merge_s) / part * 10:.1%}",
            str(num_files(folder)),
            f"{folder_bytes(folder) / length:.0f}",
        )
    return table


def bench_bytes(scratch: Path, count: int) -> Table:
    """Return bytes per row by codec, with and without noise of the sensors."""
    table = Table(title=f"bytes per row on disk, {count} rows")
    for column in ("house", *FRAMES, "frames as arrays"):
        table.add_column(column, justify="right")
    for name, noise in (("quiet", SensorNoise()), ("noisy", NOISE)):
        rows = as_rows(drive(count, noise), count)
        sizes = []
        for frames_as in FRAMES:
            config = ReplayConfig(hot_mib=0, frames=frames_as)
            store = LanceReplay(scratch / f"{frames_as}-{name}", config)
            append_all(store, rows, 64)
            sizes.append(f"{store.disk_bytes() / count:.0f}")
        table.add_row(name, *sizes, str(SIZE * SIZE * 7))
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4096, help="rows to read from and to record")
    parser.add_argument("--many", type=int, default=3000, help="appends of four rows")
    parser.add_argument("--hour-rows", type=int, default=36_000, help="rows of the long run")
    parser.add_argument("--sample", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sample:
        sample_for_ever(options.sample)
    console = Console(width=110)
    console.print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    frames = drive(512, SensorNoise())
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        console.print(bench_bytes(scratch, 512))
        console.print(bench_reads(scratch, frames, options.rows))
        console.print(bench_recording(scratch, frames, options.rows))
        console.print(bench_fragments(scratch, frames, options.many))
        console.print(bench_hour(scratch, frames, options.hour_rows))


if __name__ == "__main__":
    main()
