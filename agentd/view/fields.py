"""Reading the answers of a life, in which any field may be missing, and writing their numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]
"""An answer of the life: `status`, `map`, `slots` or `events`."""

_MISSING = "-"


def pick(facts: Facts | None, path: str) -> Any:
    """Return the value at a dotted path, or None where any part of the path is missing."""
    value: Any = facts
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def number(facts: Facts | None, path: str) -> float | None:
    """Return the finite number at a dotted path, or None."""
    value = pick(facts, path)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def text(facts: Facts | None, path: str, default: str = "") -> str:
    """Return the value at a dotted path as one printable line; `default` where it is missing."""
    value = pick(facts, path)
    return default if value is None else one_line(str(value))


def one_line(value: str) -> str:
    """Return the text without line breaks and control characters (labels come from outside)."""
    return "".join(c if c.isprintable() else " " for c in value)


def rows(facts: Facts | None, path: str) -> list[Facts]:
    """Return the list of mappings at a dotted path; empty where it is missing."""
    value = pick(facts, path)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [row for row in value if isinstance(row, Mapping)]


def points(facts: Facts | None, path: str) -> list[tuple[float, float]]:
    """Return the list of finite (a, b) pairs at a dotted path; empty where it is missing."""
    value = pick(facts, path)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [pair for pair in map(as_point, value) if pair is not None]


def as_point(value: Any) -> tuple[float, float] | None:
    """Return a value as a pair of finite numbers, or None when it is none."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) < 2:
        return None
    a, b = value[0], value[1]
    if not isinstance(a, int | float) or not isinstance(b, int | float):
        return None
    return (float(a), float(b)) if math.isfinite(a) and math.isfinite(b) else None


def format_count(value: float | None) -> str:
    """Return a count with thin groups of three: 1234567 is `1 234 567`."""
    return _MISSING if value is None else f"{round(value):,}".replace(",", " ")


def format_decimal(value: float | None, digits: int = 1) -> str:
    """Return a number with a fixed number of digits after the point."""
    return _MISSING if value is None else f"{value:.{digits}f}"


def format_duration(value_s: float | None) -> str:
    """Return a duration as `m:ss`, `h:mm:ss` or `d days h:mm`."""
    if value_s is None:
        return _MISSING
    total_s = max(0, round(value_s))
    days, rest_s = divmod(total_s, 86_400)
    hours, rest_s = divmod(rest_s, 3600)
    minutes, seconds = divmod(rest_s, 60)
    if days:
        return f"{days} d {hours}:{minutes:02d}"
    if hours:
        return f"{hours}:{minutes:02d}:{seconds:02d}"
    return f"{minutes}:{seconds:02d}"


def format_bytes(value_bytes: float | None) -> str:
    """Return a size in decimal units with three figures: `24.1 MB`."""
    if value_bytes is None:
        return _MISSING
    size = float(value_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
