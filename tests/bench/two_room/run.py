"""Our learner and search against LeWM and its search, in stable-worldmodel's TwoRoom.

    pip install --editable ".[peers]"     # in a virtual environment of its own
    python tests/bench/two_room/run.py --out runs/two_room

Same recorded episodes, pixels, windows, batches, convolutions and optimiser steps for both, on
pixels and actions alone. Every training and every played pair is kept: the same command goes on
where it was cut off, and prints the tables when all is there. Takes about 35 minutes of one core.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.two_room.arms import ARMS
from bench.two_room.episodes import play
from bench.two_room.lab import TASKS, Lab, Settings
from bench.two_room.table import Played, differences, read, table


def main() -> None:
    """Train, play, and print the tables."""
    options = _options()
    torch.set_num_threads(1)
    settings = Settings(episodes=options.episodes, updates=options.updates, pairs=options.pairs)
    lab = Lab(options.out, settings, lambda line: print(line, flush=True))
    seeds = [100] if options.tuning else list(range(options.seeds))
    tasks = options.tasks.split(",")
    # Seed by seed, so that what is there when it is cut off is a smaller benchmark.
    for seed in seeds:
        for arm in options.arms.split(","):
            for task in tasks:
                if seed in ARMS[arm].seeds(seeds):
                    _play(lab, arm, task, seed, tuning=options.tuning)
    for task in tasks:
        arms = _played(lab, task, options.arms.split(","), seeds, tuning=options.tuning)
        pairs = lab.pairs(task, tuning=options.tuning)
        crosses = np.array([pair.crosses for pair in pairs])
        share = f"{100 * crosses.mean():.0f} % of the goals in the other room"
        print(f"\n{table(f'TwoRoom {task}, {share}', arms, crosses)}\n")
        print(differences(arms, "lewm", [arm for arm in arms if arm != "lewm"]))


def _play(lab: Lab, arm: str, task: str, seed: int, *, tuning: bool) -> None:
    """Play the pairs that were not played yet; every result is written at once."""
    pairs, budget = lab.pairs(task, tuning=tuning)[: ARMS[arm].num_pairs], TASKS[task][1]
    file = _file(lab, arm, task, seed, tuning=tuning)
    done = len(file.read_text().splitlines()) if file.is_file() else 0
    if done >= len(pairs):
        return
    player = ARMS[arm].make(lab, seed)
    successes = 0
    with file.open("a") as out:
        for number in range(done, len(pairs)):
            act = player(pairs[number], number)
            outcome = play(lab.rooms, pairs[number], budget, act)
            successes += outcome.steps is not None
            row = {"steps": outcome.steps, "path_px": round(outcome.path_px, 1)}
            row["plan_cpu_s"] = [round(cpu_s, 5) for cpu_s in getattr(act, "cpu_s", [])]
            out.write(json.dumps(row) + "\n")
            out.flush()
    print(f"{arm} {task} seed {seed}: {successes} of {len(pairs) - done}", flush=True)


def _played(
    lab: Lab, task: str, arms: list[str], seeds: list[int], *, tuning: bool
) -> dict[str, Played]:
    def found() -> Iterator[tuple[str, Played]]:
        for name in arms:
            arm = ARMS[name]
            files = [_file(lab, name, task, seed, tuning=tuning) for seed in arm.seeds(seeds)]
            pairs = len(lab.pairs(task, tuning=tuning)[: arm.num_pairs])
            played = read(files, pairs, TASKS[task][1])
            if played is not None:
                yield name, played

    return dict(found())


def _file(lab: Lab, arm: str, task: str, seed: int, *, tuning: bool) -> Path:
    which = "tuning" if tuning else "played"
    return lab.folder / f"{which}_{arm}_{TASKS[task][0]}_{seed}.jsonl"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder that everything is kept in")
    add("--seeds", type=int, default=3, help="trainings of each learner")
    add("--updates", type=int, default=Settings().updates, help="optimiser steps of a training")
    add("--episodes", type=int, default=Settings().episodes, help="episodes to train on")
    add("--pairs", type=int, default=Settings().pairs, help="pairs of start and goal per task")
    add("--arms", default=",".join(ARMS), help="who plays")
    add("--tasks", default=",".join(TASKS), help="which tasks")
    add("--tuning", action="store_true", help="one training of its own, on the pairs kept for it")
    options = parser.parse_args()
    for flag, known in (("arms", ARMS), ("tasks", TASKS)):
        if unknown := set(getattr(options, flag).split(",")) - set(known):
            parser.error(f"--{flag} {', '.join(sorted(unknown))}: choose from {', '.join(known)}")
    return options


if __name__ == "__main__":
    main()
