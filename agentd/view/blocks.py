"""A small picture in a terminal: half blocks, two pixels per character."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment

from agentd.view.palette import style

_UPPER_HALF = "\N{UPPER HALF BLOCK}"


class BlockPicture:
    """A rich renderable.

    Args:
        rgb: Pixels.
        max_width: Larger pictures are shrunk to so many characters, by the mean of areas.
    """

    def __init__(self, rgb: UInt8[np.ndarray, "h w 3"], max_width: int = 48) -> None:
        self._rgb = _shrunk(rgb, max_width)

    def lines(self) -> Iterator[list[Segment]]:
        """Return the characters of each line; the last pixel row of an odd number is left out."""
        for row in range(0, self._rgb.shape[0] // 2 * 2, 2):
            upper, lower = self._rgb[row].tolist(), self._rgb[row + 1].tolist()
            yield [
                Segment(_UPPER_HALF, style(tuple(top), tuple(bottom)))
                for top, bottom in zip(upper, lower, strict=True)
            ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.lines():
            yield from line
            yield Segment.line()


def _shrunk(rgb: UInt8[np.ndarray, "h w 3"], max_width: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    factor = -(-rgb.shape[1] // max_width)
    if factor <= 1:
        return rgb
    height, width = (size // factor * factor for size in rgb.shape[:2])
    blocks = rgb[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
    means: UInt8[np.ndarray, "h2 w2 3"] = blocks.mean(axis=(1, 3)).round().astype(np.uint8)
    return means
