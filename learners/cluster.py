"""Learning rounds in Ray workers. The only file that imports ray.

Ray's driver runs in a process of its own, which talks to the agent in JSON lines over pipes: a
driver whose raylet or GCS dies is ended by Ray, installs signal handlers and exit hooks, and none
of that may reach the process that acts. When the agent is gone, even by SIGKILL, the driver reads
the end of its input and takes Ray down with it.
"""

import atexit
import contextlib
import json
import logging
import os
import queue
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

import psutil
from pydantic import ValidationError

from learners.config import RayConfig
from learners.round_spec import RoundFailure, RoundResult, RoundSpec

NAMESPACE = "agentd"

_MAX_TEMP_DIR_BYTES = 40
"""Ray's socket paths add some 65 bytes; the system allows 107."""

_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Buffers of a batch are reused instead of being given back at every step.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(512 * 2**20),
}
_SERVERS = ("gcs_server", "raylet")
"""Without these nothing works; Ray's own clients notice after a minute or never."""

_CLOSE_S = 5.0
_MAX_RETRIES = 1
_log = logging.getLogger(__name__)


class RayRounds:
    """Runs one round at a time, elsewhere. No method raises or waits for Ray, but for `close`.

    Args:
        config: Where rounds run.
        temp_dir: Folder for Ray's sockets and logs; a short one is made if the path is too long.
    """

    def __init__(self, config: RayConfig, temp_dir: Path) -> None:
        self._config, self._wanted_dir = config, temp_dir
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self._failure: str | None = None
        self._busy = False
        self._submitted_s = 0.0
        self._made_dir: Path | None = None
        self._known: dict[int, psutil.Process] = {}
        self._servers: dict[psutil.Process, str] = {}

    @property
    def busy(self) -> bool:
        """Whether a submitted round has not been collected yet."""
        return self._busy

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
            with (folder / "driver.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "learners.cluster"],
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
            target=_read_lines,
            args=(process.stdout, self._answers),
            name="ray-answers",
            daemon=True,
        ).start()
        atexit.register(self.close)
        self._send({"ray": self._config.model_dump(), "temp_dir": str(folder)})

    def submit(self, spec: RoundSpec) -> None:
        """Hand a round over; starts Ray, again if it died. `poll` tells what became of it."""
        assert not self._busy, "one round at a time"
        self._busy, self._failure = True, None
        self._submitted_s = time.monotonic()
        self.start()
        self._send({"spec": spec.model_dump(mode="json")})

    def poll(self) -> RoundResult | RoundFailure | None:
        """Return the outcome of the round in flight, None as long as there is none."""
        if not self._busy:
            return None
        self._note_pids()
        if self._failure is None:
            with contextlib.suppress(queue.Empty):
                return self._parsed(self._answers.get_nowait())
            dead = self._dead_server()
            if dead is not None:
                self._failure = f"Ray's {dead} died"
                self._end_processes()
            process = self._process
            if self._failure is None and (process is None or process.poll() is not None):
                # The last answer may have arrived since the look above.
                with contextlib.suppress(queue.Empty):
                    return self._parsed(self._answers.get_nowait())
                code = None if process is None else process.returncode
                self._failure = f"Ray ended unexpectedly (exit code {code}); see driver.log"
        return None if self._failure is None else self._failed(self._failure)

    def pids(self) -> list[int]:
        """Return the processes of Ray, the driver among them."""
        self._note_pids()
        return sorted(pid for pid, process in self._known.items() if _is_alive(process))

    def close(self) -> None:
        """End Ray; no process stays. A round in flight is given up. Quiet when called twice."""
        atexit.unregister(self.close)
        self._note_pids()
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_CLOSE_S)
        self._end_processes()
        self._busy = False
        if self._made_dir is not None:
            shutil.rmtree(self._made_dir, ignore_errors=True)
            self._made_dir = None

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

    def _parsed(self, line: str) -> RoundResult | RoundFailure:
        self._busy = False
        try:
            message = json.loads(line)
            if "result" in message:
                return RoundResult.model_validate(message["result"])
            return self._failed(str(message["failure"]))
        except (ValidationError, KeyError, json.JSONDecodeError) as error:
            return self._failed(f"Ray's driver answered nonsense: {str(error).splitlines()[0]}")

    def _failed(self, reason: str) -> RoundFailure:
        self._busy, self._failure = False, None
        return RoundFailure(reason=reason, seconds=time.monotonic() - self._submitted_s)

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


def serve() -> None:
    """Run Ray's driver: configuration and specs come in, outcomes go out, a line each."""
    # Whatever else prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read_lines, args=(sys.stdin, lines), daemon=True).start()
    first = lines.get()
    if not first:
        return
    try:
        _init_ray(first)
        trouble = None
    except Exception as error:  # told to the agent instead of a result
        _log.exception("Ray did not start")
        trouble = f"Ray cannot be started: {_first_line(error)}"
    while True:
        line = lines.get()
        if not line:
            break
        answer = {"failure": trouble} if trouble else _answer(line, lines)
        if answer is None:
            break
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        if trouble:
            break
    _shutdown_ray()


def _init_ray(line: str) -> None:
    import ray

    message = json.loads(line)
    config = RayConfig.model_validate(message["ray"])
    if config.address is not None:
        ray.init(address=config.address, namespace=NAMESPACE, log_to_driver=False)
        return
    ray.init(
        num_cpus=config.num_cpus,
        num_gpus=0,
        include_dashboard=False,
        object_store_memory=config.object_store_mb * 2**20,
        log_to_driver=False,
        namespace=NAMESPACE,
        _temp_dir=message["temp_dir"],
        # Not reachable from outside, and not lost when the machine changes its network.
        _node_ip_address="127.0.0.1",
        _metrics_export_port=None,
    )


def _shutdown_ray() -> None:
    import ray

    ray.shutdown()


def _answer(line: str, lines: "queue.Queue[str]") -> dict[str, Any] | None:
    """Run one round; None when the agent went away meanwhile."""
    import ray

    task = ray.remote(num_cpus=1, max_retries=_MAX_RETRIES, max_calls=1)(round_task)
    try:
        reference = task.remote(json.loads(line)["spec"])
        while not ray.wait([reference], timeout=0.5)[0]:
            with contextlib.suppress(queue.Empty):
                if not lines.get_nowait():
                    return None
        return {"result": ray.get(reference)}
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, Exception) else error
        return {"failure": f"{type(cause).__name__}: {_first_line(cause)}"}
    except ray.exceptions.RayError as error:
        tries = _MAX_RETRIES + 1
        return {"failure": f"the worker died in each of {tries} tries: {_first_line(error)}"}


def round_task(spec: dict[str, Any]) -> dict[str, Any]:
    """Run a round in a worker; plain values in and out."""
    # Only here: the driver needs no torch.
    from learners.round import run_round

    parsed = RoundSpec.model_validate(spec)
    os.nice(max(0, parsed.learners.round.nice - os.nice(0)))
    return run_round(parsed).model_dump(mode="json")


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _read_lines(stream: IO[str], out: "queue.Queue[str]") -> None:
    """Pass lines on; an empty one means the end."""
    with contextlib.suppress(OSError, ValueError):
        for line in stream:
            out.put(line)
    out.put("")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


if __name__ == "__main__":
    # By its real name, so that workers import the task instead of unpickling a copy of it.
    from learners.cluster import serve as serve_by_name

    serve_by_name()
