"""Panels of words and curves; they fill whatever height they are given."""

import textwrap

from rich.text import Text
from textual import events
from textual.widgets import Static

from agentd.view import panels
from agentd.view.fields import Facts
from agentd.view.palette import Glyphs

_MIN_CURVE_LINES = 5
_NUM_NUMBER_LINES = 5
_NUM_DOING_LINES = 3


class _StatusPanel(Static):
    """Shows lines made from the status, and makes them anew when its size changes."""

    def __init__(self, title: str, glyphs: Glyphs, *, id: str) -> None:
        super().__init__(id=id)
        self.border_title = title
        self._glyphs = glyphs
        self._status: Facts | None = None

    def show(self, status: Facts | None) -> None:
        """Draw a new status."""
        self._status = status
        width, height = self.size
        if width > 0 and height > 0:
            lines = self._lines(width, height)
            for line in lines:
                line.truncate(width, overflow="ellipsis")
            self.update(Text("\n").join(lines[:height]))

    def on_resize(self, event: events.Resize) -> None:
        """Fit the words into the new size."""
        self.show(self._status)

    def _lines(self, width: int, height: int) -> list[Text]:
        return [panels.headline(self._status, self._glyphs)]


class DoingPanel(_StatusPanel):
    """What the agent does and why, and its numbers where there is room."""

    def _lines(self, width: int, height: int) -> list[Text]:
        left_over = height - _NUM_DOING_LINES
        num_reason_lines = 1 if left_over < 2 else 2
        lines = panels.doing(
            self._status, self._glyphs, width=width, num_reason_lines=num_reason_lines
        )
        if height >= len(lines) + _NUM_NUMBER_LINES:
            lines += panels.numbers(self._status, self._glyphs, width=width)
        return lines


class CurvesPanel(_StatusPanel):
    """The model that acts, the last verdict, the learning curve, and coverage if it fits."""

    def _lines(self, width: int, height: int) -> list[Text]:
        num_verdict_lines = 1 if height < 12 else 2
        lines = panels.learning(
            self._status, self._glyphs, width=width, num_verdict_lines=num_verdict_lines
        )
        left_over = height - len(lines)
        if left_over >= 2 * _MIN_CURVE_LINES + 4:
            curve = panels.coverage_curve(
                self._status, width=width, height=left_over * 2 // 5, glyphs=self._glyphs
            )
            lines += [*curve.split("\n"), Text()]
            left_over = height - len(lines)
        if left_over >= _MIN_CURVE_LINES:
            curve = panels.error_curve(
                self._status, width=width, height=left_over, glyphs=self._glyphs
            )
            lines += curve.split("\n")
        return lines


class Header(_StatusPanel):
    """Whose life this is; or, while no life answers, why not."""

    def __init__(self, glyphs: Glyphs, *, id: str) -> None:
        super().__init__("", glyphs, id=id)
        self.problem: str | None = None

    def _lines(self, width: int, height: int) -> list[Text]:
        if self.problem is not None:
            return [Text(f" {part}") for part in textwrap.wrap(self.problem, width - 1)]
        return super()._lines(width, height)
