"""Checkpoints of formats 1 to 3: made before what is trained was a recipe. No torch here.

Their manifests tell a shape and weights of losses; their weights lie under other names.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from learners.recipes.spec import Recipe

LAST_OLD_FORMAT = 3

_SHAPE = {
    "latent_dim": 128,
    "width": 256,
    "predictor_blocks": 3,
    "subspace_dim": 8,
    "iqe_components": 8,
    "iqe_intervals": 8,
}
_NAMES = (
    ("encoder.", "encoder.frames."),
    ("predictor.", "predictor.steps."),
    ("subspaces", "subspaces.planes"),
)
"""Beginnings of the names of weights, then and now; all others are what they were."""

T = TypeVar("T")


def upgraded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest of an old format with the recipe that its settings amount to.

    The format stays, so that its weights are read by their old names.

    Raises:
        ValueError: If its settings are none that those formats had.
    """
    fields = dict(values)
    shape, losses = fields.pop("model", {}), fields.pop("losses", {})
    fields["recipe"] = _recipe(shape, losses).model_dump(mode="json")
    return fields


def renamed(tensors: Mapping[str, T]) -> dict[str, T]:
    """Return weights, or an optimiser's numbers, of an old format under their names of today."""
    return {_name(name): tensor for name, tensor in tensors.items()}


def _name(old: str) -> str:
    for then, now in _NAMES:
        if old.startswith(then):
            return now + old.removeprefix(then)
    return old


def _recipe(shape: Mapping[str, Any], losses: Mapping[str, float]) -> Recipe:
    if odd := sorted(set(shape) - set(_SHAPE)):
        raise ValueError(f"model has unknown settings {odd}; accepted: {sorted(_SHAPE)}")
    size = {**_SHAPE, **shape}
    head = {"width": size["width"] // 2}
    intervals = {"components": size["iqe_components"], "intervals": size["iqe_intervals"]}
    return Recipe.model_validate(
        {
            "name": "agentd",
            "title": "what was trained before checkpoints carried a recipe",
            "source": "this project",
            "claim": "none of its own",
            "latent_dim": size["latent_dim"],
            "encoder": {"kind": "fused", "width": size["width"]},
            "predictor": {
                "kind": "steered",
                "width": size["width"],
                "blocks": size["predictor_blocks"],
            },
            "heads": {
                "inverse_dynamics": {"kind": "inverse_dynamics", **head},
                "motion": {"kind": "motion", **head},
                "objects": {"kind": "objects", **head},
                "quasi_distance": {"kind": "quasi_distance", **head, **intervals},
                "subspaces": {"kind": "subspaces", "dim": size["subspace_dim"]},
            },
            "losses": {name: weight for name, weight in losses.items() if weight},
        }
    )
