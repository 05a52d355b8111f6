"""Speed of the learner: updates, waiting for data, encode and rollout latencies on one thread.

Run: python tests/bench/bench_learner.py [--updates N]
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from configs.recipes import load_recipe
from learners.batch import Scale, to_windows
from learners.inference import TorchModel
from learners.manifest import Manifest, Verdict
from learners.pose_graph import PoseGraph
from learners.recipes.build import build
from learners.round_spec import body_to_dict
from learners.training import Prefetcher, train
from learners.update import updater_for
from memory.config import ReplayConfig
from memory.frames import camera_mount
from memory.records import NUM_OBJECTS, OBJECT_FEATURES, Action, BodySpec, Observation, Transition
from memory.replay.store import LanceReplay

SPEC = BodySpec(
    name="bench",
    width_px=64,
    height_px=64,
    fx_px=38.8,
    fy_px=38.8,
    cx_px=32.0,
    cy_px=32.0,
    T_body_camera=camera_mount(0.05, 0.9),
    radius_m=0.18,
    height_m=1.1,
    v_max_mps=0.75,
    w_max_radps=2.0,
    tick_s=0.2,
    depth_max_m=10.0,
)


def noise_rows(count: int, rng: np.random.Generator) -> list[Transition]:
    """Return rows of noise: speed does not depend on what is seen."""
    objects = rng.random((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32) * 0.4 + 0.1
    objects[:, 0], objects[5:] = 1, 0
    slots = np.arange(1, NUM_OBJECTS + 1, dtype=np.int32) * (objects[:, 0] > 0)
    rows = []
    for step in range(count):
        observation = Observation(
            stamp_ns=step,
            rgb=rng.integers(0, 255, (64, 64, 3), dtype=np.uint8),
            depth_m=rng.random((64, 64), dtype=np.float32) * 5,
            instances=None,
            labels=("",),
            T_world_camera=np.eye(4),
            egomotion=rng.standard_normal(3).astype(np.float32) * 0.1,
            bumped=bool(rng.random() < 0.05),
        )
        rows.append(
            Transition(
                step=step,
                episode_id=step // 256,
                observation=observation,
                action=Action(v_mps=0.5, w_radps=float(rng.normal()), duration_s=0.2),
                pose=rng.random(3).astype(np.float32) * 5,
                objects=objects,
                object_slots=slots.astype(np.int32),
                is_first=step % 256 == 0,
                is_last=step % 256 == 255,
                is_terminal=False,
                surprise=float("nan"),
                checkpoint_id="",
            )
        )
    return rows


def latency_ms(call: Callable[[], object], repeats: int = 100) -> tuple[float, float]:
    """Return the median and the 95th percentile of the wall time."""
    for _ in range(5):
        call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1e3)
    return float(np.median(times)), float(np.percentile(times, 95))


def bench_training(table: Table, updates: int, folder: Path, rows: list[Transition]) -> None:
    """Measure updates with batches from a store on disk."""
    recipe = load_recipe("agentd")
    config = recipe.training
    replay = LanceReplay(folder, ReplayConfig())
    replay.append(rows)
    scale, rng = Scale.of(SPEC), np.random.default_rng(0)
    updater = updater_for(build(recipe, 0), recipe)
    cpu = time.process_time()
    with Prefetcher(replay, config, scale, PoseGraph(scale), 0) as batches:
        log = train(updater, batches, 0, budget_s=1e6, max_updates=updates)
    cpu = time.process_time() - cpu
    batch = replay.sample(config.batch_size, config.horizon, rng)
    drawing, _ = latency_ms(
        lambda: replay.sample(config.batch_size, config.horizon, rng), repeats=10
    )
    packing, _ = latency_ms(lambda: to_windows(batch, scale, rng, crops=48), repeats=10)
    shape = f"{config.batch_size} windows x {config.horizon} frames"
    table.add_row("update", shape, f"{log.num_updates / log.seconds:.2f} updates/s")
    table.add_row("update", "CPU, loading included", f"{cpu / log.num_updates * 1e3:.0f} ms")
    table.add_row("waiting for data", "share of wall time", f"{log.waited_s / log.seconds:.1%}")
    table.add_row("draw a batch", "LanceDB, in the thread", f"{drawing:.0f} ms")
    table.add_row("make tensors", "in the thread", f"{packing:.0f} ms")


def bench_acting(table: Table, rows: list[Transition]) -> None:
    """Measure what the control loop calls."""
    recipe = load_recipe("agentd")
    manifest = Manifest(
        id="bench",
        parent_id=None,
        created_ns=0,
        recipe=recipe,
        body=body_to_dict(SPEC),
        config_sha256="",
        replay_version=0,
        rows=(0, 0),
        verdict=Verdict(accepted=True, reasons=()),
    )
    model = TorchModel(build(recipe, 0), manifest)
    row, rng = rows[0], np.random.default_rng(0)
    z = model.encode(row.observation, row.objects)
    plans = rng.random((48, 8, 3), dtype=np.float32)
    many = rng.standard_normal((48, len(z))).astype(np.float32)
    crops = rng.integers(0, 255, (64, 32, 32, 3), dtype=np.uint8)
    for name, what, call in (
        ("encode", "1 observation", lambda: model.encode(row.observation, row.objects)),
        ("rollout", "48 plans x 8 steps", lambda: model.rollout(z, plans)),
        ("distance", "48 latents", lambda: model.distance(many, z)),
        ("surprise", "1 step", lambda: model.surprise_error(z, row.action, z)),
        ("embed", "64 crops", lambda: model.embed(crops)),
    ):
        median, p95 = latency_ms(call)
        table.add_row(name, what, f"{median:.2f} ms (p95 {p95:.2f})")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = noise_rows(1024, np.random.default_rng(0))
    load = os.getloadavg()[0]
    table = Table(title=f"learner, one thread, {os.cpu_count()} cores (load {load:.1f})")
    for column in ("part", "what", "value"):
        table.add_column(column)
    bench_acting(table, rows)
    with tempfile.TemporaryDirectory() as folder:
        bench_training(table, arguments.updates, Path(folder), rows)
    Console(width=90).print(table)


if __name__ == "__main__":
    main()
