"""Starts a life in the background and stops it again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentd.client import Client, NotRunningError
from agentd.exit_codes import AgentdError, ExitCode
from agentd.home import Home, HomeLockedError

START_PATIENCE_S = 90.0
"""Loading torch and a house takes seconds; on a loaded machine much longer."""

PROGRAM = (sys.executable, "-P", "-m", "agentd")
"""-P: the folder that it runs in must not be searched for packages."""

_LOG_FILE = "agentd.log"
_LOG_KEEP_BYTES = 10_000_000
_POLL_S = 0.1


class StartFailedError(AgentdError):
    """The background process ended, or did not answer in time."""

    def __init__(self, message: str, exit_code: int) -> None:
        """Pass on the exit code of the process that ended."""
        super().__init__(message)
        known = exit_code in set(ExitCode)
        self.exit_code = ExitCode(exit_code) if known else ExitCode.UNEXPECTED


class StopFailedError(AgentdError):
    """The life did not end, neither when asked nor on SIGTERM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """How a life ended: `asked` over the socket or by `signal`."""

    how: str
    pid: int | None
    seconds: float


def start_life(
    home: Home,
    run_options: Sequence[str],
    *,
    patience_s: float = START_PATIENCE_S,
    program: Sequence[str] = PROGRAM,
) -> int:
    """Start `agentd run` detached from this terminal and wait until it answers.

    Args:
        home: The life's home.
        run_options: Further options of `agentd run`.
        patience_s: How long to wait for the first answer.
        program: What to start in place of agentd.

    Returns:
        The process id.

    Raises:
        HomeLockedError: If the life is running already.
        StartFailedError: If it ends before it answers, or takes too long.
    """
    holder = home.holder_pid()
    if holder is not None:
        raise HomeLockedError(
            f"the life in {home.path} is already running (process {holder or 'unknown'}); "
            f"ask it with: {home.command('status')}"
        )
    home.log_folder.mkdir(parents=True, exist_ok=True)
    log_path = home.log_folder / _LOG_FILE
    if log_path.exists() and log_path.stat().st_size > _LOG_KEEP_BYTES:
        log_path.replace(log_path.with_suffix(".1.log"))
    command = [*program, "run", "--home", str(home.path), "--no-view", *run_options]
    with log_path.open("ab") as log_file:
        offset = log_file.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + patience_s
    with Client(home.path) as client:
        while not client.is_running():
            code = process.poll()
            if code is not None:
                raise StartFailedError(_why_it_ended(log_path, offset, code), code)
            if time.monotonic() > deadline:
                raise StartFailedError(
                    f"process {process.pid} has not answered within {patience_s:g} s and goes on "
                    f"starting; watch {log_path}",
                    ExitCode.UNEXPECTED,
                )
            time.sleep(_POLL_S)
    process.returncode = 0  # it lives on its own: nobody here waits for it
    return process.pid


def _why_it_ended(log_path: Path, offset: int, code: int) -> str:
    with log_path.open("rb") as file:
        file.seek(offset)
        lines = file.read().decode(errors="replace").strip().splitlines()
    last = lines[-1] if lines else f"exit code {code}"
    return f"the life ended while starting: {last.removeprefix('error: ')} (log: {log_path})"


def stop_life(home: Home, *, drain_s: float = 10.0) -> Stopped:
    """Ask a life to stop, wait, then send SIGTERM and wait again. Never kills.

    Args:
        home: The life's home.
        drain_s: Time that each of the two ways gets.

    Raises:
        NotRunningError: If no process lives this life.
        StopFailedError: If it goes on after both.
    """
    started = time.monotonic()
    pid = home.holder_pid()
    if pid is None:
        raise NotRunningError(f"no life is running in {home.path}: there is nothing to stop")
    try:
        with Client(home.path, timeout_s=drain_s) as client:
            answer = client.call("stop")
        drain_s = max(drain_s, float(answer.get("drain_s", 0.0)) + 2.0)
        how = "asked"
    except AgentdError:  # starting, stopping or hanging: the signal is what is left
        how = "signal"
    if how == "asked" and _wait_until_free(home, drain_s):
        return Stopped(how=how, pid=pid or None, seconds=time.monotonic() - started)
    if pid and home.holder_pid() == pid:
        os.kill(pid, signal.SIGTERM)
    if _wait_until_free(home, drain_s):
        return Stopped(how="signal", pid=pid or None, seconds=time.monotonic() - started)
    raise StopFailedError(
        f"process {pid or 'unknown'} still lives in {home.path} after "
        f"{time.monotonic() - started:.0f} s and SIGTERM; see {home.log_folder / _LOG_FILE}. "
        f"`kill -9 {pid or 'PID'}` ends it and loses at most the last seconds"
    )


def _wait_until_free(home: Home, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while home.holder_pid() is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
