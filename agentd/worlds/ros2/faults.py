"""Faults of a simulated robot: what real ones do on bad days, on request.

Asked for over a socket that only its user may open: one line of JSON in, one out.
"""

import json
import logging
import os
import socket
import stat
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentd.worlds.ros2.link import LinkError

log = logging.getLogger(__name__)

KINDS = ("freeze", "stale", "drop", "delay", "ignore-commands", "clock")
"""freeze: the same message again, its stamp too. stale: the same message with new stamps. drop:
nothing comes. delay: everything comes a second late, or `value` seconds. ignore-commands: the
wheels stand. clock: the robot's clock leaps by `value` seconds and stays there."""
WHOLE = ("ignore-commands", "clock")
_LONGEST_LINE = 4096
_PATIENCE_S = 5.0


@dataclass(slots=True)
class _Fault:
    kind: str
    value: float
    until_s: float
    waiting: deque[tuple[float, Any]] = field(default_factory=deque)


class Faults:
    """What is wrong now; asked by the simulation, changed by the thread of the socket."""

    def __init__(self, topics: tuple[str, ...]) -> None:
        self._topics = topics
        self._lock = threading.Lock()
        self._of: dict[str, _Fault] = {}
        self._last: dict[str, Any] = {}
        self._clock_ns = 0

    def begin(self, kind: str, topic: str, for_s: float, value: float) -> str:
        """Begin a fault; returns a sentence about it.

        Raises:
            ValueError: If there is no such fault or topic.
        """
        if kind not in KINDS:
            raise ValueError(f"unknown fault {kind!r}; accepted: {', '.join(KINDS)}")
        if not 0 < for_s <= 3600:
            raise ValueError(f"a fault of {for_s:g} s; accepted: up to 3600 s")
        with self._lock:
            if kind == "clock":
                self._clock_ns += round(value * 1e9)
                return f"the clock leaps by {value:+g} s"
            if kind not in WHOLE and topic not in self._topics:
                raise ValueError(f"unknown topic {topic!r}; accepted: {', '.join(self._topics)}")
            name = kind if kind in WHOLE else topic
            self._of[name] = _Fault(kind, value, time.monotonic() + for_s)
        return f"{kind} {topic} for {for_s:g} s".replace("  ", " ")

    @property
    def ignores_commands(self) -> bool:
        """Whether the wheels stand."""
        return self._now("ignore-commands") is not None

    @property
    def clock_ns(self) -> int:
        """How far the clock leapt."""
        return self._clock_ns

    def alter(self, topic: str, message: Any, restamp: Any) -> list[Any]:
        """Return what is sent in place of a message.

        Args:
            topic: Where it is sent.
            message: What would be sent.
            restamp: Called with an older message and this one: the older with the newer's stamp.
        """
        fault = self._now(topic)
        if fault is None:
            self._last[topic] = message
            return [message]
        if fault.kind == "drop":
            return []
        if fault.kind == "delay":
            now_s = time.monotonic()
            fault.waiting.append((now_s + (fault.value or 1.0), message))
            due = []
            while fault.waiting and fault.waiting[0][0] <= now_s:
                due.append(fault.waiting.popleft()[1])
            return due
        last = self._last.setdefault(topic, message)
        return [last if fault.kind == "freeze" else restamp(last, message)]

    def _now(self, name: str) -> _Fault | None:
        with self._lock:
            fault = self._of.get(name)
            if fault is not None and time.monotonic() >= fault.until_s:
                del self._of[name]
                fault = None
        return fault


class FaultSocket:
    """Listens for faults at a path that only this user may open.

    Raises:
        LinkError: If somebody else's folder is in the way, or another simulation listens.
    """

    def __init__(self, path: Path, faults: Faults) -> None:
        self.path, self._faults = path, faults
        _own_folder(path.parent)
        if path.exists() and _answers(path):
            raise LinkError(f"another simulated robot listens at {path}: it has the same domain")
        # Under another name until nobody else may open it: bind() obeys the umask only.
        aside = path.with_name(path.name + "~")
        aside.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(aside))
        aside.chmod(0o600)
        self._listener.listen(4)
        aside.replace(path)
        self._thread = threading.Thread(target=self._run, name="robot-faults", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self.path.unlink(missing_ok=True)
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            log.debug("nobody was waited for")
        self._listener.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(_PATIENCE_S)
                try:
                    connection.sendall(_line(self._answer(_read(connection))))
                except OSError as error:
                    log.warning("a request for a fault broke off: %s", error)

    def _answer(self, text: str) -> dict[str, Any]:
        try:
            asked = json.loads(text)
            told = self._faults.begin(
                str(asked["kind"]),
                str(asked.get("topic", "")),
                float(asked.get("for_s", 3.0)),
                float(asked.get("value", 0.0)),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return {"error": str(error)}
        return {"told": told}


def socket_path(domain: int) -> Path:
    """Return where the simulated robot of a domain listens for faults."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) if runtime else Path(tempfile.gettempdir()) / f"agentd-{os.getuid()}"
    return folder / f"agentd-robot-{domain}.sock"


def ask_fault(path: Path, kind: str, topic: str, for_s: float, value: float) -> str:
    """Ask a simulated robot for a fault; returns its sentence.

    Raises:
        LinkError: If no simulated robot listens there.
        ValueError: If it refuses.
    """
    asked = {"kind": kind, "topic": topic, "for_s": for_s, "value": value}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_PATIENCE_S)
            connection.connect(str(path))
            connection.sendall(_line(asked))
            answer = json.loads(_read(connection))
    except (OSError, ValueError) as error:
        raise LinkError(
            f"no simulated robot answers at {path} ({error}): start one with: agentd robot simulate"
        ) from error
    if "error" in answer:
        raise ValueError(answer["error"])
    return str(answer["told"])


def _line(data: dict[str, Any]) -> bytes:
    return json.dumps(data).encode() + b"\n"


def _read(connection: socket.socket) -> str:
    data = b""
    while not data.endswith(b"\n") and len(data) < _LONGEST_LINE:
        part = connection.recv(_LONGEST_LINE)
        if not part:
            break
        data += part
    return data.decode("utf-8", "replace")


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _own_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise LinkError(f"the folder {folder} is not this user's alone")
