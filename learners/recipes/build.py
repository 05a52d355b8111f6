"""From a recipe to its model, with every contradiction told before anything is trained."""

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from learners.errors import RecipeError
from learners.losses.catalogue import LOSSES
from learners.parts.catalogue import PARTS
from learners.parts.kinds import Options, PartEncoder, PartKind, Shape
from learners.parts.targets import Ema
from learners.recipes.model import ComposedModel
from learners.recipes.spec import Recipe

SECTIONS = ("encoder", "target", "predictor", "masks")
"""Of a recipe, in the order in which their weights are drawn; heads come after them."""

ACTING = ("predictor", "motion", "quasi_distance", "crops")
"""What acting asks for: rollouts, their motion, the way to go, vectors for the memory's crops."""

_Chosen = dict[str, tuple[PartKind, Options]]


def check(recipe: Recipe) -> None:
    """Check that a recipe's parts exist, accept their settings and fit together.

    Raises:
        RecipeError: If not; names the recipe, the section, the value and what would be accepted.
    """
    _choose(recipe)


def check_acting(recipe: Recipe) -> None:
    """Check that a model of a recipe can drive a body and serve its memory.

    Raises:
        RecipeError: As `check`; and if it lacks a part, naming all that it lacks.
    """
    provided = _provided(recipe, _choose(recipe))
    if missing := [name for name in ACTING if name not in provided]:
        raise RecipeError(
            f"recipe {recipe.name!r} cannot act: it has no {', '.join(missing)}; a life needs a "
            "recipe with the encoder 'fused' (it provides crops), a predictor of latents such as "
            "'steered', and the heads motion and quasi_distance"
        )


def completed(recipe: Recipe) -> Recipe:
    """Return a recipe with every setting of its parts spelled out.

    What it says then does not depend on the defaults of the program that reads it.

    Raises:
        RecipeError: As `check`.
    """
    fields = recipe.model_dump(mode="json")
    spelled = {
        section: {"kind": kind, **options.model_dump(mode="json")}
        for section, kind, options in _kinds(recipe, _choose(recipe))
    }
    fields["heads"] = {name: spelled.pop(name) for name in recipe.heads}
    return Recipe.model_validate(fields | spelled)


def build(recipe: Recipe, seed: int) -> ComposedModel:
    """Return a fresh model.

    Args:
        recipe: What it is composed of.
        seed: Draws the weights.

    Raises:
        RecipeError: As `check`; and if a part refuses its settings.
    """
    chosen = _choose(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = Shape(latent_dim=recipe.latent_dim)
        modules: dict[str, nn.Module] = {}
        for section, (kind, options) in chosen.items():
            try:
                part = kind.make(options, shape)
            except ValueError as error:
                raise RecipeError(f"recipe {recipe.name!r}, {section}: {error}") from error
            modules[section] = part
            if isinstance(part, PartEncoder):
                shape = part.shape
            if isinstance(part, Ema):
                part.begin(modules["encoder"])
        model = ComposedModel(modules)
    if any("initial" in LOSSES[name].needs for name, weight in recipe.losses.items() if weight):
        model.remember_initial()
    return model


def _kinds(recipe: Recipe, chosen: _Chosen) -> Iterator[tuple[str, str, Options]]:
    """Yield section or head, the name of its kind, and its settings."""
    for name, (_, options) in chosen.items():
        head = recipe.heads.get(name)
        kind = getattr(recipe, name).kind if head is None else head.kind or name
        yield name, kind, options


def _provided(recipe: Recipe, chosen: _Chosen) -> set[str]:
    """Return what losses and parts may ask for; first weights there always are."""
    return {"initial", *recipe.heads}.union(*(kind.provides for kind, _ in chosen.values()))


def _choose(recipe: Recipe) -> _Chosen:
    chosen: _Chosen = {}
    for section in SECTIONS:
        spec = getattr(recipe, section)
        if spec is not None:
            chosen[section] = _part(recipe, section, section, spec.kind, spec.model_extra or {})
    for name, head in recipe.heads.items():
        kind_name = head.kind or name
        part = _part(recipe, "heads", f"heads.{name}", kind_name, head.model_extra or {})
        names = part[0].provides or {kind_name}
        if name not in names:
            raise RecipeError(
                f"recipe {recipe.name!r}, heads.{name}: a head of kind {kind_name!r} stands under "
                f"the name {' or '.join(sorted(names))}"
            )
        chosen[name] = part
    if odd := sorted(recipe.training.rates.keys() - chosen.keys()):
        raise RecipeError(
            f"recipe {recipe.name!r}, training.rates: there is no part {' and no '.join(odd)}; its "
            f"parts are {', '.join(chosen)}"
        )
    provided = _provided(recipe, chosen)
    wanted = {section: kind.needs for section, (kind, _) in chosen.items()}
    for name in recipe.losses:
        if name not in LOSSES:
            raise RecipeError(f"recipe {recipe.name!r}, losses: {_unknown(name, LOSSES)}")
        wanted[f"loss {name}"] = LOSSES[name].needs
    for who, needs in wanted.items():
        if missing := sorted(needs - provided):
            raise RecipeError(
                f"recipe {recipe.name!r}: {who} needs {' and '.join(missing)}, and its parts "
                f"provide {', '.join(sorted(provided - {'initial'})) or 'nothing'}"
            )
    return chosen


def _part(
    recipe: Recipe, catalogue: str, section: str, name: str, options: dict[str, Any]
) -> tuple[PartKind, Options]:
    known = PARTS[catalogue]
    if name not in known:
        raise RecipeError(f"recipe {recipe.name!r}, {section}: {_unknown(name, known)}")
    kind = known[name]
    try:
        return kind, kind.options.model_validate(options)
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']} (found {e['input']!r})"
            for e in error.errors()
        )
        accepted = ", ".join(kind.options.model_fields) or "no settings"
        raise RecipeError(
            f"recipe {recipe.name!r}, {section} {name!r}: {told}; accepted: {accepted}"
        ) from error


def _unknown(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f", did you mean {close[0]!r}?" if close else ""
    return f"{name!r} is unknown{hint} Known: {', '.join(sorted(known))}"
