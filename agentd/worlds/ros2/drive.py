"""Sends a robot its commands: again and again while they hold, zero after that."""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.link import Link, LinkError
from agentd.worlds.ros2.messages import TWIST, TWIST_STAMPED, twist, twist_stamped
from configs.bodies.ros2 import Ros2Config

log = logging.getLogger(__name__)

_ZEROS_S = 0.5
"""After a command, zero is sent for this long; then silence, so that others may drive."""
_LAST_ZEROS = 5
_STAMPED_DISTROS = ("jazzy", "kilted", "lyrical")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was made of a command, as far as this side knows.

    Attributes:
        v_mps: Forward speed.
        w_radps: Turn rate.
        causes: Why a guardian held something back; empty if it did not.
        text: The same in words.
        advice: What a guardian asks of whoever decides.
        held: Why it lets nothing move until a person does something; "" if it does.
    """

    v_mps: float = 0.0
    w_radps: float = 0.0
    causes: tuple[str, ...] = ()
    text: str = ""
    advice: tuple[str, ...] = ()
    held: str = ""


class CommandSink(Protocol):
    """Where commands go: to the robot's topic, or to a process that guards it.

    Calls come from one thread at a time.
    """

    def send(self, v_mps: float, w_radps: float, source: str) -> Sent:
        """Send a command; never waits.

        Args:
            v_mps: Forward speed.
            w_radps: Turn rate.
            source: Who decided it, as in `Action.source`.

        Raises:
            LinkError: If nothing can be sent.
        """
        ...

    def close(self) -> None:
        """Release what it holds; quiet when called twice."""
        ...


class TopicSink:
    """Publishes commands on the robot's own topic.

    Args:
        link: To the robot.
        codec: Writes the messages.
        config: Which topic, and of which type.
        now_ns: The robot's time, for stamps.
    """

    def __init__(
        self, link: Link, codec: Codec, config: Ros2Config, now_ns: Callable[[], int]
    ) -> None:
        self._codec, self._now_ns = codec, now_ns
        self._frame = config.frames.base
        self.msgtype = command_type(link, config)
        self._publisher = link.advertise(config.topics.command, self.msgtype)

    def send(self, v_mps: float, w_radps: float, source: str) -> Sent:
        """Publish a command."""
        if self.msgtype == TWIST_STAMPED:
            message = twist_stamped(self._codec, v_mps, w_radps, self._now_ns(), self._frame)
        else:
            message = twist(self._codec, v_mps, w_radps)
        self._publisher.send(self._codec.encode(message))
        return Sent(v_mps=v_mps, w_radps=w_radps)

    def close(self) -> None:
        """Nothing to release: the link closes its topics."""


def command_type(link: Link, config: Ros2Config) -> str:
    """Return the type of the commands: as set, as others command the robot, or by distribution."""
    if config.command_type != "auto":
        return TWIST_STAMPED if config.command_type == "twist_stamped" else TWIST
    seen = link.topics().get(config.topics.command)
    if seen in (TWIST, TWIST_STAMPED):
        return seen
    return TWIST_STAMPED if config.link.distro in _STAMPED_DISTROS else TWIST


class Drive:
    """Repeats a command in a thread of its own, and sends zero when it holds no more.

    Args:
        sink: Where commands go.
        command_hz: How often.
        may_drive: Asked before every command but zero; the body is stopped where it says no.
    """

    def __init__(self, sink: CommandSink, command_hz: float, may_drive: Callable[[], bool]) -> None:
        self._sink, self._period_s, self._may_drive = sink, 1 / command_hz, may_drive
        self._changed = threading.Condition()
        self._command, self._source = (0.0, 0.0), "none"
        self._until_s = self._quiet_s = -math.inf
        self._closed = self._called = False
        self._done: list[Sent] = []
        self.error: LinkError | None = None
        self._thread = threading.Thread(target=self._run, name="robot-commands", daemon=True)
        self._thread.start()

    def command(self, v_mps: float, w_radps: float, until_s: float, source: str = "none") -> None:
        """Drive like this from now on.

        Args:
            v_mps: Forward speed.
            w_radps: Turn rate.
            until_s: `time.monotonic()` at which zero is sent instead.
            source: Who decided it, as in `Action.source`.
        """
        with self._changed:
            self._command, self._source, self._until_s = (v_mps, w_radps), source, until_s
            self._quiet_s = until_s + _ZEROS_S
            self._done.clear()
            self._called = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Send zero at once, and for a moment."""
        self.command(0.0, 0.0, time.monotonic())

    def done(self) -> Sent:
        """Return what was sent since the last command was given: mean speeds, newest causes.

        A thing that was held back in one of the messages is told, though the newest was let go.
        """
        with self._changed:
            done = list(self._done)
        if not done:
            return Sent()
        held = [sent for sent in done if sent.causes]
        told = held[-1] if held else done[-1]
        return Sent(
            v_mps=sum(sent.v_mps for sent in done) / len(done),
            w_radps=sum(sent.w_radps for sent in done) / len(done),
            causes=told.causes,
            text=told.text,
            advice=done[-1].advice,
            held=done[-1].held,
        )

    def close(self) -> None:
        """Send zeros and send no more; quiet when called twice."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        try:
            for _ in range(_LAST_ZEROS):
                self._sink.send(0.0, 0.0, "safety")
                time.sleep(self._period_s / 2)  # one message may be lost
        except LinkError as error:
            log.warning("the last zero was not sent: %s", error)
        self._sink.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                now_s = time.monotonic()
                if now_s > self._quiet_s:
                    self._changed.wait_for(
                        lambda: self._closed or time.monotonic() <= self._quiet_s
                    )
                if self._closed:
                    return
                (v, w), source, until_s = self._command, self._source, self._until_s
            if time.monotonic() >= until_s or not self._may_drive():
                v = w = 0.0
            self._send(v, w, source)
            with self._changed:
                self._changed.wait_for(self._is_called, self._period_s)
                self._called = False

    def _is_called(self) -> bool:
        return self._closed or self._called

    def _send(self, v: float, w: float, source: str) -> None:
        try:
            done = self._sink.send(v, w, source)
        except LinkError as error:
            if self.error is None:
                log.warning("commands are not sent: %s", error)
            self.error = error
            return
        self.error = None
        with self._changed:
            self._done.append(done)
