"""Tells on standard error how far an import is: a bar on a terminal, lines in a log."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from agentd.commands.output import duration

if TYPE_CHECKING:
    from agentd.importing.run import Far

LINE_EVERY_S = 10.0


class ImportProgress:
    """A context that is told how far an import is.

    Args:
        doing: What goes on, as in "importing kitchen".
    """

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._bar: Any = None
        self._task: Any = None
        self._began_s = self._told_s = time.monotonic()
        self._first_log_s: float | None = None

    def __enter__(self) -> "ImportProgress":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[words]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._doing, total=1.0, words="")
        return self

    def __call__(self, far: "Far") -> None:
        """Take note of how far it is."""
        if self._first_log_s is None:
            self._first_log_s = far.log_s
        words = self.words(far)
        if self._bar is not None:
            share = far.log_s / far.total_s if far.total_s else 1.0
            self._bar.update(self._task, completed=share, words=words)
        elif time.monotonic() - self._told_s >= LINE_EVERY_S:
            self._told_s = time.monotonic()
            sys.stderr.write(f"{self._doing}: {words}\n")
            sys.stderr.flush()

    def words(self, far: "Far") -> str:
        """Return how far, how fast and how long yet."""
        seconds = max(time.monotonic() - self._began_s, 1e-6)
        speed = (far.log_s - (self._first_log_s or 0.0)) / seconds
        text = f"{far.log_s:.0f} of {far.total_s:.0f} s, {far.steps} steps, {speed:.1f}x real time"
        if speed > 0:
            text += f", {duration((far.total_s - far.log_s) / speed)} left"
        return text

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
