"""Numbers of a comparison as JSON and as text."""

import math
from typing import Any

from agentd.evaluate.statistics import Interval


def as_dict(interval: Interval) -> dict[str, float]:
    """Return mean and bounds by name."""
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def finite(value: Any) -> Any:
    """Return the value with NaN and infinities replaced by None: JSON has no word for them."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def percent(found: dict[str, Any], style: str = ".1f", *, bounds: bool = True) -> str:
    """Return a mean in percent, with its bounds where there are any."""
    text = number(found["mean"], style, 100.0)
    if not bounds or found["low"] is None:
        return text
    return f"{text} [{number(found['low'], style, 100.0)}, {number(found['high'], style, 100.0)}]"


def number(value: float | None, style: str, factor: float = 1.0) -> str:
    """Return a value as text, "-" for none."""
    return "-" if value is None else format(factor * value, style)
