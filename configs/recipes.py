"""Recipes of world models by name: TOML files beside this one, or a file of the user's."""

import difflib
import tomllib
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from configs.errors import ConfigError
from learners.recipes.spec import Recipe

_FOLDER = "recipes"


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the program, in alphabetical order."""
    files = resources.files("configs").joinpath(_FOLDER).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def recipe_page(name: str) -> str:
    """Return a recipe as it is written down.

    Args:
        name: One of `recipe_names()`, or the path of a file that ends in `.toml`.

    Raises:
        ConfigError: If there is none.
    """
    if name.endswith(".toml"):
        path = Path(name).expanduser().absolute()
        if not path.is_file():
            raise ConfigError(f"there is no recipe file {path}")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the recipe {path}: {error}") from error
    known = recipe_names()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f", did you mean {close[0]!r}?" if close else "."
        raise ConfigError(f"there is no recipe {name!r}{hint} Known: {', '.join(known)}")
    return resources.files("configs").joinpath(_FOLDER, f"{name}.toml").read_text("utf-8")


def load_recipe(name: str) -> Recipe:
    """Return a recipe.

    Args:
        name: One of `recipe_names()`, or the path of a file that ends in `.toml`.

    Raises:
        ConfigError: If there is none, or it cannot be read as one; names the file, the key, the
            value and what would be accepted.
    """
    text = recipe_page(name)
    told = name if name.endswith(".toml") else f"recipe {name!r}"
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{told} is not a TOML file: {error}") from error
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{told}: {'; '.join(lines)}") from error
