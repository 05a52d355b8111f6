"""Loads the settings from their five sources and remembers where every value came from.

Later sources win: the models' defaults, the profile, the home's `config.toml`, environment
variables `AGENTD_SECTION__KEY`, overrides `section.key=value` of the command line.
"""

import hashlib
import json
import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from configs.errors import ConfigError
from configs.keys import accepts, did_you_mean, explain_unknown, flatten, leaf_fields
from configs.recipes import load_recipe
from configs.schema import AgentConfig
from learners.recipes.spec import Recipe

ENV_PREFIX = "AGENTD_"
DEFAULT_PROFILE = "default"
SEED_KEYS = ("life.seed", "world.house.seed")
"""What `--seed` sets: the draws of the agent, and which house it lives in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """A checked configuration.

    Attributes:
        config: The tree.
        origins: Where each value came from, by dotted key.
        profile: Name or path of the profile.
        recipe: What `learners.recipe` names.
    """

    config: AgentConfig
    origins: dict[str, str]
    profile: str
    recipe: Recipe

    def values(self) -> dict[str, Any]:
        """Return every value by its dotted key."""
        return flatten(self.config)

    def sha256(self) -> str:
        """Return a fingerprint of all values, the same for the same values on any machine."""
        values = self.values() | {"learners.recipe": self.recipe.model_dump(mode="json")}
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Setting:
    value: Any
    origin: str


def profile_names() -> list[str]:
    """Return the names of the profiles that are shipped."""
    folder = resources.files("configs") / "profiles"
    names = (Path(entry.name) for entry in folder.iterdir())
    return sorted(name.stem for name in names if name.suffix == ".toml")


def load_config(
    profile: str | None = None,
    home_toml: Path | None = None,
    env: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    *,
    seed: int | None = None,
    born: Mapping[str, Any] | None = None,
) -> LoadedConfig:
    """Merge all sources and check the result.

    Args:
        profile: Name of a shipped profile, or the path of a TOML file; None is "default".
        home_toml: The home's `config.toml`; may be missing.
        env: Environment; None reads the process's own.
        overrides: "section.key=value" each; value in TOML, or a bare word.
        seed: Value of `--seed`; sets `SEED_KEYS`.
        born: What a life was born with and cannot change, by dotted key. It stands above the
            profile, and a later source that says otherwise is refused.

    Raises:
        ConfigError: If a key is unknown, a value impossible, or a file cannot be read.
    """
    profile = profile or DEFAULT_PROFILE
    settings: dict[str, _Setting] = {}
    settings.update(_read_profile(profile))
    for key, value in (born or {}).items():
        settings[key] = _Setting(value, "life.json")
    if home_toml is not None and home_toml.exists():
        settings.update(_parse_toml(_read_text(home_toml), str(home_toml)))
    settings.update(_read_env(os.environ if env is None else env))
    settings.update(_read_overrides(overrides))
    if seed is not None:
        settings.update({key: _Setting(seed, "--seed") for key in SEED_KEYS})
    config = _validate(settings)
    origins = {key: "default" for key in leaf_fields()}
    origins.update({key: setting.origin for key, setting in settings.items()})
    recipe = _load_recipe(config.learners.recipe, origins["learners.recipe"])
    loaded = LoadedConfig(config=config, origins=origins, profile=profile, recipe=recipe)
    _check_born(loaded, born or {})
    return loaded


def _read_profile(profile: str) -> dict[str, _Setting]:
    if profile.endswith(".toml"):
        path = Path(profile).expanduser()
        return _parse_toml(_read_text(path), str(path))
    names = profile_names()
    if profile not in names:
        guess = did_you_mean(profile, names)
        hint = f"; did you mean {guess}?" if guess else ";"
        raise ConfigError(
            f"unknown profile {profile!r}{hint} accepted: {', '.join(names)}, or a .toml file"
        )
    return _parse_toml(profile_text(profile), f"profile {profile}")


def profile_text(name: str) -> str:
    """Return the TOML of a shipped profile."""
    return (resources.files("configs") / "profiles" / f"{name}.toml").read_text("utf-8")


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error


def _parse_toml(text: str, origin: str) -> dict[str, _Setting]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin}: not valid TOML: {error}") from error
    settings: dict[str, _Setting] = {}
    _walk(data, "", origin, settings)
    return settings


def _walk(data: Mapping[str, Any], prefix: str, origin: str, into: dict[str, _Setting]) -> None:
    leaves = leaf_fields()
    for name, value in data.items():
        key = prefix + name
        if key in leaves:
            into[key] = _Setting(value, origin)
        elif isinstance(value, Mapping) and any(leaf.startswith(key + ".") for leaf in leaves):
            _walk(value, key + ".", origin, into)
        elif any(leaf.startswith(key + ".") for leaf in leaves):
            raise ConfigError(f"{origin}: {key} = {value!r}: {explain_unknown(key)}")
        else:
            raise ConfigError(f"{origin}: {explain_unknown(key)}")


def _read_env(env: Mapping[str, str]) -> dict[str, _Setting]:
    leaves = leaf_fields()
    sections = {key.split(".")[0] for key in leaves}
    settings: dict[str, _Setting] = {}
    for name in sorted(env):
        if not name.startswith(ENV_PREFIX):
            continue
        origin = f"environment variable {name}"
        words = name.removeprefix(ENV_PREFIX).lower()
        if "__" not in words:
            if words.split("_")[0] in sections:
                raise ConfigError(
                    f"{origin}: sections and keys are separated by two underscores, "
                    f"as in {ENV_PREFIX}LIFE__PACE"
                )
            continue  # AGENTD_HOME and the like are no settings
        key = words.replace("__", ".")
        if key not in leaves:
            raise ConfigError(f"{origin}: {explain_unknown(key)}")
        settings[key] = _Setting(_parse_value(env[name], leaves[key]), origin)
    return settings


def parse_value(key: str, text: str) -> Any:
    """Return a value that was written as text, as its setting wants it; None unsets.

    Raises:
        ConfigError: If there is no such setting.
    """
    leaves = leaf_fields()
    if key not in leaves:
        raise ConfigError(explain_unknown(key))
    return _parse_value(text.strip(), leaves[key])


def _read_overrides(overrides: Sequence[str]) -> dict[str, _Setting]:
    leaves = leaf_fields()
    settings: dict[str, _Setting] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals:
            raise ConfigError(f"--set {override}: expected section.key=value")
        if key not in leaves:
            raise ConfigError(f"--set {override}: {explain_unknown(key)}")
        settings[key] = _Setting(_parse_value(text.strip(), leaves[key]), f"--set {key}")
    return settings


def _parse_value(text: str, field: FieldInfo) -> Any:
    """Read a value that arrived as text, guided by the type that the field wants."""
    optional = type(None) in get_args(field.annotation)
    if optional and text.lower() in ("none", "null", ""):
        return None
    origin = get_origin(field.annotation)
    # A list or a table of texts is no text.
    wants_text = field.annotation is str or origin is Literal
    if wants_text or (origin in (Union, UnionType) and str in get_args(field.annotation)):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _validate(settings: Mapping[str, _Setting]) -> AgentConfig:
    tree: dict[str, Any] = {}
    for key, setting in settings.items():
        if not _is_finite(setting.value):
            raise ConfigError(
                f"{setting.origin}: {key} = {setting.value!r}; accepted: only finite numbers"
            )
        *sections, name = key.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = setting.value
    try:
        return AgentConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_explain(error, settings)) from error


def _load_recipe(name: str, origin: str) -> Recipe:
    """Return the recipe that is set; whether its parts fit together is seen where it is built."""
    try:
        return load_recipe(name)
    except ConfigError as error:
        raise ConfigError(f"{origin}: learners.recipe = {name!r}: {error}") from error


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return True


def _explain(error: ValidationError, settings: Mapping[str, _Setting]) -> str:
    fields = leaf_fields()
    sentences = []
    for detail in error.errors():
        path = [str(part) for part in detail["loc"]]
        depth = next((n for n in range(len(path), 0, -1) if ".".join(path[:n]) in settings), 0)
        what = detail["msg"].removeprefix("Value error, ")
        if depth == 0:  # a rule over several values of one section
            section = ".".join(path)
            origins = {s.origin for k, s in settings.items() if k.startswith(section)}
            sentences.append(f"{', '.join(sorted(origins)) or 'defaults'}: {section}: {what}")
            continue
        key = ".".join(path[:depth])
        inside = ".".join(path[depth:])
        where = f" (at {inside})" if inside else ""
        sentences.append(
            f"{settings[key].origin}: {key} = {settings[key].value!r}{where}: {what}; "
            f"accepted: {accepts(fields[key])}"
        )
    return "\n".join(dict.fromkeys(sentences))


def _check_born(loaded: LoadedConfig, born: Mapping[str, Any]) -> None:
    values = loaded.values()
    for key, value in born.items():
        if values[key] != value:
            raise ConfigError(
                f"{loaded.origins[key]}: {key} = {values[key]!r}: this life was born with "
                f"{value!r} and keeps it; leave it out, or start another life in another --home"
            )
