"""Training a recipe on a replay store, within a budget that is the same for all recipes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from learners.batch import Scale
from learners.devices import CPU
from learners.losses.across import ALONE, Across
from learners.pose_graph import PoseGraph
from learners.recipes.build import build
from learners.recipes.model import ComposedModel
from learners.recipes.run_spec import Budget
from learners.recipes.spec import Recipe
from learners.training import Prefetcher, TrainingLog, train
from learners.update import Updater, updater_for
from memory.protocols import ReplayStore

_NO_BOUND = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model, what its training did and cost, and the poses that it saw."""

    model: ComposedModel
    log: TrainingLog
    graph: PoseGraph

    @property
    def cpu_s(self) -> float:
        """CPU-seconds of the process, drawing batches included."""
        return self.log.cpu_s


@dataclass(slots=True, kw_only=True)
class Training:
    """A training on its way: all that has to be kept for it to go on as if it never stopped.

    Beside these, `torch`'s own generator belongs to it, which parts such as dropout draw from.

    Attributes:
        updater: The model with its optimiser.
        generator: Source of the losses' randomness.
        log: What was done.
    """

    updater: Updater
    generator: torch.Generator
    log: TrainingLog


def begin(
    recipe: Recipe, seed: int, across: Across = ALONE, device: torch.device = CPU
) -> Training:
    """Return a training of a fresh model that has taken no step.

    Args:
        recipe: What to train.
        seed: Draws the weights, the same in all processes and on all devices.
        across: Who holds the rest of each batch.
        device: Where to train.

    Raises:
        RecipeError: If the recipe's parts do not fit together.
    """
    return Training(
        updater=updater_for(build(recipe, seed), recipe, across=across, device=device),
        generator=torch.Generator(device).manual_seed(seed),
        log=TrainingLog(),
    )


def train_recipe(
    recipe: Recipe,
    replay: ReplayStore,
    scale: Scale,
    budget: Budget,
    seed: int,
    on_update: Callable[[int, int], None] = lambda done, planned: None,
) -> Trained:
    """Train a fresh model of a recipe.

    Windows are drawn uniformly over life: no recipe profits from a sampler made for another.

    Args:
        recipe: What to train.
        replay: Store, usually a view of one version.
        scale: Unit of actions.
        budget: When to stop. With updates the result can be repeated bit for bit.
        seed: Draws weights and batches.
        on_update: Told the updates done and planned.

    Raises:
        RecipeError: If the recipe's parts do not fit together.
        NotEnoughDataError: If there is no window of the recipe's length.
        NotFiniteError: If a loss or the gradient is not finite.
        ValueError: If processes cannot share the recipe's batch equally.
    """
    training = begin(recipe, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return go_on(training, recipe, replay, scale, budget, seed, on_update)


def go_on(
    training: Training,
    recipe: Recipe,
    replay: ReplayStore,
    scale: Scale,
    budget: Budget,
    seed: int,
    on_update: Callable[[int, int], None] = lambda done, planned: None,
) -> Trained:
    """Take the rest of a training's steps; `torch`'s own generator is drawn from as it stands.

    Args: as of `train_recipe`, and:
        training: Begun, or read back; changed in place.

    Raises: as `train_recipe`.
    """
    spec, graph, log = recipe.training, PoseGraph(scale), training.log
    counts_updates = budget.unit == "updates"
    across = training.updater.across
    first = log.num_updates * spec.accumulate
    with Prefetcher(replay, spec, scale, graph, seed, first=first, across=across) as batches:
        train(
            training.updater,
            batches,
            seed,
            budget_s=_NO_BOUND if counts_updates else budget.amount,
            max_updates=round(budget.amount) if counts_updates else _NO_BOUND,
            clock=time.process_time if not counts_updates else time.monotonic,
            on_update=on_update,
            log=log,
            generator=training.generator,
        )
    model = training.updater.model
    assert isinstance(model, ComposedModel)
    return Trained(model=model.to(CPU).eval(), log=log, graph=graph)
