"""The command export: a life in the formats of others."""

import contextlib
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agentd.commands.memory_search import parse_time
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
from agentd.exit_codes import AgentdError, UsageError

if TYPE_CHECKING:
    from agentd.export.mcap import Source
    from agentd.home import Home
    from memory.export.span import Calendar
    from memory.records import BodySpec


_DURATION = re.compile(r"\d+(\.\d+)?[smhdw]")


class NoSpaceError(AgentdError):
    """The disk does not take what is exported."""


def export(
    mcap: Annotated[
        Path | None,
        typer.Option("--mcap", metavar="FILE", help="MCAP, for Foxglove, Rerun and ROS 2 tools."),
    ] = None,
    lerobot: Annotated[
        Path | None,
        typer.Option("--lerobot", metavar="FOLDER", help="LeRobot dataset (v3.0)."),
    ] = None,
    tum: Annotated[
        Path | None, typer.Option("--tum", metavar="FILE", help="Trajectory as TUM text.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="STEP|TIME", help="From there on.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="STEP|TIME", help="Up to there, it included.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--last", metavar="SPAN", help="The newest, as 90s, 10m, 2h.")
    ] = None,
    episode: Annotated[int | None, typer.Option("--episode", min=0, help="One episode.")] = None,
    frame: Annotated[
        Literal["body", "camera"], typer.Option("--frame", help="Whose trajectory --tum writes.")
    ] = "body",
    depth: Annotated[
        Literal["png", "raw"],
        typer.Option("--depth", help="MCAP: 16-bit PNG, or raw images (viewers make clouds)."),
    ] = "png",
    json_schemas: Annotated[
        bool,
        typer.Option(
            "--json-schemas",
            help="MCAP: schema records for JSON channels. Foxglove completes names; rosbags "
            "cannot open the file.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what is there, once the new one is whole.")
    ] = False,
    home: HomeOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Write a life, or a span of it, in open formats.

    Works while the life runs: what comes later is left out. TIME is a time as 2026-11-24T18:30, or
    how long before the newest observation, as 20m. A file is complete or absent.

    Example: agentd export --mcap life.mcap --last 10m
    """
    targets = {"--mcap": mcap, "--lerobot": lerobot, "--tum": tum}
    wanted = {name: _target(path) for name, path in targets.items() if path is not None}
    if not wanted:
        raise UsageError("name what to write: --mcap FILE, --lerobot FOLDER or --tum FILE")
    from memory.errors import DiskFullError, StoreError
    from memory.export.extras import MissingExtraError
    from memory.export.span import read_calendar

    chosen = born_home(home)
    whole = read_calendar(chosen.memory_folder)
    span = _span(whole, chosen.memory_folder, from_, to, last, episode)
    spec = _body(chosen, profile, set_)
    done: dict[str, dict[str, Any]] = {}
    try:
        with _ended_politely(), Progress("exporting") as progress:
            for name, path in wanted.items():
                progress.doing(f"exporting {path.name}")
                started = time.monotonic()
                if name == "--mcap":
                    source = _source(chosen, whole, span, spec)
                    found = _mcap(source, path, progress, force=force, json_schemas=json_schemas)
                elif name == "--lerobot":
                    found = _lerobot(chosen, span, spec, path, progress, force=force)
                else:
                    found = _tum(chosen, span, spec, path, frame, progress, force=force)
                found["seconds"] = round(time.monotonic() - started, 2)
                done[name.removeprefix("--")] = found
    except (FileExistsError, MissingExtraError) as error:
        raise UsageError(str(error)) from error
    except DiskFullError as error:
        raise NoSpaceError(str(error)) from error
    except StoreError:
        raise  # one of them is an OSError, too
    except OSError as error:
        raise UsageError(f"cannot write {error.filename or ''}: {error.strerror}") from error
    if json_:
        print_json({"steps": [span.first_step, span.last_step], **done})
        return
    for found in done.values():
        _tell(found)


def _target(path: Path) -> Path:
    target = path.expanduser().absolute()
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}")
    return target


def _span(
    whole: "Calendar",
    folder: Path,
    from_: str | None,
    to: str | None,
    last: str | None,
    episode: int | None,
) -> "Calendar":
    """Return the rows that were asked for."""
    from memory.errors import NotEnoughDataError

    ways = [from_ is not None or to is not None, last is not None, episode is not None]
    if sum(ways) > 1:
        raise UsageError("give --from and --to, or --last, or --episode: one of these ways")
    bounds: dict[str, int | None] = {"episode_id": episode}
    if last is not None:
        if _DURATION.fullmatch(last.strip()) is None:
            raise UsageError(f"--last {last!r} is no span; it takes a duration as 90s, 10m, 2h")
        bounds["from_ns"] = parse_time(last, "--last", folder)
    for text, option, names in (
        (from_, "--from", ("first_step", "from_ns")),
        (to, "--to", ("last_step", "to_ns")),
    ):
        if text is not None and text.strip().isdigit():
            bounds[names[0]] = int(text)
        elif text is not None:
            bounds[names[1]] = parse_time(text, option, folder)
    try:
        return whole.part(**bounds)
    except NotEnoughDataError as error:
        raise UsageError(str(error)) from error


def _body(home: "Home", profile: str | None, set_: list[str] | None) -> "BodySpec":
    """Return the body, checked against the images that are stored."""
    from agentd.body_record import recorded_body
    from memory.export.span import read_shape

    spec = recorded_body(home, load_settings(home, profile, set_).config)
    shape = read_shape(home.memory_folder)
    if (spec.height_px, spec.width_px) != (shape.height_px, shape.width_px):
        raise UsageError(
            f"the body has images of {spec.width_px} x {spec.height_px} pixels, the life stores "
            f"{shape.width_px} x {shape.height_px}: give the --profile and --set of its run"
        )
    return spec


def _source(home: "Home", whole: "Calendar", span: "Calendar", spec: "BodySpec") -> "Source":
    import agentd
    from agentd.export.happenings import read_record
    from agentd.export.mcap import Source

    record = home.read()
    return Source(
        folder=home.memory_folder,
        span=span,
        newest_step=whole.last_step,
        spec=spec,
        record=read_record(home),
        facts={"life_id": record.life_id, "agentd_version": agentd.__version__},
    )


def _mcap(
    source: "Source", path: Path, progress: Progress, *, force: bool, json_schemas: bool
) -> dict[str, Any]:
    from agentd.export.mcap import export_mcap

    report = export_mcap(source, path, force=force, json_schemas=json_schemas, on_progress=progress)
    return {
        "path": str(path),
        "rows": report.rows,
        "bytes": path.stat().st_size,
        "messages": report.counts,
        "types": report.kinds,
        "empty": report.empty,
        "notes": report.notes,
    }


def _lerobot(
    home: "Home",
    span: "Calendar",
    spec: "BodySpec",
    path: Path,
    progress: Progress,
    *,
    force: bool,
) -> dict[str, Any]:
    from agentd.export.happenings import read_record
    from agentd.export.tasks import tasks_of
    from memory.export.lerobot import export_lerobot

    record = read_record(home)
    report = export_lerobot(
        home.memory_folder,
        span,
        spec,
        tasks_of(span.step, record.goals),
        path,
        force=force,
        on_progress=progress,
    )
    return {
        "path": str(path),
        "rows": report.frames,
        "bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        "episodes": report.episodes,
        "tasks": report.tasks,
        "fps": report.fps,
        "notes": report.notes,
    }


def _tum(
    home: "Home",
    span: "Calendar",
    spec: "BodySpec",
    path: Path,
    frame: Literal["body", "camera"],
    progress: Progress,
    *,
    force: bool,
) -> dict[str, Any]:
    from memory.export.tum import export_tum

    rows = export_tum(
        home.memory_folder, span, spec, path, frame=frame, force=force, on_progress=progress
    )
    return {"path": str(path), "rows": rows, "bytes": path.stat().st_size, "notes": []}


def _tell(found: dict[str, Any]) -> None:
    """Tell what was written, and of MCAP what each channel holds."""
    if "messages" in found:
        rows = [
            [topic, found["types"][topic], count, found["empty"].get(topic, "")]
            for topic, count in found["messages"].items()
        ]
        print_table(("topic", "type", "messages", "why_none"), rows)
    say(f"wrote {found['rows']} steps ({found['bytes']} bytes) to {found['path']}")
    for note in found["notes"]:
        say(f"note: {note}")


@contextlib.contextmanager
def _ended_politely() -> Iterator[None]:
    """Let what is half-written be removed when the process is told to end."""

    def end(signum: int, frame: object) -> None:
        sys.exit(128 + signum)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
