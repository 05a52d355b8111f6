"""Recipes as values: spelled out, compared, fit to act."""

import pytest
import torch
from tiny_recipes import arena_recipe

from configs.recipes import load_recipe, recipe_names
from learners.errors import RecipeError
from learners.recipes.build import build, check_acting, completed
from learners.recipes.spec import Recipe, differing_parts, recipe_sha256


@pytest.mark.parametrize("name", recipe_names())
def test_spelling_a_recipe_out_changes_nothing_of_its_model(name: str) -> None:
    recipe = load_recipe(name)
    whole = completed(recipe)
    assert completed(whole) == whole
    plain, spelled = (build(r, 3).state_dict() for r in (recipe, whole))
    assert plain.keys() == spelled.keys()
    assert all(torch.equal(plain[key], spelled[key]) for key in plain)


def test_what_a_default_says_is_no_difference() -> None:
    recipe = load_recipe("agentd")
    fields = recipe.model_dump()
    fields["heads"]["motion"] = {"kind": "motion", "width": 128}
    said = Recipe.model_validate(fields)
    assert said != recipe
    assert completed(said) == completed(recipe)
    assert recipe_sha256(completed(said)) == recipe_sha256(completed(recipe))


def test_only_parts_make_other_weights() -> None:
    recipe = completed(arena_recipe())
    losses = recipe.model_copy(update={"losses": {"prediction": 2.0}, "name": "mine"})
    assert differing_parts(losses, recipe) == []
    fields = recipe.model_dump()
    fields["predictor"]["blocks"] = 1
    del fields["heads"]["objects"]
    assert differing_parts(Recipe.model_validate(fields), recipe) == [
        "heads.objects.kind is not there, not objects",
        "heads.objects.width is not there, not 32",
        "predictor.blocks is 1, not 2",
    ]


def test_those_that_can_act_are_those_with_the_parts_for_it() -> None:
    able = set()
    for name in recipe_names():
        try:
            check_acting(load_recipe(name))
            able.add(name)
        except RecipeError as error:
            assert f"recipe {name!r} cannot act: it has no " in str(error)  # noqa: PT017
    assert able == {"agentd", "ami"}
