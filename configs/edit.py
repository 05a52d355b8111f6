"""Changes one value in a settings file; comments, order and everything else stay as they are."""

from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError

from configs.errors import ConfigError


def with_value(path: Path, key: str, value: Any) -> str:
    """Return the text of a settings file with one value set.

    Args:
        path: The file; it need not exist.
        key: Dotted, as in `life.pace`.
        value: What TOML can hold.

    Raises:
        ConfigError: If the file cannot be read, or has a value where the key has a section.
    """
    document = _read(path)
    *sections, name = key.split(".")
    table: Any = document
    for section in sections:
        if section not in table:
            table[section] = tomlkit.table(is_super_table=section != sections[-1])
        table = table[section]
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {section} is a value, not a section")
    table[name] = value
    return tomlkit.dumps(document)


def without_value(path: Path, key: str) -> str | None:
    """Return the text of a settings file without one value; None if it is not set there.

    Raises:
        ConfigError: If the file cannot be read.
    """
    document = _read(path)
    *sections, name = key.split(".")
    tables: list[Any] = [document]
    for section in sections:
        if not isinstance(tables[-1], dict) or section not in tables[-1]:
            return None
        tables.append(tables[-1][section])
    if not isinstance(tables[-1], dict) or name not in tables[-1]:
        return None
    del tables[-1][name]
    for above, section in zip(reversed(tables[:-1]), reversed(sections), strict=True):
        if not above[section]:  # nothing is left in it
            del above[section]
    return tomlkit.dumps(document)


def _read(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_text("utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    except ParseError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
