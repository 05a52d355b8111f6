"""What a life trains and acts with: the recipe that its settings name, checked."""

from configs.load import LoadedConfig
from learners.recipes.spec import Recipe


def life_recipe(loaded: LoadedConfig) -> Recipe:
    """Return the recipe of a life; where it is trained, with every setting spelled out.

    Raises:
        RecipeError: If its parts do not fit together, or a model of it cannot act.
    """
    if not loaded.config.learners.enabled:
        # Nothing is trained, and torch is large: who may act is asked when one is to act.
        return loaded.recipe
    from learners.recipes.build import check_acting, completed

    check_acting(loaded.recipe)
    return completed(loaded.recipe)
