"""The guardian's socket: packets of one user's programs, never waited for."""

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from agentd.exit_codes import AgentdError, ExitCode
from agentd.guardian.wire import MAX_BYTES

_MAX_CLIENTS = 8
_MAX_PACKETS = 64
"""Per client and tick; a client that sends more is heard in the next one."""

log = logging.getLogger(__name__)


class DoorInUseError(AgentdError):
    """Another guardian answers at the socket."""

    exit_code = ExitCode.LOCKED


class Client:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.is_open = True
        self.wants_state = False

    def send(self, data: bytes) -> None:
        """Send a packet if there is room; a client that does not listen misses it."""
        try:
            self._connection.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def packets(self) -> Iterator[bytes]:
        """Yield what has come."""
        for _ in range(_MAX_PACKETS):
            try:
                data = self._connection.recv(MAX_BYTES + 1, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.close()
                return
            yield data

    def close(self) -> None:
        """Hang up."""
        self.is_open = False
        self._connection.close()


class Door:
    """Listens for one user's programs.

    Args:
        path: Where; the socket can be opened by its owner alone.
        tell: Called with a sentence about clients.

    Raises:
        DoorInUseError: If another guardian answers there.
    """

    def __init__(self, path: Path, tell: Callable[[str], None] = log.info) -> None:
        self._path, self._tell = path, tell
        self.clients: list[Client] = []
        if path.exists():
            if answers(path):
                raise DoorInUseError(f"a guardian already answers at {path}")
            path.unlink()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Under another name until nobody else may open it: bind() obeys the umask only.
        aside = path.with_name(path.name + "~")
        aside.unlink(missing_ok=True)
        try:
            self._listener.bind(str(aside))
            aside.chmod(0o600)
            self._listener.listen(_MAX_CLIENTS)
            self._listener.setblocking(False)
            aside.replace(path)
        except OSError:
            self._listener.close()
            aside.unlink(missing_ok=True)
            raise

    def packets(self) -> Iterator[tuple[Client, bytes]]:
        """Take in new clients and yield what all of them have sent."""
        self._accept()
        for client in self.clients:
            for data in client.packets():
                yield client, data
        self.clients = [client for client in self.clients if client.is_open]

    def close(self) -> None:
        """Hang up on everyone and remove the socket."""
        for client in self.clients:
            client.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    connection, _ = self._listener.accept()
                except BlockingIOError:
                    return
                except OSError as error:
                    self._tell(f"cannot accept a client: {error}")
                    return
                if len(self.clients) >= _MAX_CLIENTS:
                    connection.close()
                    self._tell(f"a client was turned away: {_MAX_CLIENTS} are connected")
                    continue
                connection.setblocking(False)
                self.clients.append(Client(connection))


def answers(path: Path) -> bool:
    """Tell whether a guardian listens at a path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
