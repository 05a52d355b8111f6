"""Bodies that other packages bring: a name in the settings, a World in the loop."""

import difflib
import importlib
import sys
from collections.abc import Callable
from typing import Any

from agentd.exit_codes import AgentdError, UsageError
from agentd.worlds.base import World
from configs.bodies.plugin import PluginConfig
from memory.records import BodySpec

_MEMBERS = ("spec", "reset", "step", "close")


def open_plugin(config: PluginConfig) -> World:
    """Call the factory that is set and return its World.

    Raises:
        UsageError: If there is none, it fails, or what it returns is no World; names what is
            missing.
    """
    key = "world.plugin.factory"
    if not config.factory:
        raise UsageError(f"{key} is not set; accepted: package.module:callable")
    factory = named_callable(config.factory, key)
    given = ", ".join(f"{name}={value!r}" for name, value in config.settings.items())
    call = f"{config.factory}({given})"
    try:
        world = factory(**config.settings)
    except AgentdError:
        raise
    except Exception as error:  # whatever a driver may raise
        hint = "; world.plugin.settings are its arguments" if isinstance(error, TypeError) else ""
        raise UsageError(
            f"{key}: {call} failed: {type(error).__name__}: {error}{hint} (AGENTD_DEBUG=1 shows "
            f"where)"
        ) from error
    why = _why_no_world(world)
    if why:
        raise UsageError(f"{key}: {call} returned {_kind(world)}, which is no World: {why}")
    checked: World = world
    return checked


def named_callable(text: str, key: str) -> Callable[..., Any]:
    """Return what `package.module:callable` names.

    Args:
        text: The name.
        key: Setting that it comes from, for the message.

    Raises:
        UsageError: If it cannot be imported, is not there, or cannot be called.
    """
    name, colon, path = text.partition(":")
    if not (name and colon and path):
        raise UsageError(f"{key} = {text!r}; accepted: package.module:callable")
    try:
        found: Any = importlib.import_module(name)
    except Exception as error:  # an import runs code of others
        raise UsageError(f"{key} = {text!r}: {_why_not_imported(name, error)}") from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = difflib.get_close_matches(part, dir(found), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"{key} = {text!r}: {name} has no {path}{hint}") from None
    if not callable(found):
        raise UsageError(f"{key} = {text!r} is {_kind(found)}, which cannot be called")
    return found


def _why_not_imported(name: str, error: Exception) -> str:
    lacking = error.name if isinstance(error, ModuleNotFoundError) else None
    is_ours = lacking is not None and f"{name}.".startswith(f"{lacking}.")
    if is_ours and "not a package" not in str(error):
        return (
            f"there is no module {lacking}; install its package into {sys.prefix}, or name its "
            f"folder in PYTHONPATH"
        )
    return f"the module {name} cannot be imported: {type(error).__name__}: {error}"


def _why_no_world(world: object) -> str:
    missing = [name for name in _MEMBERS if not hasattr(world, name)]
    if missing:
        return f"it lacks {', '.join(missing)}"
    fixed = [name for name in _MEMBERS[1:] if not callable(getattr(world, name))]
    if fixed:
        return f"{', '.join(fixed)} cannot be called"
    spec = getattr(world, "spec", None)
    if not isinstance(spec, BodySpec):
        return f"its spec is {_kind(spec)}, not a memory.records.BodySpec"
    return ""


def _kind(thing: object) -> str:
    return "None" if thing is None else f"a {type(thing).__name__}"
