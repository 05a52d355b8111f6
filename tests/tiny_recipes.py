"""The recipes that come with the program, small enough for tests."""

from typing import Any

from configs.recipes import load_recipe
from learners.recipes.spec import Recipe

_ENCODERS = {
    "vit": {"patch_px": 16, "width": 32, "layers": 2, "heads": 2, "projector_width": 32},
    "fused": {"width": 32},
}
_PREDICTORS = {
    "causal": {"width": 32, "layers": 2, "heads": 2, "projector_width": 32},
    "steered": {"width": 32, "blocks": 2},
}


def arena_recipe(**training: Any) -> Recipe:
    """Return the daemon's recipe, small enough to learn an arena in seconds.

    Args:
        **training: Fields of `TrainingSpec` to replace.
    """
    fields = load_recipe("agentd").model_dump()
    fields["latent_dim"] = 32
    fields["encoder"]["width"] = 64
    fields["predictor"] |= {"width": 64, "blocks": 2}
    for head in fields["heads"].keys() - {"subspaces"}:
        fields["heads"][head]["width"] = 32
    fields["training"] |= {"batch_size": 8, "learning_rate": 2e-3, **training}
    return Recipe.model_validate(fields)


def tiny_recipe(name: str, **changes: Any) -> Recipe:
    """Return a recipe with narrow parts, a latent of 16 and a higher learning rate.

    Args:
        name: As `configs.recipes.load_recipe`.
        **changes: Fields of `Recipe` to replace after that.
    """
    fields = load_recipe(name).model_dump()
    encoder = fields["encoder"]
    fields["encoder"] = encoder | _ENCODERS[encoder["kind"]]
    if fields["predictor"] is not None:
        fields["predictor"] |= _PREDICTORS[fields["predictor"]["kind"]]
    fields["latent_dim"] = min(fields["latent_dim"], 16)
    fields["training"] |= {"batch_size": 16, "learning_rate": 3e-3}
    return Recipe.model_validate(fields | changes)
