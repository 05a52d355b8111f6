"""Commands that copy the memory or take care of its size: memory export, compact, plan."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentd.commands.options import (
    HomeOption,
    JsonOption,
    ProfileOption,
    SetOption,
    born_home,
    load_settings,
)
from agentd.commands.output import print_json, print_table, say
from agentd.commands.progress import Progress
from agentd.exit_codes import UsageError

if TYPE_CHECKING:
    from memory.care.retention import Plan, Stratum


def compact(home: HomeOption = None, json_: JsonOption = False) -> None:
    """Merge small files and drop replaced versions.

    A running life does this by itself and is not disturbed. Versions younger than half an hour
    stay, because a learning round may read them.

    Example: agentd memory compact
    """
    from memory.care.upkeep import compact_tables

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
    from memory.care.export import export_table

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


def plan(
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Places and visits shown; JSON has all.")
    ] = 20,
    home: HomeOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Explain what would be dropped to keep the budget.

    The budget is memory.retention.budget_bytes; a running life keeps it by itself. This command
    drops nothing. First go frames of a standing body, then what is over the quota of its place
    and visit, last what surrounds changes, ends of goals and surprises.

    Example: agentd memory plan --set memory.retention.budget_bytes=2000000000
    """
    from memory.care.retention_apply import plan_for

    chosen = born_home(home)
    settings = load_settings(chosen, profile, set_).config.memory
    with Progress("planning"):
        made = plan_for(chosen.memory_folder, settings)
    if json_:
        print_json(made.as_dict())
        return
    _print_plan(made, limit)


def _print_plan(made: "Plan", limit: int) -> None:
    if made.budget_bytes is None:
        say("no budget is set (memory.retention.budget_bytes): nothing is ever dropped")
    elif made.is_empty:
        what = "nothing may go" if made.short_bytes else "nothing has to go"
        say(f"{made.bytes_now} of {made.budget_bytes} bytes: {what}")
    else:
        lost = ", ".join(f"{count} rows: {reason}" for reason, count in made.dropped.items())
        views = f"; {len(made.view_ids)} views beyond the most per slot" if made.view_ids else ""
        say(
            f"{made.bytes_now} bytes become {made.bytes_after}, the budget is "
            f"{made.budget_bytes}; {sum(made.dropped.values())} of {made.rows} rows go ({lost})"
            f"{views}"
        )
    if made.short_bytes:
        say(
            f"the rows that the learner needs take {made.short_bytes} bytes more than the budget: "
            "raise memory.retention.budget_bytes, or lower min_training_rows or min_probe_rows"
        )
    headers = ("x_m", "y_m", "visit", "steps", "rows", "bytes", "kept", "dropped", "why")
    print_table(
        headers, [_plan_row(stratum, made.bytes_per_row) for stratum in made.strata[:limit]]
    )
    if len(made.strata) > limit:
        say(f"and {len(made.strata) - limit} more; all of them: --json")


def _plan_row(stratum: "Stratum", bytes_per_row: float) -> list[object]:
    why = ", ".join(f"{count} {reason}" for reason, count in stratum.dropped.items())
    return [
        stratum.x_m,
        stratum.y_m,
        stratum.visit,
        f"{stratum.first_step}-{stratum.last_step}",
        stratum.rows,
        round(stratum.rows * bytes_per_row),
        stratum.rows - stratum.num_dropped,
        stratum.num_dropped,
        why or "-",
    ]
