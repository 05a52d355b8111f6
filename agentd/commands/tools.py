"""Commands that help: doctor, tui, report."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from agentd.commands.options import (
    HomeOption,
    JsonOption,
    ProfileOption,
    SetOption,
    born_home,
    load_settings,
    open_home,
)
from agentd.commands.output import print_json, say
from agentd.exit_codes import AgentdError, ExitCode, NotFoundError, UsageError

if TYPE_CHECKING:
    from agentd.doctor import Finding
    from agentd.home import Home

_MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


class DamagedReportError(AgentdError):
    """The life report cannot be read."""

    exit_code = ExitCode.DAMAGED


def doctor(
    body: Annotated[
        str | None,
        typer.Argument(help="Check what this body needs instead: habitat.", show_default=False),
    ] = None,
    home: HomeOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Check machine, installation and home, or what a body needs.

    Every line is ok, WARN or FAIL with a repair. Changes nothing.
    """
    findings = _examine(body, open_home(home), profile, set_)
    if json_:
        print_json({"findings": [finding.as_dict() for finding in findings]})
    else:
        for finding in findings:
            typer.echo(f"{_MARKS[finding.level]}  {finding.check}: {finding.found}")
            if finding.fix:
                typer.echo(f"      fix: {finding.fix}")
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(ExitCode.UNEXPECTED)


def _examine(
    body: str | None, home: "Home", profile: str | None, set_: list[str] | None
) -> "list[Finding]":
    """Return what is found of the machine, or of what one body needs."""
    if body is None:
        from agentd.doctor import examine

        return examine(home)
    if body == "habitat":
        from agentd.worlds.habitat.examination import examine_habitat

        return examine_habitat(load_settings(home, profile, set_).config.world.habitat)
    raise UsageError(f"there is no examination of the body {body!r}; there is: habitat")


def tui(home: HomeOption = None) -> None:
    """Watch a running life on one screen.

    Map, objects, curves, events. Closing it stops nothing.
    """
    from agentd.client import Client

    chosen = open_home(home)
    if chosen.holder_pid() is None:
        with Client(chosen.path) as client:
            client.call("status")  # tells in one sentence that there is nothing to watch
    from agentd.tui.app import run_tui

    raise typer.Exit(run_tui(chosen.path))


def report(home: HomeOption = None, json_: JsonOption = False) -> None:
    """Show the report of the last run that ended."""
    chosen = born_home(home)
    path = chosen.log_folder / "report.json"
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no report in {chosen.path} yet: it is written when a run ends; "
            f"ask the running life with: {chosen.command('status')}"
        ) from None
    except ValueError as error:
        raise DamagedReportError(
            f"{path} is damaged ({error}); the next run that ends writes a new one"
        ) from error
    if json_:
        print_json(data)
        return
    from agentd.report import print_report

    print_report(data)
    say(f"from {path}")
