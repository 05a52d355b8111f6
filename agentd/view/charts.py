"""Small charts in characters: lines over steps or rounds, and sparklines."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.style import Style
from rich.text import Text

from agentd.view import palette
from agentd.view.fields import format_count
from agentd.view.palette import RGB, Glyphs, style

_SPARKS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_ASCII_SPARKS = "_.-=+*#"
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bit of each of a braille character's dots, by row and column."""
_MAX_CHART_POINTS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a chart. `mark` is its character where dots cannot be drawn."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: RGB
    mark: str = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axes:
    """Ranges of the two axes, never empty."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def dot(self, x: float, y: float, num_columns: int, num_rows: int) -> tuple[int, int]:
        """Return (column, row) of a point on a canvas whose row 0 is the top."""
        across = (x - self.x_low) / (self.x_high - self.x_low)
        up = (y - self.y_low) / (self.y_high - self.y_low)
        return round(across * (num_columns - 1)), round((1 - up) * (num_rows - 1))


def sparkline(values: Sequence[float], width: int, glyphs: Glyphs) -> str:
    """Return the values as bars of one line, thinned to `width` (each bar the last of its bin)."""
    sparks = _SPARKS if glyphs.is_unicode else _ASCII_SPARKS
    finite = [value for value in values if math.isfinite(value)]
    if not finite or width < 1:
        return ""
    num = min(width, len(finite))
    thinned = [finite[(i + 1) * len(finite) // num - 1] for i in range(num)]
    low, high = min(thinned), max(thinned)
    span = high - low or 1.0
    top = len(sparks) - 1
    return "".join(sparks[round((value - low) / span * top)] for value in thinned)


def line_chart(
    series: Sequence[Series],
    *,
    width: int,
    height: int,
    glyphs: Glyphs,
    x_word: str,
    y_digits: int = 2,
    y_unit: str = "",
    outcomes: Sequence[tuple[float, bool]] = (),
    reference: float | None = None,
) -> Text:
    """Draw lines with labelled axes.

    Args:
        series: What is drawn; later lines lie on top.
        width: Characters across, at least 16.
        height: Lines down with the x axis, at least 3.
        glyphs: What the terminal can show.
        x_word: What x counts, written under the axis.
        y_digits: Digits of the labels of the y axis.
        y_unit: Unit of y, written at its largest label.
        outcomes: (x, accepted) marks under the axis; takes one line more of the height.
        reference: A value of y that gets a dotted line when it lies in the range.

    Returns:
        `height` lines of at most `width` characters; one line of words when there is no point.
    """
    axes = _axes(series, reference)
    if axes is None:
        return Text("nothing measured yet", palette.LABEL)
    high, low = f"{axes.y_high:.{y_digits}f}{y_unit}", f"{axes.y_low:.{y_digits}f}"
    margin = max(len(high), len(low)) + 1
    num_columns = max(1, width - margin)
    num_lines = max(1, height - 1 - bool(outcomes))
    draw = _braille if glyphs.is_unicode else _letters
    canvas = draw(series, axes, num_columns, num_lines, reference)
    chart = Text()
    for line, cells in enumerate(canvas):
        label = high if line == 0 else low if line == num_lines - 1 else ""
        chart.append(label.rjust(margin - 1) + " ", palette.LABEL)
        for char, char_style in cells:
            chart.append(char, char_style)
        chart.append("\n")
    if outcomes:
        chart.append(" " * margin)
        chart.append_text(_outcome_line(outcomes, axes, num_columns, glyphs))
        chart.append("\n")
    chart.append(" " * margin + _x_labels(axes, num_columns, x_word), palette.LABEL)
    return chart


def _axes(series: Sequence[Series], reference: float | None) -> _Axes | None:
    """Return ranges that hold every point; None without points."""
    points = [point for line in series for point in line.points]
    if not points:
        return None
    xs = [x for x, _ in points]
    ys = [y for _, y in points]
    y_low, y_high = min(ys), max(ys)
    if reference is not None and reference > y_high:
        y_high = min(reference, y_high + 0.25 * (y_high - y_low or 1.0))
    if y_high == y_low:
        y_low, y_high = y_low - 0.5, y_high + 0.5
    x_low, x_high = min(xs), max(xs)
    return _Axes(
        x_low=x_low, x_high=x_high if x_high > x_low else x_low + 1, y_low=y_low, y_high=y_high
    )


def _x_labels(axes: _Axes, num_columns: int, x_word: str) -> str:
    """Write the ends of the x axis, and what it counts between them if that fits."""
    first, last = format_count(axes.x_low), format_count(axes.x_high)
    gap = num_columns - len(first) - len(last)
    if gap < 1:
        return last[:num_columns].rjust(num_columns)
    middle = x_word.center(gap) if len(x_word) + 2 <= gap else " " * gap
    return first + middle + last


def _outcome_line(
    outcomes: Sequence[tuple[float, bool]], axes: _Axes, num_columns: int, glyphs: Glyphs
) -> Text:
    """Mark what was accepted and refused under the points they belong to."""
    cells = [(" ", Style.null())] * num_columns
    for x, is_accepted in outcomes:
        column, _ = axes.dot(x, axes.y_low, num_columns, 1)
        if not 0 <= column < num_columns:
            continue
        cells[column] = (
            (glyphs.accepted, style(palette.GREEN, bold=True))
            if is_accepted
            else (glyphs.refused, style(palette.VERMILION, bold=True))
        )
    return Text.assemble(*cells)


def _braille(
    series: Sequence[Series],
    axes: _Axes,
    num_columns: int,
    num_lines: int,
    reference: float | None,
) -> list[list[tuple[str, Style]]]:
    """Draw with 2 x 4 dots per character."""
    dots: dict[tuple[int, int], int] = {}
    colours: dict[tuple[int, int], Style] = {}

    def put(column: int, row: int, dot_style: Style) -> None:
        cell = row // 4, column // 2
        dots[cell] = dots.get(cell, 0) | _DOTS[row % 4][column % 2]
        colours[cell] = dot_style

    dot_columns, dot_rows = 2 * num_columns, 4 * num_lines
    if reference is not None and axes.y_low <= reference <= axes.y_high:
        _, row = axes.dot(axes.x_low, reference, dot_columns, dot_rows)
        for column in range(0, dot_columns, 4):
            put(column, row, palette.LABEL)
    for line in series:
        drawn = style(line.colour)
        for column, row in _stroke(line.points, axes, dot_columns, dot_rows):
            put(column, row, drawn)
    return [
        [
            (chr(_BRAILLE + dots[row, column]), colours[row, column])
            if (row, column) in dots
            else (" ", Style.null())
            for column in range(num_columns)
        ]
        for row in range(num_lines)
    ]


def _letters(
    series: Sequence[Series],
    axes: _Axes,
    num_columns: int,
    num_lines: int,
    reference: float | None,
) -> list[list[tuple[str, Style]]]:
    """Draw with one ASCII mark per point; lines that meet show the later one."""
    cells: list[list[tuple[str, Style]]] = [
        [(" ", Style.null())] * num_columns for _ in range(num_lines)
    ]
    if reference is not None and axes.y_low <= reference <= axes.y_high:
        _, row = axes.dot(axes.x_low, reference, num_columns, num_lines)
        cells[row] = [("." if i % 2 == 0 else " ", palette.LABEL) for i in range(num_columns)]
    for line in series:
        for x, y in line.points:
            column, row = axes.dot(x, y, num_columns, num_lines)
            cells[row][column] = (line.mark, style(line.colour))
    return cells


def _stroke(
    points: Sequence[tuple[float, float]], axes: _Axes, num_columns: int, num_rows: int
) -> list[tuple[int, int]]:
    """Return the dots of straight lines from point to point."""
    thinned = points[:: max(1, len(points) // _MAX_CHART_POINTS)]
    corners = [axes.dot(x, y, num_columns, num_rows) for x, y in thinned]
    dots = corners[:1]
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        num = max(abs(x1 - x0), abs(y1 - y0))
        dots += [
            (round(x0 + (x1 - x0) * i / num), round(y0 + (y1 - y0) * i / num))
            for i in range(1, num + 1)
        ]
    return dots
