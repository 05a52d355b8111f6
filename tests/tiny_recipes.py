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
