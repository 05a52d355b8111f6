"""What drifts of the body cost a follower that adapts, and one that does not.

    python tests/bench/bench_drift.py --drifts none,bias,late --arms fixed --houses 6 --goals 4

Each house is explored with a sound body; then the drift sets in, `--settle` more steps are lived
with it, and the goals are played (arm `kept`: map and slots stay, no learned model). All arms and
drifts play the same goals from the same poses. The time score is SPL's formula over the steps that
were needed, against the shortest way at full speed. Prints means, paired differences to the first
drift of the first arm and to the first arm, and writes one JSON line per house.
"""

import argparse
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from agentd.build import build_oracle, build_world
from agentd.evaluate.arms import ARMS
from agentd.evaluate.episodes import draw_tasks
from agentd.evaluate.runner import Player
from agentd.evaluate.stage import HouseJob, make_stage
from agentd.evaluate.statistics import cluster_bootstrap, paired_difference
from configs.worlds import HouseConfig, ScenarioConfig, ScenarioEvent, WorldConfig
from memory.config import ObjectConfig
from policies.config import PoliciesConfig
from policies.navigator import Navigator

DRIFTS: dict[str, tuple[tuple[str, str, float], ...]] = {
    "none": (),
    "slip": (("wheel_slip", "", 0.3),),
    "bias": (("wheel_drift", "", 0.2),),
    "bias5": (("wheel_drift", "", 1.0),),
    "weak": (("motor_gain", "", 0.5),),
    "left": (("motor_gain", "left", 0.8),),
    "left5": (("motor_gain", "left", 0.5),),
    "late1": (("actuation_delay", "", 0.2),),
    "late2": (("actuation_delay", "", 0.4),),
    "late3": (("actuation_delay", "", 0.6),),
    "load": (("payload", "", 0.4),),
    "load1": (("payload", "", 1.0),),
    "late2load": (("actuation_delay", "", 0.4), ("payload", "", 0.4)),
    "carpet": tuple(("carpet", str(room), 0.5) for room in (0, 2, 4)),
    "tilt": (("camera_tilt", "", 0.05),),
    "tilt2": (("camera_tilt", "", -0.05),),
}
ARM_SETTINGS: dict[str, dict[str, Any]] = {
    "fixed": {"drive": {"adapt": False}},
    "frozen": {},
    "adapt": {},
}
METRICS = ("success", "spl", "time_score", "steps", "bumps", "path_m")


def play(house: int, drift: str, arm: str, options: argparse.Namespace) -> dict[str, Any]:
    """Play the goals of one house with one drift and one arm."""
    events = tuple(
        ScenarioEvent.model_validate(
            {"at_step": options.explore, "action": action, "target": target, "value": value}
        )
        for action, target, value in DRIFTS[drift]
    )
    config = HouseConfig(seed=house, scenario=ScenarioConfig(events=events))
    job = HouseJob(
        house=house,
        arm="kept",
        num_goals=options.goals,
        budget_steps=options.budget,
        explore_steps=options.explore,
        seed=options.seed,
        checkpoints=None,
        checkpoint_id=None,
        world=config,
        objects=ObjectConfig(),
        policies=PoliciesConfig.model_validate(ARM_SETTINGS[arm]),
    )
    world = build_world(WorldConfig(house=config))
    oracle = build_oracle(world)
    assert oracle is not None
    tasks = draw_tasks(oracle, house=house, num_goals=options.goals, seed=options.seed)
    stage = make_stage(world, oracle, ARMS["kept"], job)
    assert isinstance(stage.policy, Navigator)
    body = stage.policy.helm.body
    player = Player(stage, ARMS["kept"])
    player.explore(tasks[0].start, options.explore)
    body.frozen |= arm == "frozen"
    if options.settle:
        player.explore(tasks[-1].start, options.settle)
    fastest_m = world.spec.v_max_mps * world.spec.tick_s
    rows = []
    for task in tasks:
        row = player.play(task, options.budget)
        least = row.shortest_m / fastest_m
        rows.append(
            {
                "success": float(row.success),
                "spl": row.spl,
                "time_score": row.success * least / max(row.steps, least),
                "steps": float(row.steps),
                "bumps": 100.0 * row.bumps / max(row.steps, 1),
                "path_m": row.path_m,
                "failure": row.failure,
            }
        )
    world.close()
    return {
        "house": house,
        "drift": drift,
        "arm": arm,
        "goals": rows,
        "body": body.about(),
        "noticed": str(body.drift),
    }


def report(played: list[dict[str, Any]], options: argparse.Namespace) -> Table:
    """Return the table of means and paired differences."""
    table = Table(title="Drifts (95 % cluster bootstrap over houses)")
    for name in ("drift", "arm", *METRICS, "SPL - none", "time - none", "SPL - first", "time - "):
        table.add_column(name)
    values = {(p["drift"], p["arm"], m): [] for p in played for m in METRICS}
    houses: dict[tuple[str, str], list[int]] = {}
    for p in sorted(played, key=lambda p: int(p["house"])):
        for row in p["goals"]:
            houses.setdefault((p["drift"], p["arm"]), []).append(p["house"])
            for metric in METRICS:
                values[p["drift"], p["arm"], metric].append(row[metric])
    first = options.drifts[0]
    for drift in options.drifts:
        for arm in options.arms:
            of = np.array(houses[drift, arm])
            cells = [drift, arm]
            for metric in METRICS:
                found = cluster_bootstrap(np.array(values[drift, arm, metric]), of)
                cells.append(f"{found.mean:.3f} [{found.low:.2f}, {found.high:.2f}]")
            for other in ((first, arm), (drift, options.arms[0])):
                for metric in ("spl", "time_score"):
                    a = np.array(values[drift, arm, metric])
                    b = np.array(values[*other, metric])
                    gap = paired_difference(a, b, of)
                    mark = "*" if gap.excludes_zero else ""
                    cells.append(f"{gap.mean:+.3f} [{gap.low:+.2f}, {gap.high:+.2f}]{mark}")
            table.add_row(*cells)
    return table


def main() -> None:
    """Play, print, and keep one JSON line per house."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drifts", type=lambda t: t.split(","), default=["none", "bias", "weak"])
    parser.add_argument("--arms", type=lambda t: t.split(","), default=list(ARM_SETTINGS))
    parser.add_argument("--houses", type=int, default=6)
    parser.add_argument("--first-house", type=int, default=9000)
    parser.add_argument("--goals", type=int, default=4)
    parser.add_argument("--budget", type=int, default=400)
    parser.add_argument("--explore", type=int, default=200)
    parser.add_argument("--settle", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    jobs = [
        (house, drift, arm)
        for house in range(options.first_house, options.first_house + options.houses)
        for drift in options.drifts
        for arm in options.arms
    ]
    played = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=context) as pool:
        for future in [pool.submit(play, *job, options) for job in jobs]:
            played.append(future.result())
            print(json.dumps(played[-1]), file=sys.stderr)
            if options.out is not None:
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(played[-1]) + "\n")
    Console(width=240).print(report(played, options))


if __name__ == "__main__":
    main()
