"""The process that Ray's driver runs in, seen from the process that asks it. No ray here.

The driver talks in JSON lines over pipes: one whose raylet or GCS dies is ended by Ray, installs
signal handlers and exit hooks, and none of that may reach the process that asks. When that one is
gone, even by SIGKILL, the driver reads the end of its input and takes Ray down with it.
"""

import atexit
import contextlib
import json
import os
import queue
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

import psutil

from learners.config import RayConfig

_MAX_TEMP_DIR_BYTES = 40
"""Ray's socket paths add some 65 bytes; the system allows 107."""

_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Buffers of a batch are reused instead of being given back at every step.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(512 * 2**20),
    # What one thread of the store decoded into is used again, whichever comes next.
    "MALLOC_ARENA_MAX": "1",
}
_SERVERS = ("gcs_server", "raylet")
"""Without these nothing works; Ray's own clients notice after a minute or never."""

_CLOSE_S = 5.0
_OWN_SESSION = "AGENTD_OWN_SESSION"
_SESSION_NICE = 5
"""A third of the agent's share where they compete. Not less: Ray's servers are in that session, and
a busy machine must not starve them until they are taken for dead."""


def session_nice() -> int:
    """Return how far a worker's session gives way: not at all where Ray is somebody else's."""
    return _SESSION_NICE if _OWN_SESSION in os.environ else 0


class RayDriver:
    """Starts, asks and ends a driver. No method raises or waits for Ray, but for `close`.

    Args:
        config: Where tasks run.
        temp_dir: Folder for Ray's sockets and logs; a short one is made if the path is too long.
        module: What the process runs; reads the configuration, then what is asked.
    """

    def __init__(self, config: RayConfig, temp_dir: Path, module: str) -> None:
        self._config, self._wanted_dir, self._module = config, temp_dir, module
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self._failure: str | None = None
        self._made_dir: Path | None = None
        self._known: dict[int, psutil.Process] = {}
        self._servers: dict[psutil.Process, str] = {}

    def start(self) -> None:
        """Start Ray in the background, unless it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        self._end_processes()
        try:
            folder = self._temp_dir()
            # Ray's own processes inherit this environment.
            environment = os.environ | _ENVIRONMENT
            if self._config.address is None:
                # Known to this Ray alone; without it Ray would write one into the user's home.
                environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
                environment |= {_OWN_SESSION: "1"}
            with (folder / "driver.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", self._module],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=environment,
                    # Ctrl-C is for the agent, which then closes this in order.
                    start_new_session=True,
                )
        except OSError as error:
            self._failure = f"Ray cannot be started: {error}"
            return
        self._process = process
        self._answers = queue.Queue()
        assert process.stdin is not None
        assert process.stdout is not None
        threading.Thread(
            target=read_lines,
            args=(process.stdout, self._answers),
            name="ray-answers",
            daemon=True,
        ).start()
        atexit.register(self.close)
        self._send({"ray": self._config.model_dump(), "temp_dir": str(folder)})

    def pids(self) -> list[int]:
        """Return the processes of Ray, the driver among them."""
        self._note_pids()
        return sorted(pid for pid, process in self._known.items() if _is_alive(process))

    def close(self) -> None:
        """End Ray; no process stays. What runs is given up. Quiet when called twice."""
        atexit.unregister(self.close)
        self._note_pids()
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_CLOSE_S)
        self._end_processes()
        if self._made_dir is not None:
            shutil.rmtree(self._made_dir, ignore_errors=True)
            self._made_dir = None

    def _answer(self, wait_s: float = 0.0) -> str | None:
        """Return the next line of the driver, None if there is none yet or it failed.

        After None, `_failure` says whether more can come.

        Args:
            wait_s: How long to wait for a line.
        """
        self._note_pids()
        if self._failure is None:
            if line := self._line(wait_s):
                return line
            dead = self._dead_server()
            if dead is not None:
                self._failure = f"Ray's {dead} died"
                self._end_processes()
            process = self._process
            if self._failure is None and (process is None or process.poll() is not None):
                # The last answer may have arrived since the look above.
                if line := self._line():
                    return line
                code = None if process is None else process.returncode
                self._failure = f"Ray ended unexpectedly (exit code {code}); see driver.log"
        return None

    def _line(self, wait_s: float = 0.0) -> str:
        """Return a line that has arrived; empty if there is none, or the driver's output ended."""
        try:
            return self._answers.get(block=wait_s > 0, timeout=wait_s)
        except queue.Empty:
            return ""

    def _temp_dir(self) -> Path:
        folder = self._wanted_dir.absolute()
        if len(os.fsencode(folder)) > _MAX_TEMP_DIR_BYTES:
            if self._made_dir is None:
                self._made_dir = Path(tempfile.mkdtemp(prefix="ray-"))
            folder = self._made_dir
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _send(self, message: dict[str, Any]) -> None:
        if self._process is None or self._process.stdin is None:
            return
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            self._failure = f"Ray's driver does not listen: {error}"

    def _note_pids(self) -> None:
        """Remember Ray's processes: those of a dead driver belong to nobody any more."""
        if self._process is None or self._process.poll() is not None:
            return
        self._known = {pid: p for pid, p in self._known.items() if p.is_running()}
        with contextlib.suppress(psutil.Error):
            driver = psutil.Process(self._process.pid)
            for process in (driver, *driver.children(recursive=True)):
                if process.pid not in self._known:
                    self._known[process.pid] = process
                    if process.name() in _SERVERS:
                        self._servers[process] = process.name()

    def _dead_server(self) -> str | None:
        for process, name in self._servers.items():
            if not _is_alive(process):
                return name
        return None

    def _end_processes(self) -> None:
        left = [p for p in self._known.values() if p.is_running()]
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=_CLOSE_S)
        if self._process is not None:
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        self._process, self._known, self._servers = None, {}, {}


def read_lines(stream: IO[str], out: "queue.Queue[str]") -> None:
    """Pass lines on; an empty one means the end."""
    with contextlib.suppress(OSError, ValueError):
        for line in stream:
            out.put(line)
    out.put("")


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
