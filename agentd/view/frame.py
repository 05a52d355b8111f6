"""The live view: the map on the left, what the agent does, knows and learns on the right.

Pure: a dictionary of answers and a size go in, lines of exactly that size come out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from agentd.view import palette, panels
from agentd.view.fields import Facts, one_line, rows, text
from agentd.view.lines import BORDER, Line, beside, boxed, heading, text_line
from agentd.view.mapimage import map_lines, slot_legend
from agentd.view.palette import Glyphs, glyphs_of

Answers = Mapping[str, Facts]
"""What a source returns: `status`, `map`, `slots` and `events`; any of them may be missing."""

_NUM_FIXED_LINES = 14
"""Lines of the right column at its smallest: three headings, 3 + 5 + 3 lines of words."""
_MIN_CURVE_LINES = 6
_MAX_CURVE_LINES = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sizes:
    """How the screen is divided, in characters and lines; `events` includes its border."""

    left: int
    right: int
    body: int
    events: int
    reason: int
    verdict: int
    error_curve: int
    coverage_curve: int


def _divide(width: int, height: int) -> _Sizes:
    """Share a screen out: words first, then their second lines, then the curves."""
    right = min(58, max(38, round(width * 0.42)), max(0, width - 10))
    events = 5 if height < 28 else 6 if height < 36 else 8 if height < 50 else 12
    body = max(3, height - 1 - events)
    left_over = body - _NUM_FIXED_LINES
    reason = 2 if left_over >= 1 else 1
    left_over -= reason
    verdict = 2 if left_over >= 1 and left_over != _MIN_CURVE_LINES else 1
    left_over -= verdict - 1
    coverage = error_curve = 0
    if left_over >= 2 * _MIN_CURVE_LINES + 1:
        coverage = min(_MAX_CURVE_LINES, max(_MIN_CURVE_LINES, 2 * left_over // 5))
        left_over -= coverage + 1
    if left_over >= _MIN_CURVE_LINES:
        error_curve = min(_MAX_CURVE_LINES, left_over)
    return _Sizes(
        left=width - right,
        right=right,
        body=body,
        events=events,
        reason=reason,
        verdict=verdict,
        error_curve=error_curve,
        coverage_curve=coverage,
    )


def frame(
    answers: Answers, console: Console, *, width: int, height: int, error: str | None = None
) -> list[Line]:
    """Draw the live view.

    Args:
        answers: Latest answers of the life.
        console: Tells what the terminal can show.
        width: Characters across; 80 and more read well.
        height: Lines down; 24 and more read well.
        error: What went wrong in the view itself, shown where the life has no error of its own.

    Returns:
        `height` lines, each of `width` characters.

    Raises:
        ValueError: If the map's cells cannot be decoded.
    """
    glyphs = glyphs_of(console)
    status = answers.get("status")
    sizes = _divide(width, height)
    right = [
        text_line(line, sizes.right, console, glyphs)
        for line in _right(status, sizes, glyphs)[: sizes.body]
    ]
    right += [text_line(Text(), sizes.right, console, glyphs)] * (sizes.body - len(right))
    lines = [
        text_line(panels.headline(status, glyphs), width, console, glyphs),
        *beside(_map(answers, sizes, console, glyphs), right),
        *_events(answers, width, sizes.events, error, console, glyphs),
    ]
    return lines[:height]


def _map(answers: Answers, sizes: _Sizes, console: Console, glyphs: Glyphs) -> list[Line]:
    """Return the map in its box, the letters' meaning on the last line."""
    slots = answers.get("slots")
    inner = sizes.left - BORDER
    image_height = max(1, sizes.body - BORDER - 1)
    image = map_lines(answers.get("map"), slots, width=inner, height=image_height, glyphs=glyphs)
    legend = text_line(slot_legend(slots), inner, console, glyphs)
    return boxed(
        [*image, legend],
        title="map",
        subtitle=panels.map_legend(glyphs),
        width=sizes.left,
        height=sizes.body,
        console=console,
        glyphs=glyphs,
    )


def _right(status: Facts | None, sizes: _Sizes, glyphs: Glyphs) -> list[Text]:
    """Return the lines of the right column."""
    width = sizes.right - 2
    reason, verdict = sizes.reason, sizes.verdict
    lines = [
        heading("doing", width, glyphs),
        *panels.doing(status, glyphs, width=width, num_reason_lines=reason),
        heading("life", width, glyphs),
        *panels.numbers(status, glyphs, width=width),
        heading("learning", width, glyphs),
        *panels.learning(status, glyphs, width=width, num_verdict_lines=verdict),
    ]
    if sizes.error_curve:
        curve = panels.error_curve(status, width=width, height=sizes.error_curve, glyphs=glyphs)
        lines += curve.split("\n")
    if sizes.coverage_curve:
        lines.append(heading("coverage", width, glyphs))
        curve = panels.coverage_curve(
            status, width=width, height=sizes.coverage_curve, glyphs=glyphs
        )
        lines += curve.split("\n")
    for line in lines:
        line.pad_left(1)
    return lines


def _events(
    answers: Answers, width: int, height: int, error: str | None, console: Console, glyphs: Glyphs
) -> list[Line]:
    """Return the last events in their box; an error takes the last line."""
    num_lines = height - BORDER
    events = rows(answers.get("events"), "events")[-num_lines:]
    lines = [panels.event_line(event) for event in events]
    problem = text(answers.get("status"), "health.last_error") or error
    if problem:
        lines.append(Text(f" last error: {one_line(problem)}", palette.ALARM))
    inner = width - BORDER
    content = [text_line(line, inner, console, glyphs) for line in lines[-num_lines:]]
    return boxed(
        content, title="events", width=width, height=height, console=console, glyphs=glyphs
    )
