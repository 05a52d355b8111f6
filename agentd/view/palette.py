"""Colours and characters of the views.

The hues are those of Okabe and Ito (2008), which stay apart for colour-blind readers; every mark
also differs by its shape or its letter, so that nothing is lost without colour.
"""

from dataclasses import dataclass
from functools import lru_cache

from rich.color import Color
from rich.console import Console
from rich.style import Style

RGB = tuple[int, int, int]

ORANGE: RGB = (230, 159, 0)
SKY_BLUE: RGB = (86, 180, 233)
GREEN: RGB = (0, 158, 115)
YELLOW: RGB = (240, 228, 66)
BLUE: RGB = (0, 114, 178)
VERMILION: RGB = (213, 94, 0)
PURPLE: RGB = (204, 121, 167)

BLACK: RGB = (0, 0, 0)
WHITE: RGB = (255, 255, 255)
GREY: RGB = (138, 143, 152)

UNKNOWN: RGB = (24, 27, 33)
FREE: RGB = (206, 209, 204)
WALL: RGB = (104, 110, 121)

EVENT_COLOURS: dict[str, RGB] = {
    "mode": SKY_BLUE,
    "goal": PURPLE,
    "learning": ORANGE,
    "memory": GREEN,
    "world": YELLOW,
    "safety": VERMILION,
    "life": GREY,
}
STATE_COLOURS: dict[str, RGB] = {
    "confirmed": YELLOW,
    "tentative": SKY_BLUE,
    "suspect": ORANGE,
    "archived": GREY,
}
STATE_WORDS: dict[str, str] = {
    "confirmed": "sure",
    "tentative": "new",
    "suspect": "doubted",
    "archived": "gone",
}


_BOX = "\u2500\u2502\u256d\u256e\u2570\u256f"
_ARROWS = "\u2192\u2197\u2191\u2196\u2190\u2199\u2193\u2198"


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """What the terminal can show."""

    is_unicode: bool = True
    """Block, braille and arrow characters; plain ASCII otherwise."""
    has_colour: bool = True

    @property
    def uses_blocks(self) -> bool:
        """Whether two map cells share one character: needs half blocks in two colours."""
        return self.is_unicode and self.has_colour

    @property
    def arrows(self) -> str:
        """Eight headings, counter-clockwise from the x axis."""
        return _ARROWS if self.is_unicode else ">/^\\</v\\"

    @property
    def box(self) -> str:
        """Horizontal, vertical, then the corners: top left, top right, bottom left, right."""
        return _BOX if self.is_unicode else "-|++++"

    @property
    def accepted(self) -> str:
        return "\N{BLACK CIRCLE}" if self.is_unicode else "o"

    @property
    def refused(self) -> str:
        return "\N{MULTIPLICATION SIGN}" if self.is_unicode else "x"

    @property
    def dot(self) -> str:
        """What stands between two facts on a line."""
        return "\N{MIDDLE DOT}" if self.is_unicode else "-"

    @property
    def square_metres(self) -> str:
        return "m\N{SUPERSCRIPT TWO}" if self.is_unicode else "m2"

    @property
    def ellipsis(self) -> str:
        return "\N{HORIZONTAL ELLIPSIS}" if self.is_unicode else "~"


def glyphs_of(console: Console) -> Glyphs:
    """Return what a console can show; `NO_COLOR` and dumb terminals are honoured."""
    return Glyphs(
        is_unicode=console.encoding.lower().startswith("utf"),
        has_colour=console.color_system is not None and not console.no_color,
    )


@lru_cache(maxsize=4096)
def style(fore: RGB | None = None, back: RGB | None = None, *, bold: bool = False) -> Style:
    """Return a style; few distinct ones exist, and making one is slow."""
    return Style(
        color=None if fore is None else Color.from_rgb(*fore),
        bgcolor=None if back is None else Color.from_rgb(*back),
        bold=bold or None,
    )


LABEL = style(GREY)
STRONG = Style(bold=True)
ALARM = style(VERMILION, bold=True)
