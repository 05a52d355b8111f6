"""Training a recipe on a replay store, within a budget that is the same for all recipes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from learners.batch import Scale
from learners.config import RoundConfig
from learners.pose_graph import PoseGraph
from learners.recipes.build import build
from learners.recipes.model import ComposedModel
from learners.recipes.spec import Recipe
from learners.training import Prefetcher, TrainingLog, train
from learners.update import make_updater
from memory.protocols import ReplayStore

_NO_BOUND = 10**9


class Budget(BaseModel):
    """What a training run may spend; every recipe of a comparison gets the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["updates", "cpu_s"] = "updates"
    """Optimiser steps, or CPU-seconds of the process, drawing batches included."""
    amount: float = Field(300, gt=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model, what its training did and cost, and the poses that it saw."""

    model: ComposedModel
    log: TrainingLog
    cpu_s: float
    graph: PoseGraph


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
    """
    model = build(recipe, seed)
    spec, graph = recipe.training, PoseGraph(scale)
    updater = make_updater(
        model,
        recipe.losses,
        learning_rate=spec.learning_rate,
        weight_decay=spec.weight_decay,
        grad_clip=spec.grad_clip,
        after_step=model.after_step,
    )
    config = RoundConfig(batch_size=spec.batch_size, horizon=max(spec.horizon, 3))
    counts_updates = budget.unit == "updates"
    began = time.process_time()
    with Prefetcher(replay, config, scale, graph, seed) as batches:
        log = train(
            updater,
            batches,
            seed,
            budget_s=_NO_BOUND if counts_updates else budget.amount,
            max_updates=round(budget.amount) if counts_updates else _NO_BOUND,
            clock=time.process_time if not counts_updates else time.monotonic,
            on_update=on_update,
        )
    model.eval()
    return Trained(model=model, log=log, cpu_s=time.process_time() - began, graph=graph)
