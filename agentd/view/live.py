"""The live view on a terminal, drawn by a thread of its own."""

import threading
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.live import Live
from rich.segment import Segment, Segments

from agentd.view.fields import Facts, one_line
from agentd.view.frame import frame
from agentd.view.lines import flat

_PERIOD_S = 0.25

Source = Callable[[], Mapping[str, Facts]]
"""Returns the latest `status`, `map`, `slots` and `events`; called from the view's thread."""


class LiveView:
    """Draws a life four times a second until it is stopped; the life never waits for it.

    Whatever goes wrong while drawing is kept in `last_error` and shown as a line of the view.
    """

    def __init__(
        self, source: Source, console: Console | None = None, *, period_s: float = _PERIOD_S
    ) -> None:
        """Prepare.

        Args:
            source: Returns the latest answers.
            console: The terminal; standard output when not given.
            period_s: Seconds between two drawings.
        """
        self._source = source
        self._console = console or Console()
        self._period_s = period_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-view", daemon=True)
        self.last_error: str | None = None

    def start(self) -> None:
        """Take the terminal over and begin to draw."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Give the terminal back and leave the last view on it; quiet when called twice.

        Args:
            timeout_s: A terminal that no longer takes characters is given up after this time.
        """
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def draw(self, height: int | None = None) -> Segments:
        """Return the view of this moment; never raises.

        Args:
            height: Lines; the height of the terminal when not given.
        """
        width, height = self._console.width, height or self._console.height
        try:
            lines = frame(
                self._source(), self._console, width=width, height=height, error=self.last_error
            )
        except Exception as error:
            self.last_error = f"live view: {type(error).__name__}: {one_line(str(error))}"
            lines = [[Segment(self.last_error[:width])]]
        return Segments(flat(lines))

    def _run(self) -> None:
        try:
            with Live(console=self._console, screen=True, auto_refresh=False) as live:
                while True:
                    live.update(self.draw(), refresh=True)
                    if self._stopping.wait(self._period_s):
                        break
            self._console.print(self.draw(self._console.height - 1))
            self._console.print()
        except Exception as error:  # the terminal is gone: the life goes on without a view
            self.last_error = f"live view ended: {type(error).__name__}: {error}"
