"""The live view: the map on the left, what the agent does, knows and learns on the right.

Pure: a dictionary of answers and a size go in, a rich renderable of exactly that size comes out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from agentd.view import palette, panels
from agentd.view.fields import Facts, rows, text
from agentd.view.mapimage import MapImage, slot_legend
from agentd.view.palette import Glyphs, glyphs_of, style

Answers = Mapping[str, Facts]
"""What a source returns: `status`, `map`, `slots` and `events`; any of them may be missing."""

_NUM_DOING_LINES = 4
_NUM_NUMBER_LINES = 5
_NUM_LEARNING_LINES = 3
_MIN_CURVE_LINES = 6
_COVERAGE_LINES = 8
_BORDER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sizes:
    """How the screen is divided, in characters and lines; heights include borders."""

    left: int
    right: int
    body: int
    doing: int
    numbers: int
    learning: int
    coverage: int
    events: int


def _divide(width: int, height: int) -> _Sizes:
    """Share a screen out: fixed lines of words first, then events, curves and the map."""
    right = min(56, max(36, round(width * 0.42)))
    events = 5 if height < 28 else 7 if height < 44 else 10
    body = max(3, height - 1 - events)
    reason_lines = 0 if body < 21 else 1
    doing = _NUM_DOING_LINES + _BORDER + reason_lines
    numbers = _NUM_NUMBER_LINES + _BORDER
    rest = body - doing - numbers
    coverage = _COVERAGE_LINES + _BORDER
    if rest - coverage < _NUM_LEARNING_LINES + _MIN_CURVE_LINES + _BORDER:
        coverage = 0
    return _Sizes(
        left=max(10, width - right),
        right=right,
        body=body,
        doing=doing,
        numbers=numbers,
        learning=max(0, rest - coverage),
        coverage=coverage,
        events=events,
    )


def frame(
    answers: Answers, *, width: int, height: int, glyphs: Glyphs, error: str | None = None
) -> RenderableType:
    """Lay the live view out.

    Args:
        answers: Latest answers of the life.
        width: Characters across; at least 60 read well.
        height: Lines down; at least 20 read well.
        glyphs: What the terminal can show.
        error: What went wrong in the view itself, shown in place of the life's last error.

    Returns:
        A renderable of `height` lines.
    """
    status = answers.get("status")
    sizes = _divide(width, height)
    inner = sizes.right - 4
    right: list[RenderableType] = [
        _panel("doing", panels.doing(status, glyphs), sizes.doing, glyphs),
        _panel("life", panels.numbers(status, glyphs, inner), sizes.numbers, glyphs),
    ]
    if sizes.coverage:
        chart = panels.coverage_curve(status, width=inner, height=_COVERAGE_LINES, glyphs=glyphs)
        right.append(_panel("coverage", [chart], sizes.coverage, glyphs))
    if sizes.learning > _BORDER:
        right.append(_learning(status, sizes.learning, inner, glyphs))
    body = Table.grid(padding=0)
    body.add_column(width=sizes.left)
    body.add_column(width=sizes.right)
    body.add_row(_map(answers, sizes.body, glyphs), Group(*right))
    problem = error or text(status, "health.last_error") or None
    return Group(
        _cut(panels.headline(status, glyphs), glyphs),
        body,
        _events(answers, sizes.events, problem, glyphs),
    )


def _cut(line: Text, glyphs: Glyphs) -> Text:
    """Never wrap; end what is too long with a mark that the terminal can show."""
    line.overflow = "ellipsis" if glyphs.is_unicode else "crop"
    return line


def _panel(title: str, lines: list[Text], height: int, glyphs: Glyphs) -> Panel:
    """Frame lines; text that may wrap takes what is left of the height."""
    lines = [_cut(line, glyphs) if line.no_wrap else line for line in lines]
    return Panel(
        Group(*lines),
        title=Text(title, style(palette.SKY_BLUE)),
        title_align="left",
        border_style=style(palette.GREY),
        box=box.ROUNDED,
        height=height,
        padding=(0, 1),
    )


def _map(answers: Answers, height: int, glyphs: Glyphs) -> Panel:
    image = MapImage(answers.get("map"), answers.get("slots"), glyphs)
    legend = _cut(slot_legend(answers.get("slots")), glyphs)
    return Panel(
        _Stack(image, legend),
        title=Text("map", style(palette.SKY_BLUE)),
        title_align="left",
        subtitle=panels.map_legend(glyphs),
        subtitle_align="left",
        border_style=style(palette.GREY),
        box=box.ROUNDED,
        height=height,
        padding=0,
    )


class _Stack:
    """An image over one line of words, filling the height it is given."""

    def __init__(self, image: MapImage, line: Text) -> None:
        self._image = image
        self._line = line

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or options.max_height
        yield from self._image.__rich_console__(console, options.update_height(max(1, height - 1)))
        yield self._line


def _learning(status: Facts | None, height: int, inner: int, glyphs: Glyphs) -> Panel:
    lines = panels.learning(status, glyphs)
    num_left = height - _BORDER - len(lines)
    if num_left >= _MIN_CURVE_LINES:
        curve = panels.error_curve(status, width=inner, height=min(12, num_left), glyphs=glyphs)
        lines.append(curve)
    return _panel("learning", lines, height, glyphs)


def _events(answers: Answers, height: int, problem: str | None, glyphs: Glyphs) -> Panel:
    num_lines = height - _BORDER
    lines = []
    if problem:
        lines.append(Text(f"last error: {problem}", palette.ALARM, no_wrap=True))
    recent = rows(answers.get("events"), "events")[-(num_lines - len(lines)) :]
    lines += [panels.event_line(event) for event in recent]
    return _panel("events", lines, height, glyphs)


class LiveFrame:
    """The live view as a renderable that takes its size from the console at each drawing."""

    def __init__(self, answers: Answers, error: str | None = None) -> None:
        self._answers = answers
        self._error = error

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or console.height
        glyphs = glyphs_of(console)
        drawn = frame(
            self._answers,
            width=options.max_width,
            height=height,
            glyphs=glyphs,
            error=self._error,
        )
        lines = console.render_lines(drawn, options.update_height(height), pad=True)
        for i, line in enumerate(lines[:height]):
            yield from line
            if i < min(len(lines), height) - 1:
                yield Segment.line()
