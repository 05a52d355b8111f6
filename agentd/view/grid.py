"""The map's cells, and how they fall on the pixels of a picture.

Axis letters: h w rows and columns; n points. Cell row 0 has the smallest y, pixel row 0 the
largest.
"""

import base64
import binascii
import math
import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from agentd.view.fields import Facts, as_point, number, pick

FREE, OCCUPIED = 1, 2

_MARGIN_M = 0.4
_SNAP_M = 1.0
"""The picture's bounds grow in these steps, so that it does not shift at every look."""
_MIN_VIEW_M = 4.0
_MAX_CELLS = 64_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GridMap:
    """An occupancy map. `cells` holds 0 unknown, 1 free, 2 occupied."""

    cells: UInt8[np.ndarray, "h w"]
    cell_m: float
    origin_m: tuple[float, float]
    """World position of the outer corner of cell (0, 0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewport:
    """Which part of the world is drawn on how many pixels."""

    left_m: float
    top_m: float
    px_width_m: float
    px_height_m: float
    width_px: int
    height_px: int

    def to_px(self, xy_m: Float64[np.ndarray, "n 2"]) -> Int64[np.ndarray, "n 2"]:
        """Return (column, row) of each position; positions outside get values out of range."""
        columns = np.floor((xy_m[:, 0] - self.left_m) / self.px_width_m)
        lines = np.floor((self.top_m - xy_m[:, 1]) / self.px_height_m)
        return np.clip(np.stack([columns, lines], axis=1), -1e9, 1e9).astype(np.int64)

    def inside(self, px: Int64[np.ndarray, "n 2"]) -> Bool[np.ndarray, "n"]:
        """Return which pixels lie in the picture."""
        limits = np.array([self.width_px, self.height_px])
        return np.all((px >= 0) & (px < limits), axis=1)

    def pixel(self, x_m: float, y_m: float) -> tuple[int, int] | None:
        """Return (column, row) of one position, or None outside the picture."""
        column = math.floor((x_m - self.left_m) / self.px_width_m)
        line = math.floor((self.top_m - y_m) / self.px_height_m)
        inside = 0 <= column < self.width_px and 0 <= line < self.height_px
        return (column, line) if inside else None


def decode_map(facts: Facts | None) -> GridMap | None:
    """Return the map of a `map` answer, or None when it has none yet.

    Raises:
        ValueError: If the cells cannot be decoded or do not fill width x height.
    """
    width, height = number(facts, "width"), number(facts, "height")
    cell_m, cells = number(facts, "cell_m"), pick(facts, "cells")
    origin = as_point(pick(facts, "origin_m"))
    if not width or not height or not cell_m or not cells or origin is None:
        return None
    expected = int(width) * int(height)
    if not 0 < expected <= _MAX_CELLS or cell_m < 0:
        raise ValueError(f"map of {width:.0f} x {height:.0f} cells: at most {_MAX_CELLS} are drawn")
    try:
        raw = zlib.decompressobj().decompress(base64.b64decode(cells, validate=True), expected + 1)
    except (binascii.Error, zlib.error, TypeError, ValueError) as error:
        raise ValueError(f"map cells are not base64 of zlib data: {error}") from error
    if len(raw) != expected:
        raise ValueError(f"map cells hold {len(raw)} bytes, width x height needs {expected}")
    grid = np.frombuffer(raw, dtype=np.uint8).reshape(int(height), int(width))
    return GridMap(cells=grid, cell_m=cell_m, origin_m=origin)


def fit(grid: GridMap | None, width_px: int, height_px: int, *, aspect: float = 1.0) -> Viewport:
    """Return the viewport that shows the explored part of a map as large as it fits.

    Args:
        grid: The map; None shows an empty area around the origin.
        width_px: Pixels across.
        height_px: Pixels down.
        aspect: Height of a pixel as a multiple of its width.
    """
    low, high = _explored_bounds_m(grid)
    centre = (low + high) / 2
    size = np.maximum(high - low, _MIN_VIEW_M)
    px_m = max(float(size[0]) / width_px, float(size[1]) / (height_px * aspect))
    return Viewport(
        left_m=float(centre[0]) - px_m * width_px / 2,
        top_m=float(centre[1]) + px_m * aspect * height_px / 2,
        px_width_m=px_m,
        px_height_m=px_m * aspect,
        width_px=width_px,
        height_px=height_px,
    )


def _explored_bounds_m(
    grid: GridMap | None,
) -> tuple[Float64[np.ndarray, "2"], Float64[np.ndarray, "2"]]:
    """Return the lowest and highest corner of what is known, with a margin, snapped outwards."""
    if grid is None:
        return np.full(2, -_MIN_VIEW_M / 2), np.full(2, _MIN_VIEW_M / 2)
    known_x = np.flatnonzero(grid.cells.any(axis=0))
    known_y = np.flatnonzero(grid.cells.any(axis=1))
    if known_x.size == 0:
        return np.full(2, -_MIN_VIEW_M / 2), np.full(2, _MIN_VIEW_M / 2)
    origin = np.asarray(grid.origin_m)
    low = origin + np.array([known_x[0], known_y[0]]) * grid.cell_m - _MARGIN_M
    high = origin + np.array([known_x[-1] + 1, known_y[-1] + 1]) * grid.cell_m + _MARGIN_M
    return np.floor(low / _SNAP_M) * _SNAP_M, np.ceil(high / _SNAP_M) * _SNAP_M


def cell_shares(
    grid: GridMap | None, view: Viewport
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Return for each pixel which share of its cells is free and which is occupied."""
    free = np.zeros((view.height_px, view.width_px), dtype=np.float32)
    occupied = np.zeros_like(free)
    if grid is None:
        return free, occupied
    num_rows, num_columns = grid.cells.shape
    left = (view.left_m - grid.origin_m[0]) / grid.cell_m
    bottom_m = view.top_m - view.height_px * view.px_height_m
    bottom = (bottom_m - grid.origin_m[1]) / grid.cell_m
    columns = _bins(left, view.px_width_m / grid.cell_m, view.width_px, num_columns)
    lines = _bins(bottom, view.px_height_m / grid.cell_m, view.height_px, num_rows)
    if columns is None or lines is None:
        return free, occupied
    part = grid.cells[lines.start : lines.stop, columns.start : columns.stop]
    area = np.outer(lines.sizes, columns.sizes)
    where = np.ix_(view.height_px - 1 - lines.pixels, columns.pixels)
    for kind, shares in ((FREE, free), (OCCUPIED, occupied)):
        sums = np.add.reduceat(part == kind, lines.edges, axis=0, dtype=np.int32)
        shares[where] = np.add.reduceat(sums, columns.edges, axis=1) / area
    return free, occupied


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bins:
    """Which cells fall into which pixels, along one axis."""

    pixels: Int64[np.ndarray, "n"]
    edges: Int64[np.ndarray, "n"]
    """First cell of each pixel, counted from `start`; equal edges repeat one cell."""
    sizes: Int64[np.ndarray, "n"]
    start: int
    stop: int


def _bins(first: float, step: float, num_pixels: int, num_cells: int) -> _Bins | None:
    """Cut an axis of cells into pixels of `step` cells; None when no pixel meets a cell."""
    edges = np.floor(first + step * np.arange(num_pixels + 1)).astype(np.int64)
    ends = np.maximum(edges[1:], edges[:-1] + 1)
    pixels = np.flatnonzero((ends > 0) & (edges[:-1] < num_cells))
    if pixels.size == 0:
        return None
    starts = np.clip(edges[:-1][pixels], 0, num_cells - 1)
    stop = int(min(ends[pixels[-1]], num_cells))
    sizes = np.maximum(np.diff(starts, append=stop), 1)
    start = int(starts[0])
    return _Bins(pixels=pixels, edges=starts - start, sizes=sizes, start=start, stop=stop)
