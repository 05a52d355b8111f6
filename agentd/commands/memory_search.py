"""The command `memory search`: what its options mean, and its answers."""

import datetime
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from agentd.commands.output import ago, print_table
from agentd.exit_codes import ExitCode

if TYPE_CHECKING:
    from memory.records import SlotState

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
TIMES = "a time as 2026-11-24 or 2026-11-24T18:30, or how long ago as 90s, 20m, 2h, 3d, 1w"


def parse_time(text: str, option: str, now_ns: int | None = None) -> int:
    """Return the stamp of a time; one without a zone is local.

    Raises:
        typer.BadParameter: If it is none; says what is accepted.
    """
    now_ns = time.time_ns() if now_ns is None else now_ns
    relative = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if relative:
        return now_ns - round(float(relative[1]) * _UNITS_S[relative[2]] * 1e9)
    try:
        when = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time; {option} takes {TIMES}") from None
    return round(when.timestamp() * 1e9)


def parse_point(text: str, option: str) -> tuple[float, float]:
    """Return a point on the floor.

    Raises:
        typer.BadParameter: If it is none; says what is accepted.
    """
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no point; {option} takes two numbers of metres, as in 2.5,-1"
        ) from None
    return x, y


def parse_states(names: Sequence[str]) -> "tuple[SlotState, ...] | None":
    """Return states, None for any.

    Raises:
        typer.BadParameter: If one is unknown; names all.
    """
    from memory.records import SlotState

    known = [state.value for state in SlotState]
    for name in names:
        if name not in known:
            raise typer.BadParameter(
                f"{name!r} is no state; --state takes one of: {', '.join(known)}"
            )
    return tuple(SlotState(name) for name in names) or None


def print_found(slots: list[dict[str, Any]]) -> None:
    """Print slots, with likeness where a search was by looks."""
    alike = any("cosine" in slot for slot in slots)
    headers = [
        "id",
        "label",
        "state",
        "x_m",
        "y_m",
        "z_m",
        "existence",
        "hits",
        "last_step",
        "room",
    ]
    rows = [
        [
            slot["slot_id"],
            slot["label"],
            slot["state"],
            *slot["xyz_m"],
            slot["existence"],
            slot["num_hits"],
            slot["last_seen_step"],
            slot["room"] or None,
            *([slot.get("cosine")] if alike else []),
        ]
        for slot in slots
    ]
    print_table([*headers, "likeness"] if alike else headers, rows)


def past_rows(past: Sequence[Any]) -> list[dict[str, Any]]:
    """Return slots of the past as plain values."""
    return [
        {
            "slot_id": slot.slot_id,
            "now_id": slot.now_id,
            "label": slot.label,
            "xyz_m": slot.xyz_m.tolist(),
            "state": slot.state.value,
            "since_ns": slot.since_ns,
            "created_ns": slot.created_ns,
        }
        for slot in past
    ]


def print_past(rows: list[dict[str, Any]]) -> None:
    """Print slots of the past."""
    headers = ["id", "label", "state", "x_m", "y_m", "z_m", "since", "id_today"]
    print_table(
        headers,
        [
            [
                row["slot_id"],
                row["label"],
                row["state"],
                *row["xyz_m"],
                ago(row["since_ns"]),
                row["now_id"],
            ]
            for row in rows
        ],
    )


def refuse(message: str) -> typer.Exit:
    """Say why options do not go together; return what to raise."""
    typer.echo(f"error: {message}", err=True)
    return typer.Exit(ExitCode.USAGE)
