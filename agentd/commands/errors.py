"""Turns errors into one sentence on standard error and the documented exit code."""

import os
from typing import Any

import typer
from typer.core import TyperGroup

from agentd.exit_codes import ExitCode


def exit_code_of(error: BaseException) -> ExitCode | None:
    """Return the exit code of an error whose message explains it, None for any other error."""
    from agentd.exit_codes import AgentdError
    from configs.errors import ConfigError
    from learners import errors as learners
    from memory import errors as memory
    from memory.logs.errors import LogError

    if isinstance(error, AgentdError):
        return error.exit_code
    table: dict[ExitCode, tuple[type[Exception], ...]] = {
        ExitCode.USAGE: (ConfigError, memory.PlaceError, learners.RecipeError, LogError),
        ExitCode.DAMAGED: (
            memory.DamagedTableError,
            memory.NewerFormatError,
            learners.DamagedCheckpointError,
            learners.NewerCheckpointError,
        ),
        ExitCode.NOT_FOUND: (learners.UnknownCheckpointError, learners.NothingToRollBackError),
        ExitCode.NOT_YET: (memory.NotEnoughDataError,),
        ExitCode.AWAY: (memory.StoreAwayError,),
    }
    return next((code for code, kinds in table.items() if isinstance(error, kinds)), None)


class ErrorGroup(TyperGroup):
    """The root of the commands: no error leaves it as a traceback, unless AGENTD_DEBUG=1."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands in groups, each under its heading."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is None or command.hidden:
                continue
            heading = getattr(command, "rich_help_panel", None)
            heading = heading if isinstance(heading, str) else "Commands"
            groups.setdefault(heading, []).append((name, command.get_short_help_str(70)))
        for heading, rows in groups.items():
            with formatter.section(heading):
                formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except Exception as error:
            if hasattr(error, "show") or os.environ.get("AGENTD_DEBUG") == "1":
                raise  # the parser's own errors show themselves
            code = exit_code_of(error)
            typer.echo(_sentence(error, code), err=True)
            raise typer.Exit(ExitCode.UNEXPECTED if code is None else code) from error


def _sentence(error: Exception, code: ExitCode | None) -> str:
    if code is not None:
        return f"error: {error}"
    return (
        f"unexpected error: {type(error).__name__}: {error}\n"
        f"(this is a bug or a broken installation: try `agentd doctor`; AGENTD_DEBUG=1 shows where)"
    )
