"""The exit codes of the command line, in one place, and the errors that carry them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a finished command says to the shell; `MEANINGS` has the words."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    LOCKED = 3
    NOT_RUNNING = 4
    DAMAGED = 5
    NOT_FOUND = 6
    NOT_YET = 7
    GOAL_MISSED = 8
    AWAY = 9
    WORLD_SILENT = 10
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.UNEXPECTED: "an unexpected error, or a failed check of `agentd doctor`",
    ExitCode.USAGE: "wrong usage, an unknown configuration key or an impossible value",
    ExitCode.LOCKED: "the life is already running, its home is locked",
    ExitCode.NOT_RUNNING: "no life is running in this home",
    ExitCode.DAMAGED: "home, checkpoint or table is damaged, or written by a newer format",
    ExitCode.NOT_FOUND: "there is no such life, goal, object or checkpoint",
    ExitCode.NOT_YET: "learning or evaluation is not possible yet",
    ExitCode.GOAL_MISSED: "the goal that was waited for failed or was cancelled",
    ExitCode.AWAY: "the tables lie on object storage that cannot be reached or refuses",
    ExitCode.WORLD_SILENT: "the world (the body) does not answer; the life was put away",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
}


class AgentdError(Exception):
    """An error that is explained by its message alone and ends the command with `exit_code`."""

    exit_code: ExitCode = ExitCode.UNEXPECTED


class NotFoundError(AgentdError):
    """What was asked for does not exist."""

    exit_code = ExitCode.NOT_FOUND


class NotYetError(AgentdError):
    """What was asked for needs more experience, or a checkpoint, first."""

    exit_code = ExitCode.NOT_YET


class UsageError(AgentdError):
    """The arguments of a command do not fit together."""

    exit_code = ExitCode.USAGE
