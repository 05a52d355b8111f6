"""CEM, MPPI, Nevergrad and the gradient on one model and the same episodes towards goal images.

    python tests/bench/bench_planners.py --recipe vjepa2-ac --updates 400 --episodes 40

Records random driving in the house, trains a recipe on it, and drives towards goal images that were
seen a few steps away. All searches get as many evaluations of plans; the gradient's CPU-seconds say
what its backward passes cost. Prints a table, asserts nothing about seconds.
"""

import argparse
import importlib.util
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from image_goals import HIGH, LOW, MEAN, STD, ImageGoal, Plan, episode, random_plan, recorded

from agentd.worlds.house.world import HouseWorld
from configs.recipes import load_recipe
from configs.worlds import HouseConfig
from learners.batch import Scale
from learners.recipes.image_goal import minimise_by_gradient
from learners.recipes.train import Budget, train_recipe
from memory.frames import body_pose
from memory.records import Action, Observation
from policies import cem, mppi, nevergrad_search

SAMPLES = 48
ROUNDS = 4


class House:
    """A house as a world of `image_goals`."""

    def __init__(self, seed: int) -> None:
        self._world = HouseWorld(HouseConfig(seed=seed))
        self.spec = self._world.spec

    def begin(self, seed: int) -> Observation:
        """Put the body where this seed puts it and sense."""
        return self._sensed(self._world.reset(seed))

    def step(self, v_mps: float, w_radps: float) -> Observation:
        """Move for one tick and sense."""
        action = Action(v_mps=v_mps, w_radps=w_radps, duration_s=self.spec.tick_s)
        return self._sensed(self._world.step(action).observation)

    def _sensed(self, observation: Observation) -> Observation:
        self.pose = np.array(body_pose(observation.T_world_camera, self.spec))
        return observation


def by_cem(goal: ImageGoal, rng: np.random.Generator) -> np.ndarray:
    """Return the plan of the cross-entropy method."""
    sizes = {"num_samples": SAMPLES, "num_elites": 8, "num_iterations": ROUNDS}
    return cem.minimise(goal, MEAN, STD, (LOW, HIGH), rng=rng, min_std=0.1 * STD, **sizes)[1]


def by_mppi(goal: ImageGoal, rng: np.random.Generator) -> np.ndarray:
    """Return the plan of path integrals."""
    sizes = {"num_samples": SAMPLES, "num_iterations": ROUNDS, "temperature": 0.2}
    return mppi.minimise(goal, MEAN, STD, (LOW, HIGH), rng=rng, **sizes)[1]


def by_nevergrad(goal: ImageGoal, rng: np.random.Generator) -> np.ndarray:
    """Return the plan of Nevergrad's differential evolution."""
    sizes = {"num_samples": SAMPLES, "num_iterations": ROUNDS}
    return nevergrad_search.minimise(goal, MEAN, STD, (LOW, HIGH), rng=rng, **sizes)[1]


def by_gradient(goal: ImageGoal, rng: np.random.Generator) -> np.ndarray:
    """Return the plan of Adam from a few random starts."""
    starts = rng.uniform(LOW, HIGH, (8, LOW.size))
    steps = SAMPLES * ROUNDS // len(starts)
    return minimise_by_gradient(goal.of, starts, (LOW, HIGH), num_steps=steps, learning_rate=0.1)[0]


PLANS: dict[str, Plan] = {
    "cem": by_cem,
    "mppi": by_mppi,
    "nevergrad": by_nevergrad,
    "gradient": by_gradient,
    "random": random_plan,
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", default="vjepa2-ac")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--episodes", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    world = House(options.seed)
    replay = recorded(world, options.frames // 40, 40, options.seed)
    scale, budget = Scale.of(world.spec), Budget(amount=options.updates)
    trained = train_recipe(load_recipe(options.recipe), replay, scale, budget, options.seed)
    print(f"{options.recipe}: {options.updates} updates in {trained.cpu_s:.0f} CPU-s")
    table = Table(title=f"house {options.seed}, {options.episodes} seeds of goals")
    columns = ("search", "episodes", "reached", "gap", "± s.e.", "evaluations", "CPU-s a plan")
    for column in columns:
        table.add_column(column, justify="left" if column == "search" else "right")
    for name, plan in PLANS.items():
        if name == "nevergrad" and importlib.util.find_spec("nevergrad") is None:
            table.add_row(name, "not installed: pip install 'agentd[planners]'")
            continue
        spent_s = 0.0

        def timed(goal: ImageGoal, rng: np.random.Generator, plan: Plan = plan) -> np.ndarray:
            nonlocal spent_s
            begin = time.process_time()
            found = plan(goal, rng)
            spent_s += time.process_time() - begin
            return found

        seeds = range(options.episodes)
        ended = [e for s in seeds if (e := episode(world, trained.model, timed, s))]
        gaps = np.array([e.gap for e in ended])
        table.add_row(
            name,
            str(len(ended)),
            f"{np.mean([e.reached for e in ended]):.2f}",
            f"{gaps.mean():.2f}",
            f"{gaps.std() / np.sqrt(len(gaps)):.2f}",
            str(ended[0].num_evaluations),
            f"{spent_s / len(ended):.3f}",
        )
    Console(width=100).print(table)
    print("gap: the larger of way and turn left to the goal, in ticks at full speed")


if __name__ == "__main__":
    main()
