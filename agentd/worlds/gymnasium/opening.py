"""From an id to an environment, or to a sentence that says why not."""

import difflib
import importlib
import importlib.util
import os
from typing import Any

from agentd.exit_codes import UsageError
from agentd.worlds.plugin import named_callable
from configs.bodies.gymnasium import GymnasiumConfig

_BRINGERS = {
    "MiniGrid": "minigrid",
    "BabyAI": "minigrid",
    "MiniWorld": "miniworld",
    "ALE": "ale_py",
}
"""Packages that register environments only when imported, by the beginning of the ids."""


def open_env(config: GymnasiumConfig) -> Any:
    """Return the environment, wrapped as set, able to render where it can at all.

    Raises:
        UsageError: If Gymnasium is missing, the id is unknown, or the environment cannot be made.
    """
    try:
        import gymnasium
    except ImportError as error:
        raise UsageError(
            f"world.kind = gymnasium needs the package gymnasium ({error}); install it with: "
            f"pip install 'agentd[gymnasium]'"
        ) from error
    if not config.id:
        raise UsageError("world.gymnasium.id is not set; accepted: the id of an environment")
    _check_id(config.id, gymnasium)
    key = f"world.gymnasium.id = {config.id!r}"
    try:
        env = _make(config, gymnasium)
    except gymnasium.error.DependencyNotInstalled as error:
        raise UsageError(f"{key}: it needs more packages: {error}") from error
    except Exception as error:  # an environment runs code of others
        raise UsageError(
            f"{key} with world.gymnasium.make = {config.make}: it cannot be made: "
            f"{type(error).__name__}: {error} (AGENTD_DEBUG=1 shows where)"
        ) from error
    for text in config.wrappers:
        wrap = named_callable(text, "world.gymnasium.wrappers")
        try:
            env = wrap(env)
        except Exception as error:
            env.close()
            raise UsageError(
                f"world.gymnasium.wrappers: {text} failed: {type(error).__name__}: {error}"
            ) from error
    return env


def _make(config: GymnasiumConfig, gymnasium: Any) -> Any:
    wanted: dict[str, Any] = {"render_mode": "rgb_array", **config.make}
    try:
        return gymnasium.make(config.id, disable_env_checker=True, **wanted)
    except TypeError as error:
        if "render_mode" in config.make or "'render_mode'" not in str(error):
            raise
        return gymnasium.make(config.id, disable_env_checker=True, **config.make)


def _check_id(env_id: str, gymnasium: Any) -> None:
    """Import what brings the id, and refuse one that is not there."""
    module, colon, name = env_id.rpartition(":")
    bringer = module if colon else _bringer(name)
    if bringer == "miniworld" and not os.environ.get("DISPLAY"):
        os.environ.setdefault("PYGLET_HEADLESS", "1")  # it opens a window when it is imported
    if bringer and (colon or importlib.util.find_spec(bringer) is not None):
        try:
            importlib.import_module(bringer)
        except Exception as error:
            raise UsageError(
                f"world.gymnasium.id = {env_id!r}: the module {bringer} cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
    try:
        gymnasium.spec(name)
    except gymnasium.error.Error as error:
        raise UsageError(_unknown(env_id, name, bringer, gymnasium, error)) from error


def _bringer(name: str) -> str:
    return next((package for start, package in _BRINGERS.items() if name.startswith(start)), "")


def _unknown(env_id: str, name: str, bringer: str, gymnasium: Any, error: Exception) -> str:
    text = f"unknown world.gymnasium.id = {env_id!r}"
    if bringer and importlib.util.find_spec(bringer) is None:
        return f"{text}; install what brings it: pip install {bringer.replace('_', '-')}"
    near = difflib.get_close_matches(name, list(gymnasium.registry), n=5, cutoff=0.5)
    if near:
        return f"{text}; near names: {', '.join(near)}"
    return (
        f"{text} ({error}); {len(gymnasium.registry)} ids are registered; where a package "
        f"registers its own, name its module too: module:{name}"
    )
