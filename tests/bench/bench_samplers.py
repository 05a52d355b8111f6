"""Cost of a draw for each sampler, of opening the index, and of waiting for data while training.

    python tests/bench/bench_samplers.py [--updates 40] [--rows 10000 1000000]

Draws are of 64 windows of 8 frames from an index without pixels; the ratio compares with a uniform
draw on the smallest index of the same run. Prints tables; asserts nothing about seconds.
"""

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import psutil
import pyarrow as pa
import torch
from bench_learner import SPEC, noise_rows
from rich.console import Console
from rich.table import Table

from configs.recipes import load_recipe
from learners.config import LearnersConfig
from learners.round import run_round
from learners.round_spec import RoundSpec, body_to_dict
from memory.config import CuriosityConfig, ReplayConfig, SamplingConfig, StrataConfig
from memory.replay.curiosity import Curiosity
from memory.replay.row_index import BUMPED, IS_LAST, IS_TERMINAL, IndexRows, RowIndex
from memory.replay.samplers import (
    Curious,
    Recent,
    Reserve,
    Reservoir,
    Sampler,
    Uniform,
    training_mix,
)
from memory.replay.store import LanceReplay
from memory.schema import TRANSITIONS
from memory.tables import open_table

WINDOWS, HORIZON = 64, 8
EPISODE = 300


def life(count: int, first_step: int = 0) -> IndexRows:
    """Return rows of a wander through a flat of 10 x 8 m: 0.15 m a step, 3 % bumps."""
    rng = np.random.default_rng(first_step)
    step = np.arange(first_step, first_step + count)
    way = np.cumsum(rng.normal(0, 0.15, (count, 2)), axis=0)
    place = np.abs((way + np.array([5, 4])) % (20, 16) - (10, 8))
    flags = np.where(rng.random(count) < 0.03, BUMPED, 0)
    flags |= np.where(step % EPISODE == EPISODE - 1, IS_LAST | IS_TERMINAL, 0)
    return IndexRows(
        step=step,
        episode_id=step // EPISODE,
        x_m=place[:, 0].astype(np.float32),
        y_m=place[:, 1].astype(np.float32),
        yaw_rad=np.zeros(count, dtype=np.float32),
        surprise=np.where(rng.random(count) < 0.2, rng.normal(size=count), np.nan).astype("f4"),
        flags=flags.astype(np.uint8),
    )


def samplers(num_rows: int) -> dict[str, Sampler]:
    """Return every strategy, with a change every 2000 steps and a curiosity that has seen life."""
    config, changes = SamplingConfig(), np.arange(500, num_rows, 2000)
    seen = []
    for seed in range(2):
        curiosity, rng = Curiosity(CuriosityConfig()), np.random.default_rng(seed)
        for _ in range(num_rows // 2000):
            curiosity.learn(rng.integers(num_rows, size=2000), rng.random(2000, dtype=np.float32))
        seen.append(Curious(curiosity))
    return {
        "uniform": Uniform(),
        "reservoir": Reservoir(config, StrataConfig()),
        "recent": Recent(),
        "curious": seen[0],
        "reserve": Reserve(config, StrataConfig(), changes),
        "the default mix": training_mix(config, StrataConfig(), changes, seen[1]),
    }


def timed_ms(call: Callable[[], object], repeats: int = 300) -> tuple[float, float]:
    """Return the median and the 99th percentile of the wall time."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1e3)
    return float(np.median(taken)), float(np.percentile(taken, 99))


def bench_draws(sizes: list[int]) -> Table:
    """Measure draws, the first one (which sorts the windows) and one after an append apart."""
    table = Table(title=f"draw {WINDOWS} windows x {HORIZON} frames, index alone")
    for column in ("sampler", "rows", "first ms", "p50 ms", "p99 ms", "x uniform", "after append"):
        table.add_column(column, justify="left" if column == "sampler" else "right")
    base_ms = 0.0
    for num_rows in sizes:
        index = RowIndex(8)
        index.extend(life(num_rows))
        for name, sampler in samplers(num_rows).items():
            rng = np.random.default_rng(0)

            def draw(
                sampler: Sampler = sampler, rng: np.random.Generator = rng, index: RowIndex = index
            ) -> None:
                sampler.draw(index.windows(HORIZON, held_out=False), WINDOWS, rng)

            first_ms, _ = timed_ms(draw, 1)
            p50, p99 = timed_ms(draw)
            after = []
            for _ in range(20):
                index.extend(life(64, index.last_step() + 1))
                after.append(timed_ms(draw, 1)[0])
            base_ms = base_ms or p50
            cells = (f"{first_ms:.1f}", f"{p50:.3f}", f"{p99:.3f}", f"{p50 / base_ms:.1f}")
            table.add_row(name, f"{num_rows:,}", *cells, f"{np.median(after):.3f} ms")
    return table


class Loss(Curiosity):
    """What curious replay was published with: the error itself in place of its fall."""

    def progress(self, stretches: np.ndarray) -> np.ndarray:
        """Return the running error."""
        return self._values(stretches)[2]


def noise_shares(curious: Curious | None, seed: int) -> list[float]:
    """Return shares of 300 batches on learnable, noisy and known stretches, and the error left."""
    index = RowIndex(10**6)
    index.extend(life(12 * 32))
    index.episode_id[:] = 0
    windows = index.windows(1, held_out=False)
    rng, counts = np.random.default_rng(seed), np.zeros(12, dtype=int)
    for _ in range(300):
        numbers = (curious or Uniform()).draw(windows, 16, rng)
        stretch = windows.step(numbers) // 32
        np.add.at(counts, stretch, 1)
        learnable = 0.05 + 0.95 * 0.997 ** counts[stretch] + 0.02 * rng.random(16)
        noisy = np.maximum(0, 1 + 0.5 * rng.standard_normal(16))
        error = np.select([stretch < 6, stretch < 8], [learnable, noisy], 0.03 * rng.random(16))
        if curious is not None:
            curious.learn(stretch * 32, error.astype(np.float32))
    shares = np.array([counts[:6].sum(), counts[6:8].sum(), counts[8:].sum()]) / counts.sum()
    return [*shares, (0.05 + 0.95 * 0.997 ** counts[:6]).mean()]


def bench_noise() -> Table:
    """Show what noise attracts: of 12 stretches 6 can be learned, 2 are noise, 4 are known."""
    table = Table(title="300 batches of 16, mean of 5 seeds")
    for column in ("priority", "learnable", "noise", "known", "error left on learnable"):
        table.add_column(column, justify="left" if column == "priority" else "right")
    makers: dict[str, Callable[[], Curious | None]] = {
        "uniform": lambda: None,
        "curious, by loss": lambda: Curious(Loss(CuriosityConfig())),
        "curious, by progress": lambda: Curious(Curiosity(CuriosityConfig())),
    }
    for name, make in makers.items():
        found = np.mean([noise_shares(make(), seed) for seed in range(5)], axis=0)
        table.add_row(name, *(f"{share:.1%}" for share in found[:3]), f"{found[3]:.3f}")
    return table


def bench_round(updates: int, folder: Path) -> Table:
    """Measure the wait of whole rounds on a store on disk, with the default batch."""
    rows = noise_rows(3000, np.random.default_rng(0))
    replay = LanceReplay(folder / "memory", ReplayConfig())
    for first in range(0, len(rows), 64):
        replay.append(rows[first : first + 64])
    settings, recipe = LearnersConfig().round, load_recipe("agentd")
    shape = f"{recipe.training.batch_size} windows x {recipe.training.horizon} frames"
    table = Table(title=f"rounds of {updates} updates, {shape}, {len(rows)} rows on disk")
    for column in ("sampler", "ms per update", "waited for data"):
        table.add_column(column, justify="left" if column == "sampler" else "right")
    uniform = SamplingConfig(uniform=1, reservoir=0, recent=0, curious=0, reserve=0)
    for name, sampling in (("uniform", uniform), ("the default mix", SamplingConfig())):
        changes = {"max_updates": updates, "budget_s": 1e6, "sampling": sampling}
        spec = RoundSpec(
            memory_folder=folder / "memory",
            checkpoints_folder=folder / name,
            replay_version=replay.version,
            learners=LearnersConfig(round=settings.model_copy(update=changes)),
            recipe=recipe,
            body=body_to_dict(SPEC),
        )
        result = run_round(spec)
        assert result.waited_share is not None
        each_ms = result.train_s / result.num_updates * 1e3
        table.add_row(name, f"{each_ms:.0f}", f"{result.waited_share:.2%}")
    curious = Curious(Curiosity(CuriosityConfig()))
    steps, errors = np.arange(48) * 60, np.ones(48, dtype=np.float32)
    p50, _ = timed_ms(lambda: curious.learn(steps, errors))
    table.add_row("teach curiosity a batch", f"{p50:.2f}", f"{p50 / each_ms:.2%} of an update")
    return table


def tiny_table(folder: Path, num_rows: int) -> None:
    """Write a life whose images have 2 x 2 pixels: only the index columns matter here."""
    (row,) = noise_rows(1, np.random.default_rng(0))
    seen = dataclasses.replace(
        row.observation, rgb=row.observation.rgb[:2, :2], depth_m=row.observation.depth_m[:2, :2]
    )
    LanceReplay(folder, ReplayConfig()).append([dataclasses.replace(row, observation=seen)])
    table = open_table(folder, TRANSITIONS)
    assert table is not None
    one = table.to_arrow()
    for first in range(1, num_rows, 50_000):
        some = life(min(50_000, num_rows - first), first)
        many = one.take(np.zeros(len(some.step), dtype=np.int64))
        pose = np.stack([some.x_m, some.y_m, some.x_m], axis=1).ravel()
        columns = {
            "step": some.step,
            "episode_id": some.episode_id,
            "surprise": some.surprise.astype(np.float64),
            "bumped": (some.flags & BUMPED) > 0,
            "is_terminal": (some.flags & IS_TERMINAL) > 0,
            "pose": pa.FixedSizeListArray.from_arrays(pa.array(pose), 3),
        }
        for name, values in columns.items():
            at = many.schema.get_field_index(name)
            many = many.set_column(at, many.schema.field(name), pa.array(values))
        table.add(many)


def bench_index(num_rows: int, folder: Path) -> Table:
    """Measure what the index of a long life takes: time to open, memory, a first batch."""
    table = Table(title=f"a life of {num_rows:,} rows, index columns of a table on disk")
    table.add_column("what")
    table.add_column("value", justify="right")
    tiny_table(folder, num_rows)
    code = [sys.executable, __file__, "--open", str(folder)]
    told = json.loads(subprocess.run(code, check=True, capture_output=True, text=True).stdout)
    table.add_row("open, index complete", f"{told['open_s']:.2f} s")
    table.add_row("first batch of the default mix", f"{told['first_s']:.2f} s")
    table.add_row("a later batch", f"{told['later_ms']:.1f} ms")
    table.add_row("resident: imports alone", f"{told['imports_mib']:.0f} MiB")
    table.add_row("resident: open", f"{told['open_mib']:.0f} MiB")
    table.add_row("resident: with the samplers' own lists", f"{told['mix_mib']:.0f} MiB")
    table.add_row("resident, peak", f"{told['peak_mib']:.0f} MiB")
    return table


def open_life(folder: Path) -> None:
    """Open a life and print what that took; in a process of its own, for its resident size."""
    process, rng = psutil.Process(), np.random.default_rng(0)
    told = {"imports_mib": process.memory_info().rss / 2**20}
    began = time.perf_counter()
    store = LanceReplay(folder, ReplayConfig())
    told["open_s"] = time.perf_counter() - began
    told["open_mib"] = process.memory_info().rss / 2**20
    curious = Curious(Curiosity(CuriosityConfig()))
    mix = training_mix(SamplingConfig(), StrataConfig(), np.arange(500, len(store), 2000), curious)
    began = time.perf_counter()
    store.sample(WINDOWS, HORIZON, rng, sampler=mix)
    told["first_s"] = time.perf_counter() - began
    told["later_ms"] = timed_ms(lambda: store.sample(WINDOWS, HORIZON, rng, sampler=mix), 50)[0]
    told["mix_mib"] = process.memory_info().rss / 2**20
    told["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(told))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open:
        open_life(arguments.open)
        return
    torch.set_num_threads(1)
    console = Console(width=100)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    console.print(bench_draws(arguments.rows))
    console.print(bench_noise())
    with tempfile.TemporaryDirectory() as folder:
        console.print(bench_index(max(arguments.rows), Path(folder) / "long"))
        console.print(bench_round(arguments.updates, Path(folder) / "round"))


if __name__ == "__main__":
    main()
