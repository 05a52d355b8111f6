"""The map as a picture in characters.

Two cells share one character (an upper half block in two colours), so that a cell is square on
the screen. Terminals without colour or without block characters get one ASCII mark per character.
Axis letters: h w rows and columns; n m points.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from agentd.view import palette
from agentd.view.fields import Facts, as_point, number, pick, points, rows, text
from agentd.view.grid import GridMap, Viewport, cell_shares, decode_map, fit
from agentd.view.palette import RGB, Glyphs, style

_MAX_TRAIL_GAP_M = 1.0
"""Two positions further apart than this were not driven between (a new episode)."""
_FULL_WALL_SHARE = 0.5
_ASCII_WALL_SHARE = 0.12
"""Lower than a mixed colour needs: a thin wall must not fall out of the picture."""
_MIX_LEVELS = 6
"""Shades between wall, free and unknown; few, so that equal neighbours print as one run."""
_HALF_BLOCK = "\N{UPPER HALF BLOCK}"
_PLAIN = Style.null()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """One character over the picture; `back` None keeps the colour beneath."""

    char: str
    fore: RGB
    back: RGB | None = None


def letters_of(slots: Sequence[Facts]) -> dict[str, str]:
    """Return a letter for each label, given out in the order in which the labels were first met.

    A label gets the first free letter of its own, then any free letter or digit, then `*`.
    """
    taken: dict[str, str] = {}
    for slot in sorted(slots, key=lambda slot: number(slot, "slot_id") or 0):
        label = text(slot, "label", "object")
        if label in taken:
            continue
        wanted = [c for c in label.upper() if c.isascii() and c.isalpha()]
        choices = [*wanted, *"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"]
        taken[label] = next((c for c in choices if c not in taken.values()), "*")
    return taken


def map_lines(
    facts: Facts | None,
    slots: Facts | None,
    *,
    width: int,
    height: int,
    glyphs: Glyphs,
) -> list[list[Segment]]:
    """Draw the map.

    Confirmed slots show as capitals, slots that are not (or no longer) sure as small letters.

    Args:
        facts: A `map` answer.
        slots: A `slots` answer.
        width: Characters across.
        height: Characters down.
        glyphs: What the terminal can show.

    Returns:
        One list of segments per line, each exactly `width` characters wide.

    Raises:
        ValueError: If the map's cells cannot be decoded.
    """
    width, height = max(1, width), max(1, height)
    grid = decode_map(facts)
    if not glyphs.uses_blocks:
        return _ascii_lines(facts, slots, grid, width, height, glyphs)
    view = fit(grid, width, 2 * height)
    image = _paint(*cell_shares(grid, view))
    _paint_trail(image, view, _as_array(points(facts, "trail_m")))
    _paint_path(image, view, _as_array(points(facts, "path_m")))
    return _block_lines(image, _marks(facts, slots, view, glyphs, rows_per_char=2))


def _as_array(pairs: list[tuple[float, float]]) -> Float64[np.ndarray, "n 2"]:
    return np.asarray(pairs, dtype=np.float64).reshape(-1, 2)


def _paint(
    free: Float32[np.ndarray, "h w"], occupied: Float32[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Mix the colours of wall, free and unknown by their shares; a thin wall stays visible."""
    wall = np.round(np.minimum(occupied / _FULL_WALL_SHARE, 1) * _MIX_LEVELS) / _MIX_LEVELS
    known = np.clip(free / np.maximum(1 - occupied, 1e-6), 0, 1)
    known = (np.round(known * _MIX_LEVELS) / _MIX_LEVELS)[..., None]
    ground = known * np.array(palette.FREE) + (1 - known) * np.array(palette.UNKNOWN)
    mixed = wall[..., None] * np.array(palette.WALL) + (1 - wall[..., None]) * ground
    return mixed.astype(np.uint8)


def _polyline_px(
    xy_m: Float64[np.ndarray, "n 2"], view: Viewport
) -> tuple[Int64[np.ndarray, "m 2"], Float64[np.ndarray, "m"]]:
    """Return the pixels of a polyline, in order, and how far along it (0 to 1) each lies."""
    if len(xy_m) < 2:
        return np.zeros((0, 2), dtype=np.int64), np.zeros(0)
    start, end = xy_m[:-1], xy_m[1:]
    length_m = np.hypot(*(end - start).T)
    driven = length_m <= max(_MAX_TRAIL_GAP_M, 4 * view.px_width_m)
    if not driven.any():
        return np.zeros((0, 2), dtype=np.int64), np.zeros(0)
    num_parts = int(np.ceil(length_m[driven].max() / view.px_width_m)) + 1
    parts = np.linspace(0, 1, num_parts + 1)[None, :, None]
    between = start[driven, None] * (1 - parts) + end[driven, None] * parts
    px = view.to_px(between.reshape(-1, 2))
    age = np.repeat(np.flatnonzero(driven) / len(start), num_parts + 1)
    kept = view.inside(px)
    return px[kept], age[kept]


def _paint_trail(
    image: UInt8[np.ndarray, "h w 3"], view: Viewport, trail_m: Float64[np.ndarray, "n 2"]
) -> None:
    """Tint where the robot drove; the recent part is stronger."""
    px, age = _polyline_px(trail_m, view)
    strength = (0.3 + 0.5 * np.round(age * 4) / 4)[:, None]
    column, line = px[:, 0], px[:, 1]
    tinted = (1 - strength) * image[line, column] + strength * np.array(palette.BLUE)
    image[line, column] = tinted.astype(np.uint8)


def _paint_path(
    image: UInt8[np.ndarray, "h w 3"], view: Viewport, path_m: Float64[np.ndarray, "n 2"]
) -> None:
    """Dash the planned way, so that it differs from the trail by more than its colour."""
    px, _ = _polyline_px(path_m, view)
    changed = np.ones(len(px), dtype=bool)
    changed[1:] = (px[1:] != px[:-1]).any(axis=1)
    dashed = px[changed]
    dashed = dashed[np.arange(len(dashed)) % 3 != 2]
    image[dashed[:, 1], dashed[:, 0]] = palette.PURPLE


def _place(
    marks: dict[tuple[int, int], _Mark], view: Viewport, rows_per_char: int, xy_m: Any, mark: _Mark
) -> None:
    """Put a mark on the character under a position; the later one wins."""
    point = as_point(xy_m)
    px = None if point is None else view.pixel(*point)
    if px is not None:
        marks[px[1] // rows_per_char, px[0]] = mark


def _place_target(
    marks: dict[tuple[int, int], _Mark], view: Viewport, rows_per_char: int, xy_m: Any
) -> None:
    """Mark where the robot wants to go; a slot that stands there keeps its letter."""
    here: dict[tuple[int, int], _Mark] = {}
    _place(here, view, rows_per_char, xy_m, _Mark(char="X", fore=palette.BLACK))
    for place, mark in here.items():
        slot = marks.get(place)
        char = slot.char if slot is not None and slot.char.isalnum() else mark.char
        marks[place] = _Mark(char=char, fore=palette.BLACK, back=palette.PURPLE)


def _marks(
    facts: Facts | None, slots: Facts | None, view: Viewport, glyphs: Glyphs, rows_per_char: int
) -> dict[tuple[int, int], _Mark]:
    """Return the marks by (line, column): frontiers, slots by certainty, target, robot."""
    marks: dict[tuple[int, int], _Mark] = {}
    for frontier in points(facts, "frontiers_m"):
        _place(marks, view, rows_per_char, frontier, _Mark(char="+", fore=palette.GREEN))
    known = rows(slots, "slots")
    letters = letters_of(known)
    for state in ("tentative", "suspect", "confirmed"):
        for slot in known:
            if text(slot, "state") != state:
                continue
            char = letters[text(slot, "label", "object")]
            mark = _Mark(
                char=char if state == "confirmed" else char.lower(),
                fore=palette.BLACK,
                back=palette.STATE_COLOURS[state],
            )
            _place(marks, view, rows_per_char, pick(slot, "xyz_m"), mark)
    _place_target(marks, view, rows_per_char, pick(facts, "target_m"))
    yaw_rad = number(facts, "pose.yaw_rad") or 0.0
    arrow = glyphs.arrows[round(yaw_rad / (math.pi / 4)) % 8]
    robot = _Mark(char=arrow, fore=palette.WHITE, back=palette.VERMILION)
    position = (number(facts, "pose.x_m"), number(facts, "pose.y_m"))
    _place(marks, view, rows_per_char, position, robot)
    return marks


def _block_lines(
    image: UInt8[np.ndarray, "h w 3"], marks: dict[tuple[int, int], _Mark]
) -> list[list[Segment]]:
    """Print two pixel rows per line; a mark stands on the darker-to-lighter mean of its two."""
    lines = []
    for line in range(image.shape[0] // 2):
        upper = [tuple(px) for px in image[2 * line].tolist()]
        lower = [tuple(px) for px in image[2 * line + 1].tolist()]
        cells: list[tuple[str, Style]] = []
        for column, (top, bottom) in enumerate(zip(upper, lower, strict=True)):
            mark = marks.get((line, column))
            if mark is not None:
                cells.append((mark.char, style(mark.fore, mark.back or top, bold=True)))
            elif top == bottom:
                cells.append((" ", style(None, top)))
            else:
                cells.append((_HALF_BLOCK, style(top, bottom)))
        lines.append(list(_runs(cells)))
    return lines


def _runs(cells: list[tuple[str, Style]]) -> Iterator[Segment]:
    """Join neighbours of one style: less to print over a slow line."""
    chars: list[str] = []
    current = cells[0][1]
    for char, cell_style in cells:
        if cell_style is not current:
            yield Segment("".join(chars), current)
            chars, current = [], cell_style
        chars.append(char)
    yield Segment("".join(chars), current)


def _ascii_lines(
    facts: Facts | None,
    slots: Facts | None,
    grid: GridMap | None,
    width: int,
    height: int,
    glyphs: Glyphs,
) -> list[list[Segment]]:
    """Draw one ASCII mark per character: `#` wall, `.` free, `,` trail, `*` path."""
    view = fit(grid, width, height, aspect=2.0)
    free, occupied = cell_shares(grid, view)
    canvas = np.where(free > 0, ".", " ")
    canvas[occupied >= _ASCII_WALL_SHARE] = "#"
    for key, char in (("trail_m", ","), ("path_m", "*")):
        px, _ = _polyline_px(_as_array(points(facts, key)), view)
        canvas[px[:, 1], px[:, 0]] = char
    marks = _marks(facts, slots, view, glyphs, rows_per_char=1)
    lines = []
    for line, chars in enumerate(canvas.tolist()):
        cells = [(char, _PLAIN) for char in chars]
        for column in range(width):
            mark = marks.get((line, column))
            if mark is not None:
                shown = style(mark.fore, mark.back, bold=True) if glyphs.has_colour else _PLAIN
                cells[column] = (mark.char, shown)
        lines.append(list(_runs(cells)))
    return lines


def slot_legend(slots: Facts | None) -> Text:
    """Return one line that says which letter stands for which label, most frequent first."""
    known = [slot for slot in rows(slots, "slots") if text(slot, "state") != "archived"]
    letters = letters_of(rows(slots, "slots"))
    counts: dict[str, int] = {}
    for slot in known:
        label = text(slot, "label", "object")
        counts[label] = counts.get(label, 0) + 1
    legend = Text()
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        legend.append(letters[label], palette.STRONG)
        legend.append(f" {label}", palette.LABEL)
        legend.append(f" {counts[label]}  " if counts[label] > 1 else "  ", palette.LABEL)
    return legend
