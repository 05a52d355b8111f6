"""Tells on standard error that something long goes on."""

import sys
import threading
import time
from types import TracebackType

PATIENCE_S = 2.0
"""What is over sooner says nothing."""

EVERY_S = 1.0
"""Seconds between two words on a terminal; ten times that in a log."""


class Progress:
    """A context in which a person is told what is done, from `PATIENCE_S` on.

    Args:
        doing: What goes on, as in "exporting slots".
    """

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._done, self._total = 0, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="progress", daemon=True)

    def __call__(self, done: int, total: int) -> None:
        """Take note of how far it is; any thread may call."""
        self._done, self._total = done, total

    def doing(self, what: str) -> None:
        """Name what goes on now."""
        self._doing, self._done, self._total = what, 0, 0

    def __enter__(self) -> "Progress":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def line(self, elapsed_s: float) -> str:
        """Return what to say."""
        share = f"{self._done} of {self._total} rows, " if self._total else ""
        return f"{self._doing}: {share}{elapsed_s:.0f} s"

    def _tell(self) -> None:
        started, is_terminal, has_told = time.monotonic(), sys.stderr.isatty(), False
        pause_s = PATIENCE_S
        while not self._over.wait(pause_s):
            pause_s = EVERY_S if is_terminal else 10 * EVERY_S
            has_told = True
            ending = "" if is_terminal else "\n"
            beginning = "\r\x1b[K" if is_terminal else ""
            sys.stderr.write(f"{beginning}{self.line(time.monotonic() - started)}{ending}")
            sys.stderr.flush()
        if has_told and is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
