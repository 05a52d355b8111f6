"""Commands that copy the memory or take care of its files: memory export, compact."""

from pathlib import Path
from typing import Annotated

import typer

from agentd.commands.options import HomeOption, JsonOption, born_home
from agentd.commands.output import print_json, print_table, say
from agentd.commands.progress import Progress
from agentd.exit_codes import UsageError


def compact(home: HomeOption = None, json_: JsonOption = False) -> None:
    """Merge small files and drop replaced versions.

    A running life does this by itself and is not disturbed. Versions younger than half an hour
    stay, because a learning round may read them.

    Example: agentd memory compact
    """
    from memory.compact import compact_tables

    folder = born_home(home).memory_folder
    with Progress("compacting") as progress:
        done = compact_tables(folder, lambda name: progress.doing(f"compacting {name}"))
    if json_:
        print_json({"tables": [table.as_dict() for table in done]})
        return
    if not done:
        say("nothing is remembered yet")
    headers = ("table", "fragments", "before", "on_disk", "before_it_was")
    print_table(
        headers,
        [
            [t.name, t.fragments, t.fragments_before, t.disk_bytes, t.disk_bytes_before]
            for t in done
        ],
    )


def export(
    what: Annotated[str, typer.Argument(help="slots, changes or transitions.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="New .parquet, .arrow, .csv or .jsonl file.")
    ],
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Also images, surface points and vectors.")
    ] = False,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Copy slots, changes or transitions into a file.

    The ending chooses the format. The file is complete or absent; one that exists is not touched.

    Example: agentd memory export transitions life.parquet --pixels
    """
    from memory.export import export_table

    folder = born_home(home).memory_folder
    target = file.expanduser().absolute()
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}")
    try:
        with Progress(f"exporting {what}") as progress:
            rows = export_table(folder, what, target, pixels=pixels, on_progress=progress)
    except (ValueError, FileExistsError) as error:
        raise UsageError(str(error)) from error
    num_bytes = target.stat().st_size
    if json_:
        print_json({"file": str(target), "rows": rows, "bytes": num_bytes})
        return
    say(f"wrote {rows} rows of {what} ({num_bytes} bytes) to {target}")
