"""The keys of the settings tree: their names, types and what they accept, in words."""

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from configs.schema import AgentConfig


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model behind a field's annotation, None if the field is a value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def leaf_fields(model: type[BaseModel] = AgentConfig, prefix: str = "") -> dict[str, FieldInfo]:
    """Return every value of the tree by its dotted key, in the order of the models."""
    fields: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is None:
            fields[prefix + name] = field
        else:
            fields.update(leaf_fields(section, f"{prefix}{name}."))
    return fields


def flatten(config: BaseModel, prefix: str = "") -> dict[str, Any]:
    """Return every value of a configuration by its dotted key, as plain data."""
    values: dict[str, Any] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            values.update(flatten(value, f"{prefix}{name}."))
        else:
            values[prefix + name] = _plain(value)
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_none=True)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def keys_of_section(path: str) -> list[str]:
    """Return the names directly below a section ("" is the top), [] if it is not a section."""
    model: type[BaseModel] = AgentConfig
    for part in path.split(".") if path else []:
        field = model.model_fields.get(part)
        section = section_of(field.annotation) if field else None
        if section is None:
            return []
        model = section
    return list(model.model_fields)


def explain_unknown(key: str) -> str:
    """Say what is wrong with an unknown key and which one was probably meant."""
    parts = key.split(".")
    depth = 0
    while depth < len(parts) and parts[depth] in keys_of_section(".".join(parts[:depth])):
        depth += 1
    section = ".".join(parts[:depth])
    accepted = keys_of_section(section)
    leaves = list(leaf_fields())
    guess = did_you_mean(key, leaves) or did_you_mean_leaf(key, leaves)
    hint = f"; did you mean {guess}?" if guess else ";"
    if not accepted and typing.get_origin(leaf_fields()[section].annotation) is dict:
        inner = key.removeprefix(f"{section}.")
        return f"unknown key {key}: {section} is a table: write {section}={{{inner} = ...}}"
    if not accepted:
        return f"unknown key {key}: {section} is a value, not a section{hint}".rstrip(";")
    if depth == len(parts):
        return f"{key} is a section, not a value; accepted in it: {', '.join(accepted)}"
    place = f"in [{section}]" if section else "at the top level"
    return f"unknown key {key}{hint} accepted {place}: {', '.join(accepted)}"


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is nearest to a mistyped one."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.75)
    return matches[0] if matches else None


def did_you_mean_leaf(key: str, leaves: Iterable[str]) -> str | None:
    """Return the only key whose last part is that of `key`: the section was forgotten or wrong."""
    last = key.rsplit(".", 1)[-1]
    by_last = [leaf for leaf in leaves if leaf.rsplit(".", 1)[-1] == last]
    return by_last[0] if len(by_last) == 1 else None


def accepts(field: FieldInfo) -> str:
    """Describe the values that a field accepts ("a whole number >= 1")."""
    words = _type_words(field.annotation)
    bounds = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    limits = [
        f"{sign} {getattr(item, name)}"
        for item in field.metadata
        for name, sign in bounds.items()
        if getattr(item, name, None) is not None
    ]
    return f"{words} {' and '.join(limits)}".strip()


def _type_words(annotation: Any) -> str:
    names: Mapping[Any, str] = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a text",
        type(None): "none",
    }
    if annotation in names:
        return names[annotation]
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return "one of " + ", ".join(str(value) for value in typing.get_args(annotation))
    if origin in (Union, types.UnionType):
        return " or ".join(_type_words(arg) for arg in typing.get_args(annotation))
    if origin is dict:
        return "a table, as in {port = 7, name = 'left'}"
    if origin is tuple:
        args = typing.get_args(annotation)
        if args[-1] is Ellipsis:
            inner = section_of(args[0])
            keys = f" with the keys {', '.join(inner.model_fields)}" if inner else ""
            return f"a list{keys}"
        return f"a list of {len(args)} values"
    return str(annotation)
