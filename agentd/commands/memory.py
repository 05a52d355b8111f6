"""Commands about remembered objects: memory search, list. They read the tables, not the life."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentd.commands.memory_search import (
    parse_point,
    parse_states,
    parse_time,
    past_rows,
    print_found,
    print_past,
    refuse,
)
from agentd.commands.options import HomeOption, JsonOption, born_home
from agentd.commands.output import print_json, print_table, say
from agentd.exit_codes import ExitCode

if TYPE_CHECKING:
    from memory.query import SlotQuery

app = typer.Typer(no_args_is_help=True, help="Remembered objects, of a running or a stopped life.")


@app.command()
def search(
    text: Annotated[
        str | None, typer.Argument(help="Words of an object's name, as in chairs.")
    ] = None,
    label: Annotated[str | None, typer.Option("--label", help="The exact label.")] = None,
    near: Annotated[
        str | None, typer.Option("--near", metavar="X,Y", help="Around a point, in metres.")
    ] = None,
    radius: Annotated[
        float | None, typer.Option("--radius", metavar="M", help="How far from it [default: 2].")
    ] = None,
    room: Annotated[int | None, typer.Option("--room", help="In a room, by its number.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Seen last at or after a time.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Seen last at or before a time.")
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", help="tentative, confirmed, suspect, archived; may be repeated."),
    ] = None,
    similar: Annotated[
        int | None, typer.Option("--similar", metavar="ID", help="What looks like a slot.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="What was known then, and where.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 20,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Find remembered objects, the surest first.

    Conditions may be mixed: name, place, room, time, state, looks.
    TIME is a time as 2026-11-24 or 2026-11-24T18:30, or how long ago as 20m, 2h, 3d, 1w.
    """
    from memory.query import SlotQuery
    from memory.search import SlotSearch

    if near is None and radius is not None:
        raise refuse("--radius needs the point that it is measured from: add --near X,Y")
    try:
        query = SlotQuery(
            text=text,
            label=label,
            near_xy_m=None if near is None else parse_point(near, "--near"),
            radius_m=None if near is None else 2.0 if radius is None else radius,
            room=room,
            states=parse_states(state or []),
            last_seen_ns=(
                None if since is None else parse_time(since, "--since"),
                None if until is None else parse_time(until, "--until"),
            ),
            limit=limit,
        )
    except ValueError as error:
        raise refuse(str(error)) from error
    folder = born_home(home).memory_folder
    if at is not None:
        _search_past(folder, query, parse_time(at, "--at"), similar, json_)
        return
    memory = SlotSearch(folder)
    if similar is not None:
        vector = memory.vector_of(similar)
        if vector is None:
            say(f"slot {similar} has no vector: it is not remembered, or no view of it is kept")
            raise typer.Exit(ExitCode.NOT_FOUND)
        query = replace(query, like=vector)
    slots = memory.find(query)
    if json_:
        print_json({"query": text, "slots": slots})
    else:
        print_found(slots)
    if not slots:
        known, rooms = memory.labels(), memory.rooms()
        hint = f"it knows: {', '.join(known)}" if known else "it has not seen any object yet"
        if room is not None and room not in rooms:
            hint = f"there is no room {room}, rooms are: {', '.join(map(str, rooms)) or 'none yet'}"
        say(f"no {text or label or 'such object'} is remembered; {hint}")
        raise typer.Exit(ExitCode.NOT_FOUND)


def _search_past(
    folder: Path, query: "SlotQuery", stamp_ns: int, similar: int | None, json_: bool
) -> None:
    from memory.timeline import read_timeline

    if similar is not None:
        raise refuse("--at does not go with --similar: the past is known by name, place and state")
    try:
        found = past_rows(read_timeline(folder).slots_at(stamp_ns, query))
    except ValueError as error:
        raise refuse(f"--at does not go with the other options: {error}") from error
    if json_:
        print_json({"query": query.text, "at_ns": stamp_ns, "slots": found})
    else:
        print_past(found)
    if not found:
        say("nothing of that was known then")
        raise typer.Exit(ExitCode.NOT_FOUND)


@app.command("list")
def list_(
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Show all remembered objects, the surest first."""
    from memory.search import list_slots

    slots = list_slots(born_home(home).memory_folder)
    if json_:
        print_json({"slots": slots})
        return
    if not slots:
        say("nothing is remembered yet")
    _print_slots(slots)


def _print_slots(slots: list[dict[str, Any]]) -> None:
    headers = ("id", "label", "state", "x_m", "y_m", "z_m", "existence", "hits", "last_step")
    rows = [
        [
            slot["slot_id"],
            slot["label"],
            slot["state"],
            *slot["xyz_m"],
            slot["existence"],
            slot["num_hits"],
            slot["last_seen_step"],
        ]
        for slot in slots
    ]
    print_table(headers, rows)
