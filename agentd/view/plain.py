"""The life as log lines, where no terminal can show the live view."""

import sys
import threading
import time
from io import TextIOBase
from typing import TextIO

from agentd.view.fields import (
    Facts,
    format_count,
    format_decimal,
    format_duration,
    number,
    one_line,
    pick,
    rows,
    text,
)
from agentd.view.live import Source

_POLL_S = 1.0


class PlainLog:
    """Writes each event as it comes, and one line about the whole life every few seconds."""

    def __init__(
        self,
        source: Source,
        stream: TextIO | TextIOBase | None = None,
        *,
        status_every_s: float = 10.0,
    ) -> None:
        """Prepare.

        Args:
            source: Returns the latest answers; called from the log's thread.
            stream: Where the lines go; standard error when not given.
            status_every_s: Seconds between two lines about the whole life.
        """
        self._source = source
        self._stream = stream or sys.stderr
        self._status_every_s = status_every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plain-log", daemon=True)
        self._next_event = 0
        self._next_status_s = 0.0
        self.last_error: str | None = None

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Write what is left and end; quiet when called twice."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def lines(self, now_s: float) -> list[str]:
        """Return what is new since the last call; never raises.

        Args:
            now_s: A clock that never goes back, in seconds.
        """
        try:
            answers = self._source()
            new = [
                event
                for event in rows(answers.get("events"), "events")
                if (number(event, "n") or 0) >= self._next_event
            ]
            written = [_event(event) for event in new]
            if new:
                self._next_event = int(max(number(event, "n") or 0 for event in new)) + 1
            if now_s >= self._next_status_s:
                self._next_status_s = now_s + self._status_every_s
                written.append(status_line(answers.get("status")))
        except Exception as error:
            is_new = str(error) != self.last_error
            self.last_error = str(error)
            return [f"log: {type(error).__name__}: {one_line(str(error))}"] if is_new else []
        return written

    def _run(self) -> None:
        try:
            while True:
                is_last = self._stopping.wait(_POLL_S)
                for line in self.lines(time.monotonic()):
                    self._stream.write(f"{time.strftime('%H:%M:%S')} {line}\n")
                self._stream.flush()
                if is_last:
                    return
        except (OSError, ValueError) as error:  # the stream is closed: the life goes on unseen
            self.last_error = str(error)


def _event(event: Facts) -> str:
    step = format_count(number(event, "step"))
    return f"{text(event, 'kind', 'life'):<8} step {step}: {text(event, 'text')}"


def status_line(status: Facts | None) -> str:
    """Return the life in one line."""
    parts = [
        f"step {format_count(number(status, 'steps.total'))}",
        f"{format_decimal(number(status, 'steps.per_s'))}/s",
        f"p99 {format_decimal(number(status, 'steps.tick_p99_ms'), 0)} ms",
        f"{format_decimal(number(status, 'map.explored_m2'))} m2 explored",
        f"{format_count(number(status, 'memory.slots.confirmed'))} slots confirmed",
        f"{format_count(number(status, 'memory.rows_committed'))} rows",
        _model(status),
        f"{text(status, 'doing.mode', 'waiting')}: {text(status, 'doing.reason', '-')}",
    ]
    if pick(status, "steps.paused"):
        parts.insert(0, "paused")
    return "status   " + ", ".join(parts)


def _model(status: Facts | None) -> str:
    checkpoint = text(status, "learning.checkpoint")
    if not checkpoint:
        return "no model yet"
    freshness = format_duration(number(status, "learning.freshness_s"))
    return f"model {checkpoint} (freshness {freshness})"
