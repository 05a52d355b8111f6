"""Surprise in the house: teleports, changed furniture in view, false alarms, a noisy screen.

    python tests/bench/bench_surprise.py --home runs/life --houses 7 3 11

In each house the daemon's loop explores with the promoted checkpoint of a life; then a teleport now
and then, then pieces of furniture that were moved, added or removed while nobody looked, each with
the same look at the unchanged house as its control, then a screen that shows noise. Prints the area
under the curve per kind of change with 95 % intervals (bootstrap over houses and, inside, trials),
alarms of unchanged scenes, and the course before the screen. Asserts nothing.
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

from agentd.build import build_model_loader
from agentd.home import Home
from configs.worlds import SensorNoise
from learners.probes import area_under_curve
from learners.registry import Registry
from policies.surprise import ALARM

KINDS = ("moved", "added", "removed")
TELEPORT_EVERY = 25
SCREENS = ("tv", "bookcase", "wardrobe", "couch")
NOISE = SensorNoise(depth_rel=0.01, depth_dropout=0.01, rgb=4.0)

Samples = dict[str, tuple[np.ndarray, np.ndarray]]
"""Surprise of changed and of unchanged scenes, by kind."""


def worst(surprises: np.ndarray) -> float:
    """Return the largest surprise; where nothing was expected, nothing surprises."""
    return float(np.nan_to_num(surprises, nan=-9.0).max())


def teleports(life: HouseLife, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the surprise of teleports and of the steps between them."""
    carried, ordinary = [], []
    for _ in range(count):
        ordinary.append(life.live(TELEPORT_EVERY)[5:])
        carried.append(life.carried_off())
    return np.array(carried), np.concatenate(ordinary)


def furniture(life: HouseLife, count: int) -> Samples:
    """Return the surprise of looks at changed and unchanged scenes, by kind of change."""
    found: Samples = {}
    for kind in KINDS:
        pairs: list[tuple[float, float]] = []
        for _ in range(6 * count):
            change = life.draw_change(kind)
            if change is None:
                continue
            looks = []
            for is_changed in (True, False):
                life.back()
                if is_changed:
                    life.apply(change)
                looks.append(worst(life.look(change.pose)))
            pairs.append((looks[0], looks[1]))
            if len(pairs) == count:
                break
        changed, unchanged = np.array(pairs).reshape(-1, 2).T
        found[kind] = changed, unchanged
    life.back()
    return found


def before_a_screen(life: HouseLife, seed: int) -> list[tuple[str, np.ndarray]]:
    """Return the surprise before, in front of a noisy screen, away from it and back again."""
    views = ((name, pose) for name in SCREENS if (pose := life.view_of(name)) is not None)
    category, pose = next(views)
    life.back()
    course = [("screen off", life.look(pose, 100))]
    life.screen.category = category
    for part in range(5):
        course.append((f"on, {part * 60}-", life.look(pose, 60)))
    course.append(("away", life.live(300)))
    course.append(("back", life.look(pose, 100)))
    life.screen.category = ""
    return course


def curve(samples: list[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator) -> str:
    """Return the mean area over houses with its interval."""

    def area(changed: np.ndarray, unchanged: np.ndarray) -> float:
        is_true = np.repeat([True, False], [len(changed), len(unchanged)])
        found = area_under_curve(np.concatenate([changed, unchanged]), is_true)
        return float("nan") if found is None else found

    def drawn(values: np.ndarray) -> np.ndarray:
        return values[rng.integers(len(values), size=len(values))]

    means = []
    for _ in range(1000):
        houses = rng.integers(len(samples), size=len(samples))
        means.append(np.mean([area(*(drawn(v) for v in samples[h])) for h in houses]))
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{np.mean([area(*s) for s in samples]):.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", type=Path, required=True, help="life whose checkpoint acts")
    parser.add_argument("--houses", type=int, nargs="+", default=[7, 3, 11])
    parser.add_argument("--ticks", type=int, default=2000, help="of living before anything changes")
    parser.add_argument("--trials", type=int, default=25, help="of each kind in each house")
    parser.add_argument("--noise", action="store_true", help="with noisy depth and colour")
    options = parser.parse_args()
    torch.set_num_threads(1)
    registry = Registry(Home(options.home).checkpoints_folder)
    promoted = registry.promoted()
    assert promoted is not None, f"{options.home} has no promoted checkpoint"
    model = build_model_loader(registry)(promoted)
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    lived, courses, began_s = [], [], time.process_time()
    for seed in options.houses:
        with tempfile.TemporaryDirectory() as folder:
            life = HouseLife(seed, Path(folder), model, NOISE if options.noise else None)
            lived.append(life.live(options.ticks)[options.ticks // 4 :])
            life.keep()
            courses.append(before_a_screen(life, seed))
            life.back()
            kinds = furniture(life, options.trials) | {"teleport": teleports(life, options.trials)}
        for kind, samples in kinds.items():
            found.setdefault(kind, []).append(samples)
        print(f"house {seed} done after {time.process_time() - began_s:.0f} CPU-s", file=sys.stderr)
    _show(found, lived, courses, options.houses)


def _show(
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]],
    lived: list[np.ndarray],
    courses: list[list[tuple[str, np.ndarray]]],
    houses: list[int],
) -> None:
    console, rng = Console(width=100), np.random.default_rng(0)
    table = Table(title=f"surprise in houses {', '.join(map(str, houses))}, alarm from {ALARM:g}")
    for column in ("change", "trials", "AUROC", "alarms when changed", "alarms when unchanged"):
        table.add_column(column, justify="left" if column == "change" else "right")
    for kind, samples in found.items():
        changed, unchanged = (np.concatenate([s[k] for s in samples]) for k in (0, 1))
        alarms = (
            f"{np.mean(np.nan_to_num(v, nan=-9.0) >= ALARM):.3f}" for v in (changed, unchanged)
        )
        clean = [(np.nan_to_num(a, nan=-9.0), np.nan_to_num(b, nan=-9.0)) for a, b in samples]
        table.add_row(kind, str(len(changed)), curve(clean, rng), *alarms)
    console.print(table)
    for seed, values in zip(houses, lived, strict=True):
        share = np.mean(np.nan_to_num(values, nan=-9.0) >= ALARM)
        print(f"house {seed}, ordinary living: {share:.2%} of {len(values)} steps alarm")
    table = Table(title="before a noisy screen: mean surprise (share of alarms)")
    table.add_column("when")
    for seed in houses:
        table.add_column(f"house {seed}", justify="right")
    for rows in zip(*courses, strict=True):
        cells = (f"{np.nanmean(v):+.2f} ({np.mean(v >= ALARM):.2f})" for _, v in rows)
        table.add_row(rows[0][0], *cells)
    console.print(table)


if __name__ == "__main__":
    main()
