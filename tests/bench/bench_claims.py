"""What the recipes of masked prediction, views and frozen tokens claim, seen or not on a life.

    python tests/bench/bench_claims.py --home LIFE --updates 300 --seeds 3

Trains each recipe with the same updates and seeds on the life's replay, judges it and its control
on the same held-out clips, and prints one row per claim: both scores, their paired difference and
its 95 % interval over seeds and clips. A claim holds if the interval lies above zero. Nothing is
written to the life; models are added to --out, and what is there is not done again.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import lancedb
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from claim_probes import (
    Clips,
    Judged,
    draw,
    egomotion,
    gathered_place,
    objects,
    relative_pose,
    rooms,
    token_depth,
    token_objects,
)
from house_drive import drive_house, rooms_at
from rich.console import Console
from rich.table import Table

from agentd.worlds.house.world import HouseWorld
from configs.recipes import load_recipe
from configs.worlds import HouseConfig
from learners.batch import Scale
from learners.recipes.build import build
from learners.recipes.model import ComposedModel
from learners.recipes.run_spec import Budget
from learners.recipes.spec import Recipe
from learners.recipes.train import train_recipe
from memory.config import ReplayConfig
from memory.protocols import ReplayStore
from memory.replay.store import LanceReplay

REPEATS = 200
_LAST_VIEW = 8


@dataclass(frozen=True)
class Claim:
    """Of `ours` that it beats `control`; a control that ends in ! is left untrained."""

    ours: str
    control: str
    measure: str


CLAIMS = (
    Claim("ijepa", "ijepa!", "rooms"),
    Claim("ijepa", "ijepa!", "objects"),
    Claim("vjepa", "ijepa", "egomotion"),
    Claim("vjepa", "vjepa!", "egomotion"),
    Claim("vjepa", "vjepa!", "rooms"),
    Claim("vjepa", "vjepa!", "objects"),
    Claim("vjepa2.1", "vjepa", "token depth"),
    Claim("vjepa2.1", "vjepa", "token objects"),
    Claim("vjepa2.1", "vjepa2.1!", "token objects"),
    Claim("seq-jepa", "seq-jepa of one view", "relative pose"),
    Claim("seq-jepa", "seq-jepa of one view", "gathered place"),
    Claim("seq-jepa", "seq-jepa!", "relative pose"),
    Claim("seq-jepa", "seq-jepa!", "gathered place"),
)

MEASURES: dict[str, Callable[[ComposedModel, Clips], Judged]] = {
    "rooms": rooms,
    "objects": objects,
    "egomotion": egomotion,
    "token depth": token_depth,
    "token objects": token_objects,
    "relative pose": relative_pose,
    "gathered place": lambda model, clips: gathered_place(model, clips, _LAST_VIEW),
}
LONG = {"relative pose", "gathered place"}
"""Measures of sequences; the others look at short clips."""


def recipe_of(name: str) -> Recipe:
    """Return a recipe, or the one view of it."""
    if not name.endswith(" of one view"):
        return load_recipe(name)
    fields = load_recipe(name.removesuffix(" of one view")).model_dump()
    fields["heads"]["aggregate"]["views"] = 1
    return Recipe.model_validate(fields)


class Life:
    """A replay, what is known about its house, and the clips that all are judged on."""

    def __init__(self, home: Path | None, num_fit: int, num_test: int) -> None:
        if home is None:
            drive = drive_house(house=3, num_episodes=300, steps=16, seed=0)
            self.replay: ReplayStore = drive.replay
            self.scale, names = Scale.of(drive.spec), drive.kind_of
            rooms_of = partial(rooms_at, drive.rects_m)
        else:
            born = json.loads((home / "life.json").read_text("utf-8"))["born"]
            world = HouseWorld(HouseConfig(seed=born["world.house.seed"]))
            self.scale = Scale.of(world.spec)
            rects_m = np.array([room.rect for room in world.stage.scene.house.rooms])
            world.close()
            config = ReplayConfig(probe_every=born["memory.replay.probe_every"])
            self.replay = LanceReplay(home / "memory", config)
            slots = lancedb.connect(str(home / "memory")).open_table("slots").to_arrow()
            names = dict(zip(*(slots[c].to_pylist() for c in ("slot_id", "label")), strict=True))
            rooms_of = partial(rooms_at, rects_m)

        kinds: dict[str, list[int]] = {}
        for slot, label in names.items():
            kinds.setdefault(label, []).append(slot)
        self.short, self.long = (
            draw(
                self.replay,
                self.scale,
                num_fit // frames,
                num_test // frames,
                frames,
                frames,
                [kinds[label] for label in sorted(kinds)],
                rooms_of,
            )
            for frames in (4, 13)
        )


def judge(life: Life, name: str, seed: int, updates: int, out: Path) -> dict[str, Judged]:
    """Train a model, unless that was done, and return what is to be said about it."""
    trained = not name.endswith("!")
    recipe = recipe_of(name.removesuffix("!"))
    wanted = {
        m for c in CLAIMS for n, m in ((c.ours, c.measure), (c.control, c.measure)) if n == name
    }
    file = out / f"{name.replace(' ', '-')}-{updates if trained else 0}-s{seed}.pt"
    model = build(recipe, seed)
    if trained and file.exists():
        model.load_state_dict(torch.load(file, weights_only=True))
    elif trained:
        done = train_recipe(recipe, life.replay, life.scale, Budget(amount=updates), seed)
        print(f"{name}, seed {seed}: {done.cpu_s:.0f} CPU-s", flush=True)
        model = done.model
        torch.save(model.state_dict(), file)
    return {
        m: MEASURES[m](model.eval(), life.long if m in LONG else life.short) for m in sorted(wanted)
    }


def interval(pairs: list[tuple[Judged, Judged]], rng: np.random.Generator) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference over seeds and clips."""
    num_clips = len(pairs[0][0].truth)
    found = []
    for _ in range(REPEATS):
        clips = rng.integers(num_clips, size=num_clips)
        seeds = rng.integers(len(pairs), size=len(pairs))
        gaps = [pairs[s][0].value(clips) - pairs[s][1].value(clips) for s in np.unique(seeds)]
        counts = np.unique(seeds, return_counts=True)[1]
        found.append(float(np.average(gaps, weights=counts)))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", type=Path, help="of a life; none: short drives, made here")
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="names of recipes, by commas")
    parser.add_argument("--clips", type=int, nargs=2, default=(3600, 1800), metavar="FRAMES")
    parser.add_argument("--out", type=Path, default=Path("claims"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    only = set(filter(None, options.only.split(",")))
    claims = [c for c in CLAIMS if not only or c.ours in only]
    life = Life(options.home, *options.clips)
    judged: dict[tuple[str, int], dict[str, Judged]] = {}
    for seed in range(options.seeds):
        for name in sorted({n for c in claims for n in (c.ours, c.control)}):
            judged[name, seed] = judge(life, name, seed, options.updates, options.out)
    table = Table(title=f"{options.updates} updates, {options.seeds} seeds")
    for column in ("claim", "of", "against", "score", "control", "difference", "95 %", "holds"):
        table.add_column(column)
    rng = np.random.default_rng(0)
    for c in claims:
        pairs = [
            (judged[c.ours, s][c.measure], judged[c.control, s][c.measure])
            for s in range(options.seeds)
        ]
        ours, control = (float(np.mean([p[i].value() for p in pairs])) for i in (0, 1))
        low, high = interval(pairs, rng)
        against = c.control.replace("!", " untrained")
        table.add_row(
            c.measure,
            c.ours,
            against,
            f"{ours:.3f}",
            f"{control:.3f}",
            f"{ours - control:+.3f}",
            f"{low:+.3f} to {high:+.3f}",
            "yes" if low > 0 else "no" if high < 0 else "open",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
