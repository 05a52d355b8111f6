"""The command that checks and repairs the memory: memory fsck."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentd.commands.options import HomeOption, JsonOption, born_home
from agentd.commands.output import print_json, say
from agentd.commands.progress import Progress
from agentd.exit_codes import ExitCode, UsageError

if TYPE_CHECKING:
    from memory.care.fsck_types import Finding


def fsck(
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what loses nothing that is readable.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --repair: only say what it would do.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read every pixel and vector: slow, complete.")
    ] = False,
    home: HomeOption = None,
    json_: JsonOption = False,
) -> None:
    """Check that all that is remembered can be read.

    Every table opens, steps increase, every view has a slot and its pixels, vectors belong to
    views and have one length per encoder, ids are unique and below the counters. Notes are
    harmless. Exit code 0 without errors, else 5. --repair needs a stopped life; what it replaces
    or removes is kept in a folder fsck-DATE beside the tables.

    Example: agentd memory fsck --repair --dry-run
    """
    if dry_run and not repair:
        raise UsageError("--dry-run says what --repair would do: give both")
    chosen = born_home(home)
    done: list[str] = []
    if repair and not dry_run:
        with chosen.locked():
            done, findings = _repaired(chosen.memory_folder, deep)
    else:
        findings = _checked(chosen.memory_folder, deep)
    num_errors = sum(finding.level == "error" for finding in findings)
    if json_:
        print_json({"done": done, "findings": [finding.as_dict() for finding in findings]})
    else:
        for text in done:
            typer.echo(f"DONE   {text}")
        for finding in findings:
            _print_finding(finding)
        counts = f"{num_errors} errors, {len(findings) - num_errors} notes"
        say("the memory is sound" if not findings else counts)
    if num_errors:
        raise typer.Exit(ExitCode.DAMAGED)


def _checked(folder: Path, deep: bool) -> "list[Finding]":
    from memory.care.fsck import check_memory

    with Progress("checking") as progress:
        return check_memory(folder, deep=deep, on_table=lambda n: progress.doing(f"checking {n}"))


def _repaired(folder: Path, deep: bool) -> "tuple[list[str], list[Finding]]":
    from memory.care.fsck_repair import repair_memory

    with Progress("checking") as progress:
        return repair_memory(folder, deep=deep, on_step=lambda n: progress.doing(f"checking {n}"))


def _print_finding(finding: "Finding") -> None:
    where = f"{finding.table} {finding.key}".strip()
    typer.echo(f"{finding.level.upper():<5}  {where}: {finding.found}")
    if finding.repair is not None:
        typer.echo(f"       repair would: {finding.repair.text}")
    elif finding.level == "error":
        typer.echo("       no repair without loss: restore it from a backup, or ask someone")
