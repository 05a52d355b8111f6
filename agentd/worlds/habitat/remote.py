"""A simulator in a process of its own, which may end at any time and be run by another Python.

The process inherits one end of a socket pair; nothing listens anywhere.
"""

import collections
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from agentd.worlds.habitat import wire
from agentd.worlds.habitat.backend import Arrays, Values
from agentd.worlds.habitat.errors import HabitatError, SimulatorLostError

_SERVE = Path(__file__).with_name("serve.py")
_SIM = Path(__file__).with_name("sim.py")
_HELLO_S = 60.0
"""For the other Python to start and load numpy, on a busy machine."""
_END_S = 5.0
_KEPT_LINES = 20


class RemoteCaller:
    """Starts the process, opens the scene and calls it; satisfies Caller.

    After a fault of the connection the process is ended: what it would answer next is unknown.

    Args:
        python: Interpreter that has habitat_sim and numpy.
        config: Settings of the simulator.
        start_timeout_s: Time to load the scene.
        timeout_s: Time for any other call.
        backend: File with `open_backend`.

    Raises:
        HabitatError: If the interpreter cannot be started, or the simulator refuses the scene.
        SimulatorLostError: If the process ends or is silent.
    """

    def __init__(
        self,
        python: str,
        config: Values,
        *,
        start_timeout_s: float,
        timeout_s: float,
        backend: Path = _SIM,
    ) -> None:
        self._timeout_s = timeout_s
        self._python = python
        self._lock = threading.Lock()
        self._number = 0
        self._closed = False
        self._lines: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        ours, theirs = socket.socketpair()
        self._connection = ours
        with theirs:
            command = [python, "-I", str(_SERVE), "--fd", str(theirs.fileno())]
            try:
                self._process = subprocess.Popen(
                    [*command, "--backend", str(backend)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C is for the life, which ends it in order
                    env=os.environ | {"MAGNUM_LOG": "quiet", "HABITAT_SIM_LOG": "quiet"},
                )
            except OSError as error:
                ours.close()
                raise HabitatError(
                    f"world.habitat.python = {python!r} cannot be started ({error}); give the "
                    "path of the Python that has habitat_sim"
                ) from error
        assert self._process.stdout is not None
        self._reader = threading.Thread(
            target=self._read_lines, args=(self._process.stdout,), name="habitat-log", daemon=True
        )
        self._reader.start()
        try:
            self._greet()
            self._call("open", {"config": config}, {}, start_timeout_s)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def call(
        self, name: str, args: Values | None = None, arrays: Mapping[str, np.ndarray] | None = None
    ) -> tuple[Values, Arrays]:
        """See Caller."""
        return self._call(name, {"args": args or {}}, dict(arrays or {}), self._timeout_s)

    def close(self) -> None:
        """See Caller."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                wire.send(self._connection, {"call": "close", "id": 0}, timeout_s=_END_S)
                wire.receive(self._connection, _END_S)
            except wire.WireError:
                pass  # it is ended below, whatever it says
            self._end()

    def _greet(self) -> None:
        with self._lock:
            try:
                hello, _ = wire.receive(self._connection, _HELLO_S)
            except wire.WireError as error:
                raise self._lost("hello", error) from error
        if hello.get("hello") != "agentd-habitat":
            raise SimulatorLostError(f"the process of {self._python} says {hello} instead of hello")
        if hello.get("version") != wire.VERSION:
            raise HabitatError(
                f"{_SERVE} speaks version {hello.get('version')}, this program version "
                f"{wire.VERSION}: install agentd again"
            )

    def _call(
        self, name: str, values: Values, arrays: Arrays, timeout_s: float
    ) -> tuple[Values, Arrays]:
        with self._lock:
            if self._closed:
                raise SimulatorLostError("the simulator was closed")
            self._number += 1
            deadline = time.monotonic() + timeout_s
            request = {"call": name, "id": self._number, **values}
            try:
                wire.send(self._connection, request, arrays, timeout_s=timeout_s)
                left_s = max(deadline - time.monotonic(), 1e-3)
                answer, found = wire.receive(self._connection, left_s)
            except wire.WireError as error:
                raise self._lost(name, error) from error
            if answer.get("id") != self._number:
                raise self._lost(name, wire.WireError(f"answer {answer.get('id')} to another call"))
        if "error" in answer:
            kind, text = answer["error"]
            raise HabitatError(f"habitat-sim: {kind}: {text}")
        return answer.get("values", {}), found

    def _lost(self, name: str, error: wire.WireError) -> SimulatorLostError:
        """End the process and return what is known of its end."""
        died = isinstance(error, wire.WireClosedError)
        if died:  # its last words and its exit code come a moment later than the end of the line
            _wait(self._process, _END_S)
        code = self._process.poll()
        self._closed = True
        if code is None:
            self._process.kill()  # it may be busy for ever
        self._end()
        what = f"{name}: {error}"
        if died and code is not None:
            what = f"the simulator ended during {name} ({_end_in_words(code)})"
        elif isinstance(error, wire.WireTimeoutError):
            what = f"the simulator was silent during {name} ({error}) and was ended"
        said = "; its last words: " + " | ".join(self._lines) if self._lines else ""
        return SimulatorLostError(what + said)

    def _end(self) -> None:
        self._connection.close()
        if not _wait(self._process, _END_S if self._process.poll() is None else 0):
            self._process.kill()
            self._process.wait()
        self._reader.join(_END_S)

    def _read_lines(self, pipe: IO[bytes]) -> None:
        """Keep the last lines that the process prints; libraries below Python print too."""
        with pipe:
            for line in pipe:
                if text := line.decode("utf-8", "replace").strip():
                    self._lines.append(text)


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end_in_words(code: int) -> str:
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
