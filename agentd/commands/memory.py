"""Commands about remembered objects: memory search, list. They read the tables, not the life."""

from typing import Annotated, Any

import typer

from agentd.commands.options import HomeOption, JsonOption, born_home
from agentd.commands.output import print_json, print_table, say
from agentd.exit_codes import ExitCode

app = typer.Typer(no_args_is_help=True, help="Remembered objects, of a running or a stopped life.")


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="Name of an object, as in chair.")],
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 20,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Find remembered objects by name, the surest first."""
    from memory.search import list_slots, search_home

    folder = born_home(home).memory_folder
    slots = search_home(folder, text, limit)
    if json_:
        print_json({"query": text, "slots": slots})
    else:
        _print_slots(slots)
    if not slots:
        known = sorted({slot["label"] for slot in list_slots(folder)})
        hint = f"it knows: {', '.join(known)}" if known else "it has not seen any object yet"
        say(f"no {text} is remembered; {hint}")
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
