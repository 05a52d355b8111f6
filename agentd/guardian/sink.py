"""Where a robot's commands go: to the process that guards it, and that alone drives."""

import time
from collections.abc import Callable
from typing import Any

from agentd.guardian.client import GuardianClient
from agentd.worlds.ros2.drive import Sent
from agentd.worlds.ros2.link import LinkError

_RETRY_S = 5.0


class GuardianSink:
    """Asks a guardian's process for motion; satisfies CommandSink.

    Args:
        client: To the process; closed with this.
        hint: What to do where none answers, for errors.
        revive: Starts the process again where it was started for this life; called now and then
            while none answers. None: somebody else sees to it.
        end: Ends the process, where it was started for this life.
    """

    def __init__(
        self,
        client: GuardianClient,
        hint: str,
        revive: Callable[[], None] | None = None,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self._client, self._hint, self._revive, self._end = client, hint, revive, end
        self._revived_s = 0.0
        self._sent = Sent()
        self._is_closed = False

    @property
    def state(self) -> dict[str, Any]:
        """What the guardian last told; empty before. From any thread."""
        return self._client.newest

    def send(self, v_mps: float, w_radps: float, source: str) -> Sent:
        """Ask for a motion; never waits.

        Returns:
            What the guardian last let go: that of its tick before this call.

        Raises:
            LinkError: If no guardian answers: nothing moves then.
        """
        if not self._client.command(
            v_mps, w_radps, source=source, is_recovery=source == "recovery"
        ):
            self._sent = Sent()
            self._try_to_revive()
            raise LinkError(f"no guardian answers; {self._hint}")
        for packet in self._client.listen():
            self._sent = Sent(
                v_mps=float(packet["v_mps"]),
                w_radps=float(packet["w_radps"]),
                causes=tuple(map(str, packet["causes"])),
                text=str(packet["text"]),
                advice=tuple(map(str, packet["advice"])),
                held=str(packet["held"]),
            )
        return self._sent

    def close(self) -> None:
        """Hang up, and end a process that was started for this life; quiet when called twice."""
        if not self._is_closed:
            self._is_closed = True
            self._client.close()
            self._end()

    def _try_to_revive(self) -> None:
        now_s = time.monotonic()
        if self._revive is not None and now_s - self._revived_s >= _RETRY_S:
            self._revived_s = now_s
            self._revive()
