"""The events of the life as a growing log."""

from rich.text import Text
from textual.widgets import RichLog

from agentd.view import palette, panels
from agentd.view.fields import Facts

_MAX_LINES = 1000
_WIDTH_FOR_STEPS = 120
"""Terminals at least this wide have room for the step beside the words."""


class EventsLog(RichLog):
    """One line per event, the newest at the bottom."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, max_lines=_MAX_LINES, wrap=False, min_width=10)
        self.border_title = "events"

    def add(self, events: list[Facts]) -> None:
        """Append events; the view follows unless the reader has scrolled up."""
        has_step = self.app.size.width >= _WIDTH_FOR_STEPS
        for event in events:
            line = panels.event_line(event, has_step=has_step)
            self.write(line, scroll_end=self.is_vertical_scroll_end)

    def note(self, words: str) -> None:
        """Append a line of the interface's own."""
        self.write(Text(words, palette.LABEL), scroll_end=self.is_vertical_scroll_end)
