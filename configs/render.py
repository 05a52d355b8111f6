"""Prints settings as TOML that can be read back."""

import json
import re
from typing import Any

from configs.load import LoadedConfig

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(loaded: LoadedConfig, *, with_origin: bool = False) -> str:
    """Return all settings as TOML, section by section; what is unset stands in a comment.

    Args:
        loaded: The settings.
        with_origin: Add where each value comes from as a comment.
    """
    sections: dict[str, list[str]] = {}
    for key, value in loaded.values().items():
        section, _, name = key.rpartition(".")
        line = f"# {name} is unset" if value is None else f"{name} = {literal(value)}"
        if with_origin:
            line += f"  # {loaded.origins[key]}"
        sections.setdefault(section, []).append(line)
    return "\n\n".join("\n".join([f"[{name}]", *lines]) for name, lines in sections.items())


def literal(value: Any) -> str:
    """Return a value as TOML."""
    if isinstance(value, dict):
        # Keys that people chose may hold anything; those of the models are written bare.
        keys = {key: key if _BARE.fullmatch(key) else json.dumps(key) for key in value}
        return "{" + ", ".join(f"{keys[k]} = {literal(item)}" for k, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    return json.dumps(value)  # strings, numbers and booleans are written alike in TOML
