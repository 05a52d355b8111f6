"""Speed of the learner: updates, a whole round's memory, encode and rollout latencies, one thread.

Run: python tests/bench/bench_learner.py [--updates N] [--memory FOLDER] [--round-updates N]

Updates are measured in float32 and in bfloat16, a round on a life's memory if one is named.
"""

import argparse
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
import torch
from rich.console import Console
from rich.table import Table

from agentd.commands.checkpoint_text import speed_text
from configs.recipes import load_recipe
from learners.batch import Scale, to_windows
from learners.config import LearnersConfig
from learners.inference import TorchModel
from learners.manifest import Manifest, Verdict
from learners.pose_graph import PoseGraph
from learners.ray_driver import _ENVIRONMENT
from learners.recipes.build import build
from learners.round import run_round
from learners.round_spec import RoundSpec, body_to_dict
from learners.throughput import throughput
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


def bench_training(table: Table, updates: int, folder: Path, precision: str) -> None:
    """Measure updates with batches from a store on disk."""
    recipe = load_recipe("agentd")
    config = recipe.training.model_copy(update={"precision": precision})
    replay = LanceReplay(folder, ReplayConfig())
    scale, rng = Scale.of(SPEC), np.random.default_rng(0)
    model = build(recipe, 0)
    updater = updater_for(model, recipe.model_copy(update={"training": config}))
    with Prefetcher(replay, config, scale, PoseGraph(scale), 0) as batches:
        log = train(updater, batches, 0, budget_s=1e6, max_updates=updates)
    speed = throughput(updater, log, batch_size=config.batch_size, horizon=config.horizon)
    assert speed is not None
    shape = f"{precision}, {config.batch_size} windows x {config.horizon} frames"
    if precision == "float32":
        batch = replay.sample(config.batch_size, config.horizon, rng)
        drawing, _ = latency_ms(
            lambda: replay.sample(config.batch_size, config.horizon, rng), repeats=10
        )
        packing, _ = latency_ms(lambda: to_windows(batch, scale, rng, crops=48), repeats=10)
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        table.add_row("recipe agentd", "weights that are trained", f"{trained / 1e6:.2f} M")
        table.add_row("draw a batch", "LanceDB, in the thread", f"{drawing:.0f} ms")
        table.add_row("make tensors", "in the thread", f"{packing:.0f} ms")
    table.add_row("update", shape, f"{log.num_updates / log.wall_s:.2f} updates/s")
    cpu_ms = log.cpu_s / log.num_updates * 1e3
    table.add_row("update", f"{precision}, CPU, loading included", f"{cpu_ms:.0f} ms")
    table.add_row("update", f"{precision}", speed_text(speed.as_metrics()))
    table.add_row("waiting for data", f"{precision}, share of wall time", f"{log.waited_share:.1%}")


def bench_round(table: Table, memory: Path, updates: int) -> None:
    """Measure the memory of a whole round, judging included, in a process of its own."""
    store = LanceReplay(memory, ReplayConfig())
    with tempfile.TemporaryDirectory() as checkpoints:
        settings = LearnersConfig()
        bounded = settings.round.model_copy(update={"max_updates": updates})
        spec = RoundSpec(
            memory_folder=memory,
            checkpoints_folder=Path(checkpoints),
            replay_version=store.version,
            learners=settings.model_copy(update={"round": bounded}),
            recipe=load_recipe("agentd"),
            body=body_to_dict(SPEC),
        )
        command = [sys.executable, __file__, "--round", spec.model_dump_json()]
        environment = {**os.environ, **_ENVIRONMENT}
        out = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE).stdout
    table.add_row("a round", f"{store.version} rows", out.decode().strip().splitlines()[-1])


def do_round(spec: str) -> None:
    """Do one round as a worker does, and print what it took."""
    result = run_round(RoundSpec.model_validate_json(spec))
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{peak_gib:.2f} GiB resident at most, {result.num_updates} updates")


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
    parser.add_argument("--memory", type=Path, help="memory folder of a life, for the round")
    parser.add_argument("--round-updates", type=int, default=20)
    parser.add_argument("--round", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.round:
        do_round(arguments.round)
        return
    torch.set_num_threads(1)
    rows = noise_rows(1024, np.random.default_rng(0))
    load = os.getloadavg()[0]
    table = Table(title=f"learner, one thread, {os.cpu_count()} cores (load {load:.1f})")
    for column in ("part", "what", "value"):
        table.add_column(column)
    bench_acting(table, rows)
    with tempfile.TemporaryDirectory() as folder:
        LanceReplay(Path(folder), ReplayConfig()).append(rows)
        for precision in ("float32", "bfloat16"):
            bench_training(table, arguments.updates, Path(folder), precision)
        bench_round(table, arguments.memory or Path(folder), arguments.round_updates)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
