"""Is the latent the state? Two lives of one length in one house: exploring, and errands alone.

    python tests/bench/bench_identifiability.py --recipes placed agentd identifiability

Both lives are the daemon's loop with its own policies. Each recipe is trained on each life with the
same updates; the maps between latent and state are fitted on training frames and judged on held-out
episodes, of the same life and of the other one. That a pose tells the latent can only be true of a
latent of few numbers; of one of 128 it is the share that is about the pose.

Prints R2 both ways, Procrustes and orthogonality error (see `learners.recipes.identifiability`),
mean and standard deviation over seeds.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from house_changes import HouseLife

from configs.recipes import load_recipe
from learners.batch import Scale
from learners.probes import ProbeData, chunks, draw_probes
from learners.recipes.identifiability import Identifiability, identifiability
from learners.recipes.model import ComposedModel
from learners.recipes.train import Budget, begin, go_on
from memory.config import ReplayConfig
from memory.replay.ram import RamReplay

LIVES = ("exploring", "errands")
NUM_WINDOWS = 256
"""Held-out windows; eight times as many frames fit the maps."""


def lived(kind: str, house: int, num_steps: int) -> tuple[RamReplay, Scale]:
    """Return a life's steps."""
    replay = RamReplay(ReplayConfig())
    with tempfile.TemporaryDirectory() as folder:
        life = HouseLife(house, Path(folder), put=lambda row: replay.append([row]))
        if kind == "exploring":
            life.live(num_steps)
        else:
            life.run_errands(num_steps)
    return replay, Scale.of(life.world.spec)


def judged(model: ComposedModel, probes: ProbeData) -> dict[str, Identifiability]:
    """Return what the latents are of the held-out states."""
    model.eval()
    with torch.inference_mode():
        z = torch.cat([model.encode(part).z for part in chunks(probes.windows)])
        z_fit = torch.cat([model.encode(part).z for part in chunks(probes.fit)])[:, 0]
    model.train()
    return identifiability(z_fit, z, probes)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipes", nargs="+", default=["placed", "agentd", "identifiability"])
    parser.add_argument("--house", type=int, default=7)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--updates", type=int, nargs="+", default=[200, 400, 800])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lives = {kind: lived(kind, options.house, options.steps) for kind in LIVES}
    probes = {
        kind: draw_probes(replay, scale, NUM_WINDOWS, 10, np.random.default_rng(0))
        for kind, (replay, scale) in lives.items()
    }
    for kind, (replay, _) in lives.items():
        square_m = {(int(x), int(y)) for x, y in probes[kind].fit_pose[:, :2] // 1}
        print(f"{kind}: {len(replay)} steps, training frames in {len(square_m)} square metres")
    table = Table(
        title=f"R2 and errors in house {options.house}, mean ± std over {options.seeds} seeds"
    )
    for column in ("recipe", "life", "updates", "CPU-s"):
        table.add_column(column)
    for column in ("z>xy", "z>heading", "state>z", "orthogonality", "Procrustes", "z>xy elsewhere"):
        table.add_column(column, justify="right")
    for name in options.recipes:
        for kind in LIVES:
            for updates, rows in _trained(name, kind, lives, probes, options).items():
                cells = (f"{np.mean(v):.3f} ±{np.std(v):.3f}" for v in np.array(rows).T[1:])
                cpu_s = np.mean([row[0] for row in rows])
                table.add_row(name, kind, str(updates), f"{cpu_s:.0f}", *cells)
    Console(width=160).print(table)
    print("z>xy elsewhere: fitted and judged on the other life's frames")


def _trained(
    name: str,
    kind: str,
    lives: dict[str, tuple[RamReplay, Scale]],
    probes: dict[str, ProbeData],
    options: argparse.Namespace,
) -> dict[int, list[tuple[float, ...]]]:
    """Return CPU-seconds and measures of each seed, by the updates taken."""
    recipe, (replay, scale) = load_recipe(name), lives[kind]
    (other,) = set(LIVES) - {kind}
    found: dict[int, list[tuple[float, ...]]] = {}
    for seed in range(options.seeds):
        training, began_s = begin(recipe, seed), time.process_time()
        torch.manual_seed(seed)
        for updates in options.updates:
            go_on(training, recipe, replay, scale, Budget(amount=updates), seed)
            spent_s = time.process_time() - began_s
            own = judged(training.updater.model, probes[kind])
            else_ = judged(training.updater.model, probes[other])
            row = (
                spent_s,
                own["place"].r2_state,
                own["heading"].r2_state,
                own["state"].r2_latent,
                own["state"].orthogonality_error,
                own["state"].procrustes_mse,
                else_["place"].r2_state,
            )
            found.setdefault(updates, []).append(row)
            told = " ".join(f"{value:.3f}" for value in row)
            print(f"{name}, {kind}, seed {seed}, {updates} updates: {told}", file=sys.stderr)
    return found


if __name__ == "__main__":
    main()
