"""Standard output is data, standard error is talk."""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import typer


def print_json(data: Any) -> None:
    """Print data for programs."""
    typer.echo(json.dumps(data, indent=2, allow_nan=False))


def say(text: str) -> None:
    """Tell the person something that is not the result."""
    typer.echo(text, err=True)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print aligned columns; a column of numbers is aligned to the right.

    Plain text, because the tables are also read by `grep` and `awk`.
    """
    texts = [[_cell(value) for value in row] for row in rows]
    if not texts:
        return
    widths = [max(map(len, column)) for column in zip(headers, *texts, strict=True)]
    is_number = [all(isinstance(v, int | float | None) for v in c) for c in zip(*rows, strict=True)]
    for line in [list(headers), *texts]:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, is_number, strict=True)
        ]
        typer.echo("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)


def duration(seconds: float) -> str:
    """Return a duration for people ("2 h 05 min")."""
    total = round(seconds)
    if total < 120:
        return f"{total} s"
    if total < 7200:
        return f"{total // 60} min"
    if total < 172_800:
        return f"{total // 3600} h {total % 3600 // 60:02d} min"
    return f"{total // 86_400} days"


def ago(stamp_ns: int, now_ns: int | None = None) -> str:
    """Return how long ago a time was, by our clock or before a given now."""
    now_ns = time.time_ns() if now_ns is None else now_ns
    return duration(max(0.0, (now_ns - stamp_ns) / 1e9)) + " ago"


def is_terminal() -> bool:
    """Tell whether a person looks at standard output."""
    return sys.stdout.isatty()
