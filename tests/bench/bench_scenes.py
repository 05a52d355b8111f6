"""Score the object memory on scripted scenes, by script and by how wrong the detections are.

Run as `python tests/bench/bench_scenes.py [seeds]`; prints one table per noise level. A figure is
the mean over the seeds, with the standard deviation where it is not zero.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from scenes.house import HousePlace, upheaval
from scenes.noise import LEVELS
from scenes.rooms import SCRIPTS, RayRoom
from scenes.script import Outcome, Phase, Place, Play

SEEDS = 5

COLUMNS: dict[str, Callable[[Outcome], float]] = {
    "precision": lambda o: o.slots.precision,
    "recall": lambda o: o.slots.recall,
    "F1": lambda o: o.slots.f1,
    "fragm.": lambda o: o.slots.fragmentation,
    "merged": lambda o: o.slots.merge_rate,
    "error cm": lambda o: 100 * o.slots.centroid_error_m,
    "switches /100": lambda o: o.tracks.switches_per_100,
    "Brier": lambda o: o.tracks.brier,
    "change prec.": lambda o: o.changes.precision,
    "change recall": lambda o: o.changes.recall,
    "steps": lambda o: o.changes.steps_to_correct,
    "false doubts": lambda o: o.num_false_doubts,
    "moved kept": lambda o: o.moved_kept,
}


def room(name: str, seed: int) -> tuple[Place, list[Phase]]:
    """Return a room of boxes and what happens in it."""
    place = RayRoom(seed)
    return place, SCRIPTS[name](place, seed)


def house(seed: int) -> tuple[Place, list[Phase]]:
    """Return an embedded house and what happens in it."""
    place = HousePlace(seed)
    return place, upheaval(place, seed)


SCENES: dict[str, Callable[[int], tuple[Place, list[Phase]]]] = {
    **{name: partial(room, name) for name in SCRIPTS},
    "house": house,
}


def cell(values: Sequence[float]) -> str:
    """Return mean and spread of what is known."""
    known = [v for v in values if np.isfinite(v)]
    if not known:
        return "-"
    mean, spread = float(np.mean(known)), float(np.std(known))
    digits = 2 if abs(mean) < 10 else 1
    return f"{mean:.{digits}f}" + (f" ±{spread:.{digits}f}" if spread >= 0.005 else "")


def main() -> None:
    """Print the tables."""
    num_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    console = Console(width=200)
    for level, noise in LEVELS.items():
        table = Table(title=f"{level} detections, {num_seeds} seeds")
        for column in ("script", *COLUMNS):
            table.add_column(column, justify="left" if column == "script" else "right")
        outcomes: list[Outcome] = []
        for name, make in SCENES.items():
            scenes = [make(seed) for seed in range(num_seeds)]
            runs = [Play(place, noise, i).run(phases) for i, (place, phases) in enumerate(scenes)]
            table.add_row(name, *(cell([f(run) for run in runs]) for f in COLUMNS.values()))
            outcomes += runs
        table.add_section()
        table.add_row("all", *(cell([f(run) for run in outcomes]) for f in COLUMNS.values()))
        console.print(table)


if __name__ == "__main__":
    main()
