"""Commands that look into the memory: memory stats, show, changes. They change nothing."""

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentd.commands.options import HomeOption, JsonOption, born_home
from agentd.commands.output import is_terminal, print_json, print_table, say
from agentd.commands.progress import Progress
from agentd.exit_codes import NotFoundError, UsageError

if TYPE_CHECKING:
    from memory.care.dossier import Dossier
    from memory.care.stats import MemoryStats

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def stats(home: HomeOption = None, json_: JsonOption = False) -> None:
    """Show how much is remembered and what it costs.

    Rows, bytes, fragments and versions of every table; episodes; slots by state; vectors by
    encoder; the newest stamps (time of the life's sensors).

    Example: agentd memory stats --json
    """
    from memory.care.stats import memory_stats

    folder = born_home(home).memory_folder
    with Progress("reading the tables"):
        found = memory_stats(folder)
    if json_:
        print_json(found.as_dict())
        return
    if not found.tables:
        say("nothing is remembered yet")
        return
    _print_stats(found)


def show(
    slot_id: Annotated[int, typer.Argument(metavar="ID", min=1, help="Number of a slot.")],
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Show one remembered object with all that is known.

    Label votes, position with its standard deviation, state, views (number, side, size), and its
    log; on a colour terminal its largest crop, too. Ids: agentd memory list.

    Example: agentd memory show 12
    """
    from memory.care.access import plain
    from memory.care.dossier import read_changes, read_dossier

    folder = born_home(home).memory_folder
    found = read_dossier(folder, slot_id)
    if found is None:
        log = read_changes(folder, slot_id=slot_id)
        fate = f"; its log ends with: {_sentence(log[-1])}" if log else ""
        raise NotFoundError(f"no object has the id {slot_id}{fate}; ids: agentd memory list")
    if json_:
        data = {"slot": found.slot, "views": found.views, "changes": found.changes}
        print_json(plain({**data, "encoders": found.encoders}))
        return
    _print_slot(found)


def changes(
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="2h or 3d before the newest entry, a date, or a step number.",
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", help="Only this label.", show_default=False)
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="created, confirmed, suspect, archived, moved, merged, dropped or failed.",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Show what changed and which goals failed, newest last.

    Example: agentd memory changes --since 2h --kind moved
    """
    from memory.care.access import plain
    from memory.care.dossier import read_changes
    from memory.objects.changes import ChangeKind

    folder = born_home(home).memory_folder
    kinds = [known.value for known in ChangeKind]
    if kind is not None and kind not in kinds:
        raise UsageError(f"--kind {kind}: expected one of {', '.join(kinds)}")
    since_ns, since_step = _since(folder, since)
    chosen = None if kind is None else ChangeKind(kind)
    rows = read_changes(folder, since_ns=since_ns, label=label, kind=chosen)
    rows = [row for row in rows if row["step"] >= since_step]
    if json_:
        print_json({"changes": plain(rows)})
        return
    if not rows:
        say("no such change is logged")
    _print_changes(rows)


def _since(folder: Path, text: str | None) -> tuple[int | None, int]:
    """Return the oldest stamp and step asked for; spans count back from the newest observation."""
    from memory.care.stats import newest_stamp_ns

    if text is None:
        return None, 0
    if text.isdecimal():
        return None, int(text)
    span = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if span is not None:
        return newest_stamp_ns(folder) - round(float(span[1]) * _UNITS_S[span[2]] * 1e9), 0
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1e9), 0
    except ValueError:
        raise UsageError(
            f"--since {text}: expected a span like 90s, 30m, 2h or 3d, a date like 2026-11-24 or "
            "2026-11-24T18:00, or a step number"
        ) from None


def _print_stats(found: "MemoryStats") -> None:
    headers = ("table", "rows", "bytes", "bytes_per_row", "on_disk", "fragments", "versions")
    rows = [
        [t.name, t.rows, t.bytes, t.bytes_per_row, t.disk_bytes, t.fragments, t.versions]
        for t in found.tables
    ]
    print_table(headers, rows)
    facts = {
        "steps": f"{found.steps} in {found.episodes} episodes"
        + (f", {found.first_step} to {found.last_step}" if found.steps else ""),
        "slots": _counts(found.slots),
        "views": str(found.views),
        "vectors": _counts(found.embeddings),
        "changes": _counts(found.changes),
        "newest": ", ".join(
            f"{name} {stamp_ns / 1e9:.1f} s"
            for name, stamp_ns in found.newest_ns.items()
            if stamp_ns is not None
        ),
        "on disk": f"{found.disk_bytes} bytes",
    }
    _print_facts(facts)


def _print_slot(found: "Dossier") -> None:
    slot = found.slot
    place, sigma = (", ".join(f"{v:.2f}" for v in slot[key]) for key in ("xyz_m", "sigma_m"))
    _print_facts(
        {
            "object": f"{slot['label']} (id {slot['slot_id']}), {slot['state']}",
            "votes": ", ".join(
                f"{label} {score:.1f}"
                for label, score in sorted(slot["votes"].items(), key=lambda vote: -vote[1])
            ),
            "at": f"{place} m, sigma {sigma} m",
            "size": f"{' x '.join(f'{v:.2f}' for v in slot['extent_m'])} m",
            "existence": f"{slot['existence']:.2f} (log-odds)",
            "seen": f"{slot['num_hits']} times, from step {slot['first_seen_step']} "
            f"to {slot['last_seen_step']}",
            "vectors": _counts(found.encoders),
        }
    )
    if found.views:
        typer.echo()
        keys = ("view_id", "side", "bearing_deg", "crop_px", "num_px", "range_m", "bytes")
        print_table(keys, [[view[key] for key in keys] for view in found.views])
        if is_terminal():
            _draw(found.crops[found.views[0]["view_id"]])
    if found.changes:
        typer.echo()
        _print_changes(found.changes)


def _draw(crop: Any) -> None:
    from rich.console import Console

    from agentd.view.blocks import BlockPicture

    console = Console()
    if console.color_system is not None and not console.no_color:
        console.print()
        console.print(BlockPicture(crop))


def _print_changes(rows: list[dict[str, Any]]) -> None:
    headers = ("event", "step", "time_s", "what", "slot", "label", "x_m", "y_m", "from")
    cells = [
        [
            row["event_id"],
            row["step"],
            row["stamp_ns"] / 1e9,
            row["kind"],
            row["slot_id"],
            row["label"],
            *row["xyz_m"][:2],
            _place(row["from_xyz_m"]),
        ]
        for row in rows
    ]
    print_table(headers, cells)


def _place(xyz_m: list[float] | None) -> str | None:
    return None if xyz_m is None else f"{xyz_m[0]:.2f},{xyz_m[1]:.2f}"


def _sentence(row: dict[str, Any]) -> str:
    return f"{row['label']} {row['kind']} at step {row['step']}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _print_facts(facts: dict[str, str]) -> None:
    for name, value in facts.items():
        typer.echo(f"{name:<10} {value}")
