"""Lines of characters of an exact width, and boxes around them.

The live view is drawn four times a second beside a control loop; putting lines together directly
costs a third of what nested rich panels and tables cost.
"""

from collections.abc import Sequence
from itertools import chain

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from agentd.view import palette
from agentd.view.palette import Glyphs, style

Line = list[Segment]
"""Segments of one line, without its end."""

BORDER = 2
"""Lines (and columns) that a box takes from its content."""

_TITLE = style(palette.SKY_BLUE)
_SPACE = Style.null()


def text_line(text: Text, width: int, console: Console, glyphs: Glyphs) -> Line:
    """Return a text as one line: cut with an ellipsis where too long, filled up where short."""
    text = text.copy()
    text.truncate(max(0, width), overflow="ellipsis" if glyphs.is_unicode else "crop")
    short = max(0, width - text.cell_len)
    return [*text.render(console), Segment(" " * short, _SPACE)]


def heading(title: str, width: int, glyphs: Glyphs) -> Text:
    """Return a rule with a title in it."""
    dash = glyphs.box[0]
    text = Text(f"{dash} ", palette.LABEL)
    text.append(title, _TITLE)
    text.append(" " + dash * max(0, width - len(title) - 3))
    return text


def boxed(
    content: Sequence[Line],
    *,
    title: str,
    subtitle: Text | None = None,
    width: int,
    height: int,
    console: Console,
    glyphs: Glyphs,
) -> list[Line]:
    """Return a box with a title around lines that are `width` - 2 wide.

    Args:
        content: Lines; what is missing to the height is left blank, what is too much is left out.
        title: Stands in the upper border.
        subtitle: Stands in the lower border.
        width: Characters across, with the border.
        height: Lines down, with the border.
        console: Resolves styles.
        glyphs: What the terminal can show.
    """
    dash, side, *corners = list(glyphs.box)
    inner = max(0, width - BORDER)
    upper = heading(title, inner, glyphs)
    lower = Text(dash, palette.LABEL)
    if subtitle is not None:
        lower.append(" ").append_text(subtitle).append(" ")
        lower.truncate(inner)
    lower.append(dash * max(0, inner - lower.cell_len), palette.LABEL)
    edge = Segment(side, palette.LABEL)
    blank = [Segment(" " * inner, _SPACE)]
    shown = [*content, *[blank] * height][: max(0, height - BORDER)]
    return [
        _ends(corners[0], text_line(upper, inner, console, glyphs), corners[1]),
        *([edge, *line, edge] for line in shown),
        _ends(corners[2], text_line(lower, inner, console, glyphs), corners[3]),
    ]


def _ends(first: str, line: Line, last: str) -> Line:
    return [Segment(first, palette.LABEL), *line, Segment(last, palette.LABEL)]


def beside(left: Sequence[Line], right: Sequence[Line]) -> list[Line]:
    """Join two blocks of equally many lines."""
    return [[*a, *b] for a, b in zip(left, right, strict=True)]


def flat(lines: Sequence[Line]) -> list[Segment]:
    """Return the segments of all lines with line ends between them."""
    ended = [[*line, Segment.line()] for line in lines]
    return list(chain.from_iterable(ended))[:-1]
