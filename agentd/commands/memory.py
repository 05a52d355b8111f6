"""Commands about the memory. They read the tables, not the life."""

import typer

from agentd.commands import memory_care, memory_fsck, memory_look
from agentd.commands.memory_search import (
    AtOption,
    LabelOption,
    LimitOption,
    NearOption,
    RadiusOption,
    RoomOption,
    SimilarOption,
    SinceOption,
    StateOption,
    TextArgument,
    UntilOption,
    parse_point,
    parse_states,
    parse_time,
    print_found,
    refuse,
    search_now,
    search_past,
)
from agentd.commands.options import HomeOption, JsonOption, born_home
from agentd.commands.output import print_json, say

app = typer.Typer(no_args_is_help=True, help="What is remembered, of a running or a stopped life.")


@app.command()
def search(
    text: TextArgument = None,
    label: LabelOption = None,
    near: NearOption = None,
    radius: RadiusOption = None,
    room: RoomOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    state: StateOption = None,
    similar: SimilarOption = None,
    at: AtOption = None,
    limit: LimitOption = 20,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Find remembered objects, the surest first.

    Conditions may be mixed: name, place, room, time, state, looks.
    TIME is a time as 2026-11-24 or 2026-11-24T18:30, or how long before its newest
    observation as 20m, 2h, 3d, 1w.
    """
    from memory.search.query import SlotQuery

    if near is None and radius is not None:
        raise refuse("--radius needs the point that it is measured from: add --near X,Y")
    folder = born_home(home).memory_folder
    try:
        query = SlotQuery(
            text=text,
            label=label,
            near_xy_m=None if near is None else parse_point(near, "--near"),
            radius_m=None if near is None else 2.0 if radius is None else radius,
            room=room,
            states=parse_states(state or []),
            last_seen_ns=(
                parse_time(since, "--since", folder),
                parse_time(until, "--until", folder),
            ),
            limit=limit,
        )
    except ValueError as error:
        raise refuse(str(error)) from error
    stamp_ns = parse_time(at, "--at", folder)
    if stamp_ns is not None:
        search_past(folder, query, stamp_ns, similar, json_)
    else:
        search_now(folder, query, similar, json_)


@app.command("list")
def list_(
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Show all remembered objects, the surest first."""
    from memory.search.home import list_slots

    slots = list_slots(born_home(home).memory_folder)
    if json_:
        print_json({"slots": slots})
        return
    if not slots:
        say("nothing is remembered yet")
    print_found(slots)


app.command()(memory_look.show)
app.command()(memory_look.changes)
app.command()(memory_look.stats)
app.command()(memory_care.compact)
app.command()(memory_care.plan)
app.command()(memory_care.export)
app.command()(memory_fsck.fsck)
