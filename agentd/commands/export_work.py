"""What the command export does: finds the span and the body, writes, and tells."""

import contextlib
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agentd.commands.memory_search import parse_time
from agentd.commands.output import print_table, say
from agentd.commands.progress import Progress
from agentd.exit_codes import AgentdError, UsageError

if TYPE_CHECKING:
    from agentd.home import Home
    from configs.schema import AgentConfig
    from memory.export.span import Calendar
    from memory.records import BodySpec

_DURATION = re.compile(r"\d+(\.\d+)?[smhdw]")


class NoSpaceError(AgentdError):
    """The disk does not take what is exported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A span as a person gave it.

    Attributes:
        first: Step or time of its beginning.
        end: Step or time of its end.
        last: Its duration, up to the newest step.
        episode: The one episode.
    """

    first: str | None
    end: str | None
    last: str | None
    episode: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How it is to be written; see the options."""

    frame: Literal["body", "camera"]
    depth: Literal["png", "raw"]
    json_schemas: bool
    force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is written: rows of a life, and its body."""

    home: "Home"
    whole: "Calendar"
    span: "Calendar"
    spec: "BodySpec"


def targets_of(paths: Mapping[str, Path | None]) -> dict[str, Path]:
    """Return what to write where, by format.

    Raises:
        UsageError: If there is nothing, or no folder for it.
    """
    targets = {name: p.expanduser().absolute() for name, p in paths.items() if p is not None}
    if not targets:
        raise UsageError("name what to write: --mcap FILE, --lerobot FOLDER or --tum FILE")
    for target in targets.values():
        if not target.parent.is_dir():
            raise UsageError(f"there is no folder {target.parent}")
    return targets


def begin(home: "Home", bounds: Bounds, config: "AgentConfig") -> Work:
    """Return what is to be written; what the life goes on to do is not in it.

    Raises:
        UsageError: If the span makes no sense or is empty, or the body does not fit the images.
        NotEnoughDataError: If the life has no step yet.
    """
    from agentd.body_record import recorded_body
    from memory.export.span import read_calendar, read_shape

    folder = home.memory_folder
    whole = read_calendar(folder)
    span = _span(whole, folder, bounds)
    spec, shape = recorded_body(home, config), read_shape(folder)
    if (spec.height_px, spec.width_px) != (shape.height_px, shape.width_px):
        raise UsageError(
            f"the body has images of {spec.width_px} x {spec.height_px} pixels, the life stores "
            f"{shape.width_px} x {shape.height_px}: give the --profile and --set of its run"
        )
    return Work(home=home, whole=whole, span=span, spec=spec)


def _span(whole: "Calendar", folder: Path, bounds: Bounds) -> "Calendar":
    from memory.errors import NotEnoughDataError

    first, end, last, episode = bounds.first, bounds.end, bounds.last, bounds.episode
    ways = [first is not None or end is not None, last is not None, episode is not None]
    if sum(ways) > 1:
        raise UsageError("give --from and --to, or --last, or --episode: one of these ways")
    found: dict[str, int | None] = {"episode_id": episode}
    if last is not None:
        if _DURATION.fullmatch(last.strip()) is None:
            raise UsageError(f"--last {last!r} is no span; it takes a duration as 90s, 10m, 2h")
        found["from_ns"] = parse_time(last, "--last", folder)
    for text, option, step, stamp in (
        (first, "--from", "first_step", "from_ns"),
        (end, "--to", "last_step", "to_ns"),
    ):
        if text is not None and text.strip().isdigit():
            found[step] = int(text)
        elif text is not None:
            found[stamp] = parse_time(text, option, folder)
    try:
        return whole.part(**found)
    except NotEnoughDataError as error:
        raise UsageError(str(error)) from error


def write_all(work: Work, targets: dict[str, Path], wishes: Wishes) -> dict[str, dict[str, Any]]:
    """Write everything; return what was written, by format.

    Raises:
        UsageError: If something exists already, a library is missing, or it cannot be written.
        NoSpaceError: If the disk is full.
        StoreError: If the life cannot be read.
    """
    from memory.errors import DiskFullError, StoreError
    from memory.export.extras import MissingExtraError
    from memory.replay.spool import rows_waiting

    writers = {"mcap": _mcap, "lerobot": _lerobot, "tum": _tum}
    done: dict[str, dict[str, Any]] = {}
    waiting = rows_waiting(work.home.memory_folder)
    try:
        with _ended_politely(), Progress("exporting") as progress:
            for name, path in targets.items():
                progress.doing(f"exporting {path.name}")
                started = time.monotonic()
                found = writers[name](work, path, wishes, progress)
                seconds = round(time.monotonic() - started, 2)
                done[name] = {"path": str(path), **found, "seconds": seconds}
                if waiting:
                    found["notes"].append(f"{waiting} rows wait for their store and are not in it")
    except (FileExistsError, MissingExtraError) as error:
        raise UsageError(str(error)) from error
    except DiskFullError as error:
        raise NoSpaceError(str(error)) from error
    except StoreError:
        raise  # one of them is an OSError, too
    except OSError as error:
        raise UsageError(f"cannot write {error.filename or ''}: {error.strerror}") from error
    return done


def _mcap(work: Work, path: Path, wishes: Wishes, progress: Progress) -> dict[str, Any]:
    import agentd
    from agentd.export.happenings import read_record
    from agentd.export.mcap import Source, export_mcap

    source = Source(
        folder=work.home.memory_folder,
        span=work.span,
        newest_step=work.whole.last_step,
        spec=work.spec,
        record=read_record(work.home),
        facts={"life_id": work.home.read().life_id, "agentd_version": agentd.__version__},
    )
    report = export_mcap(
        source,
        path,
        force=wishes.force,
        depth=wishes.depth,
        json_schemas=wishes.json_schemas,
        on_progress=progress,
    )
    return {
        "rows": report.rows,
        "bytes": path.stat().st_size,
        "messages": report.counts,
        "types": report.kinds,
        "empty": report.empty,
        "notes": report.notes,
    }


def _lerobot(work: Work, path: Path, wishes: Wishes, progress: Progress) -> dict[str, Any]:
    from agentd.export.happenings import read_record
    from agentd.export.tasks import tasks_of
    from memory.export.lerobot import export_lerobot

    report = export_lerobot(
        work.home.memory_folder,
        work.span,
        work.spec,
        tasks_of(work.span.step, read_record(work.home).goals),
        path,
        force=wishes.force,
        on_progress=progress,
    )
    return {
        "rows": report.frames,
        "bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        "episodes": report.episodes,
        "tasks": report.tasks,
        "fps": report.fps,
        "notes": report.notes,
    }


def _tum(work: Work, path: Path, wishes: Wishes, progress: Progress) -> dict[str, Any]:
    from memory.export.tum import export_tum

    rows = export_tum(
        work.home.memory_folder,
        work.span,
        work.spec,
        path,
        frame=wishes.frame,
        force=wishes.force,
        on_progress=progress,
    )
    return {"rows": rows, "bytes": path.stat().st_size, "notes": []}


def tell(found: dict[str, Any]) -> None:
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
