"""What happened, in order: a ring for the views and a JSON-lines file for the record."""

import json
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, Literal

EventKind = Literal["mode", "goal", "learning", "memory", "world", "safety", "life"]


class EventLog:
    """Numbered events, kept in a ring and appended to a file that is rotated once.

    Thread-safe. A file that cannot be written never stops the life: the ring goes on and
    `write_error` says why.
    """

    def __init__(self, path: Path | None, *, keep: int = 500, max_bytes: int = 8_000_000) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._ring: deque[dict[str, Any]] = deque(maxlen=keep)
        self._next = 0
        self._lock = threading.Lock()
        self.write_error: str | None = None

    def emit(self, kind: EventKind, step: int, text: str) -> None:
        """Record one event; `text` is a sentence for people."""
        with self._lock:
            event = {
                "n": self._next,
                "step": step,
                "stamp_ns": time.time_ns(),
                "kind": kind,
                "text": text,
            }
            self._next += 1
            self._ring.append(event)
            self._write(event)

    def since(self, n: int) -> dict[str, Any]:
        """Return the kept events numbered n or later, and the next number."""
        with self._lock:
            return {"next": self._next, "events": [e for e in self._ring if e["n"] >= n]}

    def _write(self, event: dict[str, Any]) -> None:
        if self._path is None:
            return
        try:
            if self._path.exists() and self._path.stat().st_size > self._max_bytes:
                self._path.replace(self._path.with_suffix(".1.jsonl"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(event) + "\n")
        except OSError as error:
            self.write_error = f"{self._path}: {error}"
