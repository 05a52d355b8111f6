"""The command `memory search`: what its options mean, and its answers."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentd.commands.output import ago, print_json, print_table, say
from agentd.exit_codes import ExitCode

if TYPE_CHECKING:
    from memory.objects.timeline import PastSlot
    from memory.records import SlotState
    from memory.search.query import SlotQuery

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
TIMES = (
    "a time as 2026-11-24 or 2026-11-24T18:30, or how long before the newest observation, "
    "as 90s, 20m, 2h, 3d, 1w"
)


TextArgument = Annotated[str | None, typer.Argument(help="Words of a name, as in chairs.")]
LabelOption = Annotated[str | None, typer.Option("--label", help="The exact label.")]
NearOption = Annotated[
    str | None, typer.Option("--near", metavar="X,Y", help="Around a point, in metres.")
]
RadiusOption = Annotated[
    float | None, typer.Option("--radius", metavar="M", help="How far from it [default: 2].")
]
RoomOption = Annotated[int | None, typer.Option("--room", help="In a room, by its number.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Seen last at or after a time.")
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Seen last at or before a time.")
]
StateOption = Annotated[
    list[str] | None,
    typer.Option("--state", help="tentative, confirmed, suspect, archived; may be repeated."),
]
SimilarOption = Annotated[
    int | None, typer.Option("--similar", metavar="ID", help="What looks like a slot.")
]
AtOption = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="What was known then, and where.")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="At most so many.")]


def search_now(folder: Path, query: "SlotQuery", similar: int | None, json_: bool) -> None:
    """Print what is remembered and fulfils a query."""
    from memory.search.home import SlotSearch
    from memory.search.query import SlotQuery

    memory = SlotSearch(folder)
    if similar is not None:
        vector = memory.vector_of(similar)
        if vector is None:
            say(f"slot {similar} has no vector: it is not remembered, or no view of it is kept")
            raise typer.Exit(ExitCode.NOT_FOUND)
        query = replace(query, like=vector)
    slots = memory.find(query)
    if json_:
        print_json({"query": query.text, "slots": slots})
    else:
        print_found(slots)
    if not slots:
        known, rooms = memory.labels(), memory.rooms()
        hint = f"it knows: {', '.join(known)}" if known else "it has not seen any object yet"
        if query.room is not None and query.room not in rooms:
            named = ", ".join(map(str, rooms)) or "none yet"
            hint = f"there is no room {query.room}, rooms are: {named}"
        wanted = query.text or query.label or "object"
        everywhere = query == SlotQuery(text=query.text, label=query.label, limit=query.limit)
        where = "" if everywhere else " that meets all conditions"
        say(f"no {wanted}{where} is remembered; {hint}")
        raise typer.Exit(ExitCode.NOT_FOUND)


def search_past(
    folder: Path, query: "SlotQuery", stamp_ns: int, similar: int | None, json_: bool
) -> None:
    """Print what was known at a time and fulfils a query."""
    from memory.care.stats import newest_stamp_ns
    from memory.objects.timeline import read_timeline

    if similar is not None:
        raise refuse("--at does not go with --similar: the past is known by name, place and state")
    try:
        past = read_timeline(folder).slots_at(stamp_ns, query)
    except ValueError as error:
        raise refuse(f"--at does not go with the other options: {error}") from error
    found = [_past_row(slot) for slot in past]
    if json_:
        print_json({"query": query.text, "at_ns": stamp_ns, "slots": found})
    else:
        print_past(found, newest_stamp_ns(folder))
    if not found:
        say("nothing of that was known then")
        raise typer.Exit(ExitCode.NOT_FOUND)


def parse_time(text: str | None, option: str, folder: Path) -> int | None:
    """Return the stamp of a time, None for none; one without a zone is local.

    How long ago counts from the newest observation: the clock of a body need not be ours.

    Raises:
        typer.BadParameter: If it is none; says what is accepted.
    """
    if text is None:
        return None
    relative = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if relative:
        from memory.care.stats import newest_stamp_ns

        span_ns = round(float(relative[1]) * _UNITS_S[relative[2]] * 1e9)
        return newest_stamp_ns(folder) - span_ns
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
    """Print slots, with their room and likeness where those were looked up."""
    columns = {
        "id": "slot_id",
        "label": "label",
        "state": "state",
        "existence": "existence",
        "hits": "num_hits",
        "last_step": "last_seen_step",
        "room": "room",
        "likeness": "cosine",
    }
    shown = [
        header
        for header, name in columns.items()
        if header not in ("room", "likeness") or any(name in slot for slot in slots)
    ]
    headers = [*shown[:3], "x_m", "y_m", "z_m", *shown[3:]]
    rows = [[_shown(slot, columns[header]) for header in shown] for slot in slots]
    print_table(
        headers,
        [[*row[:3], *slot["xyz_m"], *row[3:]] for row, slot in zip(rows, slots, strict=True)],
    )


def _shown(slot: dict[str, Any], name: str) -> Any:
    # Room 0 is no room.
    return None if name == "room" and not slot.get(name) else slot.get(name)


def _past_row(slot: "PastSlot") -> dict[str, Any]:
    return {
        "slot_id": slot.slot_id,
        "now_id": slot.now_id,
        "label": slot.label,
        "xyz_m": slot.xyz_m.tolist(),
        "state": slot.state.value,
        "since_ns": slot.since_ns,
        "created_ns": slot.created_ns,
    }


def print_past(rows: list[dict[str, Any]], now_ns: int) -> None:
    """Print slots of the past, and for how long they had been so at the newest observation."""
    headers = ["id", "label", "state", "x_m", "y_m", "z_m", "since", "id_today"]
    print_table(
        headers,
        [
            [
                row["slot_id"],
                row["label"],
                row["state"],
                *row["xyz_m"],
                ago(row["since_ns"], now_ns),
                row["now_id"],
            ]
            for row in rows
        ],
    )


def refuse(message: str) -> typer.Exit:
    """Say why options do not go together; return what to raise."""
    typer.echo(f"error: {message}", err=True)
    return typer.Exit(ExitCode.USAGE)
