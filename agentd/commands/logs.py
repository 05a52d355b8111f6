"""The command `agentd logs`: what happened, from the files of a home."""

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentd.commands.options import HomeOption, JsonOption, born_home
from agentd.commands.output import say
from agentd.exit_codes import UsageError

if TYPE_CHECKING:
    from agentd.home import Home

KINDS = ("mode", "goal", "learning", "memory", "world", "safety", "life")
_FILES = ("events", "guardian")
_LOOK_S = 0.3


def logs(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")
    ] = False,
    num: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", min=0, help="So many of the newest.")
    ] = 50,
    kind: Annotated[
        str, typer.Option("--kind", metavar="A,B", help=f"Only these: {', '.join(KINDS)}.")
    ] = "",
    grep: Annotated[
        str, typer.Option("--grep", metavar="TEXT", help="Only events with this text in them.")
    ] = "",
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Show what happened, oldest first.

    Also of a life that is stopped, and what its guardian did. With --json one object a line. Ends
    on Ctrl-C.

    Example: agentd logs -f --kind safety,goal
    """
    kinds = _kinds(kind)
    chosen = born_home(home)
    sources = [_Source(chosen.log_folder / f"{name}.jsonl") for name in _FILES]

    def wanted(event: dict[str, Any]) -> bool:
        return (not kinds or event["kind"] in kinds) and grep.lower() in event["text"].lower()

    found = [event for event in _merged(sources) if wanted(event)]
    for event in found[-num:] if num else []:
        _print(event, json_=json_)
    if not found and not follow:
        say(f"nothing so far in {chosen.log_folder}")
    if follow:
        _follow(chosen, sources, wanted, json_=json_)


class _Source:
    """Reads a file of events that grows, and is put aside and begun anew when it is long."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._file_id = -1
        self._is_first = True

    def new(self) -> Iterator[dict[str, Any]]:
        """Yield what came since the last call; at first everything."""
        older = self._path.with_suffix(".1.jsonl")
        if self._is_first:
            self._is_first = False
            yield from _events(_text(older, 0)[0])
        try:
            file_id = self._path.stat().st_ino
        except OSError:
            return
        if self._file_id not in (-1, file_id):  # the rest of what was put aside
            yield from _events(_text(older, self._at)[0])
            self._at = 0
        self._file_id = file_id
        text, self._at = _text(self._path, self._at)
        yield from _events(text)


def _text(path: Path, at: int) -> tuple[str, int]:
    """Return whole lines from a position on, and where they end."""
    try:
        with path.open("rb") as file:
            file.seek(at)
            data = file.read()
    except OSError:
        return "", at
    end = data.rfind(b"\n") + 1
    return data[:end].decode("utf-8", "replace"), at + end


def _events(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a line that a power cut tore
        if isinstance(event, dict) and {"stamp_ns", "kind", "text", "step"} <= event.keys():
            yield event


def _merged(sources: list[_Source]) -> list[dict[str, Any]]:
    events = [event for source in sources for event in source.new()]
    return sorted(events, key=lambda event: int(event["stamp_ns"]))


def _follow(home: "Home", sources: list[_Source], wanted: Any, *, json_: bool) -> None:
    if home.holder_pid() is None:
        say(f"the life is not running; what it does once it runs is shown here: {home.path}")
    waiting = Event()
    while not waiting.wait(_LOOK_S):
        for event in _merged(sources):
            if wanted(event):
                _print(event, json_=json_)


def _kinds(text: str) -> set[str]:
    kinds = {word.strip() for word in text.split(",") if word.strip()}
    unknown = kinds - set(KINDS)
    if unknown:
        raise UsageError(f"--kind {sorted(unknown)[0]}: accepted: {', '.join(KINDS)}")
    return kinds


def _print(event: dict[str, Any], *, json_: bool) -> None:
    from datetime import UTC, datetime

    if json_:
        typer.echo(json.dumps(event))
        return
    when = datetime.fromtimestamp(event["stamp_ns"] / 1e9, UTC).astimezone()
    typer.echo(f"{when:%Y-%m-%d %H:%M:%S}  {event['kind']:<8} {event['step']:>8}  {event['text']}")
