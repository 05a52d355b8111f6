"""Prints settings as TOML that can be read back."""

import json
from typing import Any

from configs.load import LoadedConfig


def to_toml(loaded: LoadedConfig, *, with_origin: bool = False) -> str:
    """Return all settings as TOML, section by section; what is unset stands in a comment.

    Args:
        loaded: The settings.
        with_origin: Add where each value comes from as a comment.
    """
    sections: dict[str, list[str]] = {}
    for key, value in loaded.values().items():
        section, _, name = key.rpartition(".")
        line = f"# {name} is unset" if value is None else f"{name} = {_literal(value)}"
        if with_origin:
            line += f"  # {loaded.origins[key]}"
        sections.setdefault(section, []).append(line)
    return "\n\n".join("\n".join([f"[{name}]", *lines]) for name, lines in sections.items())


def _literal(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    return json.dumps(value)  # strings, numbers and booleans are written alike in TOML
