"""Client of a running life's control socket."""

import json
import socket
import threading
from pathlib import Path
from typing import Any

from agentd.exit_codes import AgentdError, ExitCode
from agentd.home import Home

_EXIT_CODES = {
    "not_found": ExitCode.NOT_FOUND,
    "not_ready": ExitCode.NOT_YET,
    "invalid": ExitCode.USAGE,
    "locked": ExitCode.LOCKED,
    "damaged": ExitCode.DAMAGED,
}


class NotRunningError(AgentdError):
    """No life answers in this home."""

    exit_code = ExitCode.NOT_RUNNING


class RefusedError(AgentdError):
    """The life refused a request; `code` tells programs why."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the code of the answer; the exit code follows from it."""
        super().__init__(message)
        self.code = code
        self.exit_code = _EXIT_CODES.get(code, ExitCode.UNEXPECTED)


class Client:
    """Asks one life. Keeps its connection; may be used from several threads."""

    def __init__(self, home_path: Path, *, timeout_s: float = 30.0) -> None:
        """Name the life's home; nothing is opened yet."""
        self._home = Home(home_path)
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._unread = b""
        self._lock = threading.Lock()
        self._next_id = 1

    def __enter__(self) -> "Client":
        """Return self; the connection closes at the end of the block."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close."""
        self.close()

    def call(self, cmd: str, **args: Any) -> dict[str, Any]:
        """Send one command and return its result.

        Raises:
            NotRunningError: If no life answers.
            RefusedError: If the life refuses.
        """
        with self._lock:
            is_reused = self._socket is not None
            try:
                return self._exchange(cmd, args)
            except (ConnectionError, FileNotFoundError) as error:
                self._drop()
                if not is_reused:
                    raise self._not_running() from error
            try:  # the life may have cut an idle connection
                return self._exchange(cmd, args)
            except (ConnectionError, FileNotFoundError) as error:
                self._drop()
                raise self._not_running() from error

    def is_running(self) -> bool:
        """Tell whether a life answers."""
        with self._lock:
            try:
                self._connect()
            except (OSError, NotRunningError):
                self._drop()
                return False
            return True

    def close(self) -> None:
        """Close the connection; quiet when called twice."""
        with self._lock:
            self._drop()

    def _exchange(self, cmd: str, args: dict[str, Any]) -> dict[str, Any]:
        connection = self._connect()
        request_id, self._next_id = self._next_id, self._next_id + 1
        request = {"id": request_id, "cmd": cmd, "args": args}
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(self._read_line(connection))
        except TimeoutError as error:
            self._drop()  # a late answer must not be taken for the next one
            raise AgentdError(
                f"the life in {self._home.path} did not answer {cmd} within {self._timeout_s:g} s"
            ) from error
        if answer.get("ok"):
            return dict(answer["result"])
        refusal = answer["error"]
        if refusal["code"] in ("busy", "too_large"):
            self._drop()
        raise RefusedError(refusal["code"], refusal["message"])

    def _read_line(self, connection: socket.socket) -> bytes:
        parts = [self._unread]
        while b"\n" not in parts[-1]:
            chunk = connection.recv(1 << 18)
            if not chunk:
                raise ConnectionResetError("the life closed the connection")
            parts.append(chunk)
        line, _, self._unread = b"".join(parts).partition(b"\n")
        return line

    def _connect(self) -> socket.socket:
        if self._socket is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(self._timeout_s)
            try:
                connection.connect(str(self._socket_path()))
            except BaseException:
                connection.close()
                raise
            self._socket = connection
        return self._socket

    def _socket_path(self) -> Path:
        try:
            return Path(json.loads(self._home.control_file.read_text("utf-8"))["socket"])
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotRunningError(
                f"{self._home.control_file} cannot be read ({error}); if the life runs, stop it "
                f"with SIGTERM and start it again: {self._home.command('start')}"
            ) from error

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._unread = b""

    def _not_running(self) -> NotRunningError:
        path = self._home.path
        pid = self._home.holder_pid()
        if pid is not None:
            return NotRunningError(
                f"the life in {path} (process {pid or 'unknown'}) does not answer yet: it is "
                f"starting or stopping; try again in a moment"
            )
        return NotRunningError(
            f"no life is running in {path}; start it with: {self._home.command('start')}"
        )
