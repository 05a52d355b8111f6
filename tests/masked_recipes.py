"""The masked recipes, small enough for tests, and what the tests of all three do with them."""

from typing import Any

import numpy as np
import torch

from configs.recipes import load_recipe
from learners.batch import Scale, Windows, to_windows
from learners.losses.forward import Forward
from learners.recipes.build import build
from learners.recipes.model import ComposedModel
from learners.recipes.spec import Recipe
from learners.update import make_updater
from memory.protocols import ReplayStore

MASKED_RECIPES = ("ijepa", "vjepa", "vjepa2.1")


def small(name: str, *, width: int = 32, **changes: dict[str, Any]) -> Recipe:
    """Return a recipe with a narrow model; `changes` are by section."""
    recipe = load_recipe(name).model_dump()
    recipe["latent_dim"] = width
    recipe["encoder"] |= {"width": width, "layers": 3}
    if recipe["encoder"].get("levels"):
        recipe["encoder"]["levels"] = (1, 2)
    recipe["predictor"] |= {"width": 32, "layers": 2}
    recipe["training"] |= {"batch_size": 8, "horizon": 4}
    for section, settings in changes.items():
        recipe[section] = (recipe[section] or {}) | settings
    return Recipe.model_validate(recipe)


def draw(replay: ReplayStore, scale: Scale, frames: int = 4, seed: int = 0) -> Windows:
    """Return six windows."""
    rng = np.random.default_rng(seed)
    return to_windows(replay.sample(6, frames, rng), scale, rng)


def forward(model: ComposedModel, windows: Windows, progress: float = 0.5) -> Forward:
    """Return a pass with a fixed seed."""
    return Forward(model, windows, torch.Generator().manual_seed(0), progress)


def take_two_steps(recipe: Recipe, windows: Windows) -> ComposedModel:
    """Return a model after two updates, the gradients of the second still there."""
    model = build(recipe, 0)
    updater = make_updater(
        model,
        recipe.losses,
        learning_rate=1e-3,
        weight_decay=0.04,
        grad_clip=1.0,
        after_step=model.after_step,
    )
    generator = torch.Generator().manual_seed(0)
    for progress in (0.3, 0.6):
        updater.step(windows, generator, progress)
    return model
