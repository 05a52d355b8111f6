"""The live view as a picture that scales: an SVG without fonts or scripts from elsewhere."""

import io
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import TerminalTheme

from agentd.view.frame import Answers, frame

_CHAR_WIDTH_PX = 8.43
"""Advance of the first font below, for viewers that ignore textLength."""
_LINE_HEIGHT_PX = 17.0
_FONT_PX = 14
_BASELINE_PX = 13
_PADDING_PX = 12
_UPPER_HALF = "\N{UPPER HALF BLOCK}"
_THEME = TerminalTheme((16, 18, 22), (220, 223, 228), [(0, 0, 0)] * 8, [(0, 0, 0)] * 8)


def save_svg(answers: Answers, path: Path, *, width: int = 110, height: int = 34) -> None:
    """Write the live view as an SVG.

    Half blocks become rectangles, so that the map has no gaps between its lines.

    Args:
        answers: `status`, `map`, `slots` and `events` of a life.
        path: File to write; an older one is replaced.
        width: Characters across.
        height: Lines down.
    """
    console = Console(
        width=width,
        height=height,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        legacy_windows=False,
        _environ={},
    )
    lines = frame(answers, console, width=width, height=height)
    path.write_text("\n".join(_svg(lines, width, height)) + "\n", encoding="utf-8")


def _svg(lines: list[list[Segment]], width: int, height: int) -> Iterator[str]:
    across = width * _CHAR_WIDTH_PX + 2 * _PADDING_PX
    down = height * _LINE_HEIGHT_PX + 2 * _PADDING_PX
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across:g} {down:g}" '
        f'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="{_FONT_PX}" '
        'xml:space="preserve" shape-rendering="crispEdges">'
    )
    yield f'<rect width="100%" height="100%" rx="8" fill="{_hex(_THEME.background_color)}"/>'
    for number, line in enumerate(lines):
        column = 0
        top = _PADDING_PX + number * _LINE_HEIGHT_PX
        for segment in line:
            yield from _run(segment, _PADDING_PX + column * _CHAR_WIDTH_PX, top)
            column += segment.cell_length
    yield "</svg>"


def _run(segment: Segment, left: float, top: float) -> Iterator[str]:
    """Draw a run of characters of one style."""
    chars, run_style = segment.text, segment.style or Style.null()
    across = segment.cell_length * _CHAR_WIDTH_PX
    fore, back = _colours(run_style)
    if back is not None:
        yield _rect(left, top, across, _LINE_HEIGHT_PX, back)
    if chars == _UPPER_HALF * len(chars):
        yield _rect(left, top, across, _LINE_HEIGHT_PX / 2, fore)
    elif chars.strip():
        indent = len(chars) - len(chars.lstrip())
        shown = chars.strip()
        weight = ' font-weight="bold"' if run_style.bold else ""
        yield (
            f'<text x="{left + indent * _CHAR_WIDTH_PX:g}" y="{top + _BASELINE_PX:g}" '
            f'textLength="{len(shown) * _CHAR_WIDTH_PX:g}" fill="{fore}"{weight}>'
            f"{escape(shown)}</text>"
        )


def _rect(left: float, top: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" fill="{fill}"/>'


def _colours(run_style: Style) -> tuple[str, str | None]:
    """Return the colours of characters and ground; no ground where the terminal's own shows."""
    fore = run_style.color.get_truecolor(_THEME) if run_style.color else _THEME.foreground_color
    if run_style.bgcolor is None or run_style.bgcolor.is_default:
        return _hex(fore), None
    return _hex(fore), _hex(run_style.bgcolor.get_truecolor(_THEME, foreground=False))


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
