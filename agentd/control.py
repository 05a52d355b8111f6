"""The control socket: JSON lines over a Unix socket that only the user may open.

A request is `{"id": 1, "cmd": "status", "args": {}}`, its answer
`{"id": 1, "ok": true, "result": {...}}` or
`{"id": 1, "ok": false, "error": {"code": "not_found", "message": "..."}}`.
Whatever a client sends, the life behind the socket goes on.
"""

import difflib
import json
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentd.exit_codes import AgentdError, ExitCode
from memory.files import write_atomic

Handler = Callable[[dict[str, Any]], dict[str, Any]]

log = logging.getLogger(__name__)


class ControlError(Exception):
    """A handler refuses a request; the client gets the code and the sentence."""

    def __init__(self, code: str, message: str) -> None:
        """Name the reason (`not_found`, `invalid`, `not_ready`, `damaged`) and explain it."""
        super().__init__(message)
        self.code = code
        self.message = message


class SocketInUseError(AgentdError):
    """Something answers at the socket's path, or may still need it."""

    exit_code = ExitCode.LOCKED


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlLimits:
    """What one user's clients may take from the life.

    Attributes:
        max_clients: Connections at a time.
        max_line_bytes: Longest request.
        idle_s: Silence, or time for one request to arrive, after which a client is cut off.
        max_requests_per_s: More than that from one client has to wait.
    """

    max_clients: int = 16
    max_line_bytes: int = 1 << 20
    idle_s: float = 30.0
    max_requests_per_s: int = 200


class ControlServer:
    """Answers clients from its own threads; handlers are called one at a time."""

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Handler],
        limits: ControlLimits | None = None,
        *,
        announce: Path | None = None,
        replace_stale: bool = False,
    ) -> None:
        """Name the socket and the commands; nothing is opened yet.

        Args:
            path: The socket.
            handlers: What answers each command; called from other threads, one at a time.
            limits: What clients may take.
            announce: File that tells clients the socket's path while it is open.
            replace_stale: Replace a socket that nobody answers at. Only the holder of the
                home's lock knows that it belonged to a process that is gone.
        """
        self.path = path
        self._announce = announce
        self._replace_stale = replace_stale
        self._handlers = dict(handlers)
        self._limits = limits or ControlLimits()
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._closing = threading.Event()
        self._clients: dict[socket.socket, threading.Thread] = {}
        self._clients_lock = threading.Lock()
        self._handler_lock = threading.Lock()

    def start(self) -> None:
        """Listen.

        Raises:
            SocketInUseError: If a process answers there, or a file is there that may not go.
        """
        if self.path.exists():
            if _answers(self.path):
                raise SocketInUseError(f"a process already answers at {self.path}")
            if not self._replace_stale:
                raise SocketInUseError(f"{self.path} is there already; remove it if unused")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Under another name until nobody else may open it: bind() obeys the umask only.
        aside = self.path.with_name(self.path.name + "~")
        aside.unlink(missing_ok=True)
        try:
            listener.bind(str(aside))
            aside.chmod(0o600)
            listener.listen(self._limits.max_clients)
            aside.replace(self.path)
        except OSError:
            listener.close()
            aside.unlink(missing_ok=True)
            raise
        self._listener = listener
        self._acceptor = threading.Thread(
            target=self._accept, args=(listener,), name="control", daemon=True
        )
        self._acceptor.start()
        if self._announce is not None:
            write_atomic(self._announce, json.dumps({"socket": str(self.path)}).encode())

    def close(self) -> None:
        """Stop listening, cut the clients off and remove the socket; quiet when called twice."""
        if self._listener is None or self._closing.is_set():
            return
        self._closing.set()
        _shut(self._listener)
        self.path.unlink(missing_ok=True)
        if self._announce is not None:
            self._announce.unlink(missing_ok=True)
        with self._clients_lock:
            clients = dict(self._clients)
        for client in clients:
            _shut(client)
        for thread in [self._acceptor, *clients.values()]:
            if thread is not None and thread is not threading.current_thread():
                thread.join(timeout=2.0)
        self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while not self._closing.is_set():
            try:
                client, _ = listener.accept()
            except OSError as error:
                if self._closing.is_set():
                    return
                log.warning("control socket: cannot accept a client: %s", error)
                self._closing.wait(0.1)  # out of file descriptors: do not spin
                continue
            client.settimeout(self._limits.idle_s)
            with self._clients_lock:
                is_full = len(self._clients) >= self._limits.max_clients
                if not is_full:
                    thread = threading.Thread(
                        target=self._serve, args=(client,), name="control-client", daemon=True
                    )
                    self._clients[client] = thread
            if is_full:
                self._turn_away(client)
            else:
                thread.start()

    def _turn_away(self, client: socket.socket) -> None:
        text = f"the life already talks to {self._limits.max_clients} clients; try again later"
        with client:
            client.settimeout(0.2)
            _send(client, _error(None, "busy", text))

    def _serve(self, client: socket.socket) -> None:
        try:
            with client:
                reader = _LineReader(client, self._limits)
                throttle = _Throttle(self._limits.max_requests_per_s)
                while not self._closing.is_set():
                    self._closing.wait(throttle.delay_s(time.monotonic()))
                    try:
                        line = reader.next_line()
                    except _TooLongError as error:
                        _send(client, _error(None, "too_large", str(error)))
                        return
                    if line is None or not _send(client, self._answer(line)):
                        return
        finally:
            with self._clients_lock:
                self._clients.pop(client, None)

    def _answer(self, line: bytes) -> bytes:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError) as error:
            return _error(None, "bad_json", f"a request is one JSON object per line: {error}")
        problem = _problem_of(request)
        if problem:
            return _error(None, "bad_request", problem)
        request_id, command = request.get("id"), request["cmd"]
        handler = self._handlers.get(command)
        if handler is None:
            return _error(request_id, "unknown_command", self._explain_unknown(command))
        try:
            with self._handler_lock:
                result = handler(request.get("args") or {})
            return _encode({"id": request_id, "ok": True, "result": result})
        except ControlError as error:
            return _error(request_id, error.code, error.message)
        except Exception as error:
            log.exception("control command %s failed", command)
            return _error(
                request_id, "internal", f"{command} failed: {type(error).__name__}: {error}"
            )

    def _explain_unknown(self, command: str) -> str:
        guess = difflib.get_close_matches(command, self._handlers, n=1)
        hint = f"; did you mean {guess[0]}?" if guess else ";"
        return f"unknown command {command[:80]!r}{hint} accepted: {', '.join(self._handlers)}"


class _TooLongError(Exception):
    """A request is longer than the limit."""


class _LineReader:
    """Cuts a stream into lines, within the limits of size and time."""

    def __init__(self, client: socket.socket, limits: ControlLimits) -> None:
        self._client = client
        self._limits = limits
        self._buffer = bytearray()

    def next_line(self) -> bytes | None:
        """Return the next line; None when the client has gone or was silent for too long."""
        deadline = time.monotonic() + self._limits.idle_s
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > self._limits.max_line_bytes:
                raise _TooLongError(f"a request has at most {self._limits.max_line_bytes} bytes")
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            try:
                self._client.settimeout(left_s)
                chunk = self._client.recv(65536)
            except OSError:  # silent, reset, or cut off by close()
                return None
            if not chunk:
                return None
            self._buffer += chunk
        if end > self._limits.max_line_bytes:
            raise _TooLongError(f"a request has at most {self._limits.max_line_bytes} bytes")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._client.settimeout(self._limits.idle_s)
        return line


class _Throttle:
    """Spreads a flood of requests over time."""

    def __init__(self, max_per_s: int) -> None:
        self._max_per_s = max_per_s
        self._second = 0.0
        self._count = 0

    def delay_s(self, now_s: float) -> float:
        """Return how long the next request has to wait."""
        if now_s - self._second >= 1.0:
            self._second, self._count = now_s, 0
        self._count += 1
        return self._second + 1.0 - now_s if self._count > self._max_per_s else 0.0


def _problem_of(request: Any) -> str | None:
    if not isinstance(request, dict):
        return 'a request is an object like {"id": 1, "cmd": "status", "args": {}}'
    if not isinstance(request.get("cmd"), str):
        return 'a request needs the text "cmd"'
    if not isinstance(request.get("args", {}), dict | None):
        return '"args" must be an object'
    if not isinstance(request.get("id"), int | str | None):
        return '"id" must be a number or a text'
    return None


def _error(request_id: Any, code: str, message: str) -> bytes:
    return _encode({"id": request_id, "ok": False, "error": {"code": code, "message": message}})


def _encode(answer: dict[str, Any]) -> bytes:
    try:
        return json.dumps(answer, allow_nan=False).encode() + b"\n"
    except ValueError:
        return json.dumps(without_nan(answer), allow_nan=False).encode() + b"\n"


def without_nan(value: Any) -> Any:
    """Return JSON data with null for numbers that JSON cannot write."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return value


def _send(client: socket.socket, data: bytes) -> bool:
    try:
        client.sendall(data)
    except OSError:  # the client has gone, or reads nothing: its loss
        return False
    return True


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("socket was already shut")


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
