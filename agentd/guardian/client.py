"""The other side of the guardian's socket: for the agent, the command line and a remote hand."""

import contextlib
import json
import secrets
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from agentd.exit_codes import AgentdError, ExitCode
from agentd.guardian.records import Command
from agentd.guardian.wire import pack, pack_command

_LARGEST = 1 << 16


class NoGuardianError(AgentdError):
    """No guardian answers."""

    exit_code = ExitCode.NOT_RUNNING


class GuardianClient:
    """Talks to a guardian's process; connects by itself, and again when that was restarted.

    Attributes:
        newest: The guardian's newest state, as it was told; empty before.
    """

    def __init__(self, path: Path, *, timeout_s: float = 2.0) -> None:
        """Name the socket; nothing is opened yet."""
        self._path, self._timeout_s = path, timeout_s
        self._connection: socket.socket | None = None
        self._session, self._seq = secrets.randbits(60), 0
        self.newest: dict[str, Any] = {}

    def __enter__(self) -> "GuardianClient":
        """Return self; the connection closes at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def command(
        self, v_mps: float, w_radps: float, *, source: str = "planner", is_recovery: bool = False
    ) -> bool:
        """Ask for a motion; never waits. Return whether the guardian was reached."""
        self._seq += 1
        command = Command(
            v_mps=v_mps,
            w_radps=w_radps,
            stamp_s=time.monotonic(),
            seq=self._seq,
            session=self._session,
            source=source,
            is_recovery=is_recovery,
        )
        try:
            connection = self._connect()
            connection.setblocking(False)
            connection.send(pack_command(command), socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return False
        except OSError:
            self.close()
            return False
        return True

    def listen(self) -> list[dict[str, Any]]:
        """Return what was told since the last call, oldest first; never waits.

        Of each tick what was sent to the body, why and with which advice; now and then, and when it
        changes, with the whole state.
        """
        told = []
        while self._connection is not None:
            try:
                self._connection.setblocking(False)
                data = self._connection.recv(_LARGEST)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.close()
                break
            packet = json.loads(data)
            if packet["kind"] in ("sent", "state"):
                told.append(packet)
            if packet["kind"] == "state":
                self.newest = packet
        return told

    def ask(self, do: str, reason: str = "", since: int = 0) -> dict[str, Any]:
        """Return the answer to a question: `ok`, `text` and `state`.

        Raises:
            NoGuardianError: If none answers in time.
        """
        try:
            connection = self._connect()
            connection.settimeout(self._timeout_s)
            connection.send(pack("ask", do=do, reason=reason, since=since), socket.MSG_NOSIGNAL)
            while True:
                data = connection.recv(_LARGEST)
                if not data:
                    raise ConnectionResetError("it hung up")
                packet: dict[str, Any] = json.loads(data)
                if packet["kind"] in ("answer", "events"):
                    return packet
                if packet["kind"] == "state":
                    self.newest = packet
        except (OSError, ValueError) as error:
            self.close()
            raise NoGuardianError(f"no guardian answers at {self._path}: {error}") from error

    def close(self) -> None:
        """Hang up; quiet when called twice."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None

    def _connect(self) -> socket.socket:
        if self._connection is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.settimeout(self._timeout_s)
            try:
                connection.connect(str(self._path))
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection
