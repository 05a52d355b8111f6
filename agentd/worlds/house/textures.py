"""Procedural surface colours, computed at the hit points; no image files.

A texture is a function of `Hits` that returns colours. Fine patterns are scaled by `fade`, which
falls to 0 where a pixel is larger than the pattern, so that small images do not flicker. Arrays
hold one row per coordinate and one column per pixel, which keeps every operation contiguous.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, Int32, UInt32

Coordinates = Float32[np.ndarray, "3 n"]
_F = np.float32


@dataclass(frozen=True, slots=True)
class Hits:
    """Surface points, one column per pixel.

    Attributes:
        rgb: Base colour of what was hit.
        world_m: Point in the world frame.
        local_m: Point in the frame of the primitive.
        unit: The same, divided by the half extents: -1 to 1.
        half_m: Half extents of the primitive.
        fade: 1 where a pixel is small on the surface, towards 0 where it is large.
        variant: Integer that varies the texture between things.
        day: Daylight, 1 on a clear day.
    """

    rgb: Coordinates
    world_m: Coordinates
    local_m: Coordinates
    unit: Coordinates
    half_m: Coordinates
    fade: Float32[np.ndarray, "n"]
    variant: Int32[np.ndarray, "n"]
    day: float

    def part(self, begin: int, end: int) -> "Hits":
        """Return a run of pixels without copying."""
        return Hits(
            self.rgb[:, begin:end],
            self.world_m[:, begin:end],
            self.local_m[:, begin:end],
            self.unit[:, begin:end],
            self.half_m[:, begin:end],
            self.fade[begin:end],
            self.variant[begin:end],
            self.day,
        )


Texture = Callable[[Hits], Float[np.ndarray, "3 n"]]

_SPINES = np.array(
    [
        *[(0.62, 0.16, 0.14), (0.14, 0.30, 0.52), (0.85, 0.75, 0.50), (0.16, 0.40, 0.24)],
        *[(0.30, 0.18, 0.36), (0.80, 0.45, 0.15), (0.88, 0.88, 0.84), (0.12, 0.12, 0.14)],
    ],
    dtype=_F,
).T.copy()
_TRIM = np.array([[0.95], [0.94], [0.92]], dtype=_F)
_WAINSCOT = np.array([[0.82], [0.80], [0.78]], dtype=_F)
_GRASS = np.array([[0.30], [0.48], [0.26]], dtype=_F)
_WARM = np.array([[1.0], [0.8], [0.4]], dtype=_F)


def _cell(x: Float32[np.ndarray, "n"]) -> UInt32[np.ndarray, "n"]:
    return np.floor(x).astype(np.int32).view(np.uint32)


def _noise(
    a: UInt32[np.ndarray, "n"], b: UInt32[np.ndarray, "n"] | Int32[np.ndarray, "n"] | None = None
) -> Float32[np.ndarray, "n"]:
    """Return an even hash of integer cells, 0 to 1."""
    h = a * np.uint32(374761393)
    if b is not None:
        h += b.view(np.uint32) * np.uint32(668265263)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    return ((h ^ (h >> np.uint32(16))) & np.uint32(0xFFFF)).astype(_F) * _F(1 / 65535)


def _within(x: Float32[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
    """Return the fraction of each number above the whole number below it."""
    return x - np.floor(x)


def _plain(h: Hits) -> Float[np.ndarray, "3 n"]:
    return h.rgb


def _wood(h: Hits) -> Float[np.ndarray, "3 n"]:
    grain = h.half_m.argmax(0)
    along = np.take_along_axis(h.local_m, grain[None], 0)[0]
    across = h.local_m.sum(0) - along
    ring = _noise(_cell(across * 45 + 0.7 * np.sin(along * 5)), h.variant) - _F(0.5)
    return h.rgb * (1 + 0.22 * h.fade * ring + 0.05 * np.sin(along * 9 + across * 30))


def _planks(h: Hits) -> Float[np.ndarray, "3 n"]:
    x, y = h.world_m[0], h.world_m[1]
    lengthwise = (h.variant & 1) == 0
    u, v = np.where(lengthwise, x, y) * _F(1 / 0.16), np.where(lengthwise, y, x)
    row = _cell(u)
    joint = v * _F(1 / 1.3) + _noise(row)
    tone = _noise(row, _cell(joint) + np.uint32(3)) - _F(0.5)
    seam = (_within(u) < 0.06) | (_within(joint) < 0.01)
    return h.rgb * (1 + 0.30 * tone * np.clip(3 * h.fade, 0.3, 1) - 0.35 * h.fade * seam)


def _tiles(h: Hits) -> Float[np.ndarray, "3 n"]:
    u, v = h.world_m[0] * _F(1 / 0.35), h.world_m[1] * _F(1 / 0.35)
    grout = (_within(u) < 0.05) | (_within(v) < 0.05)
    tone = _noise(_cell(u), _cell(v)) - _F(0.5)
    return h.rgb * (1 + 0.10 * tone - 0.30 * h.fade * grout)


def _checker(h: Hits) -> Float[np.ndarray, "3 n"]:
    odd = (_cell(h.world_m[0] * _F(2.5)) + _cell(h.world_m[1] * _F(2.5))) & np.uint32(1)
    return h.rgb * (1 - _F(0.55) * odd.astype(_F))


def _carpet(h: Hits) -> Float[np.ndarray, "3 n"]:
    speck = _noise(_cell(h.world_m[0] * 70), _cell(h.world_m[1] * 70)) - _F(0.5)
    return h.rgb * (1 + 0.22 * h.fade * speck)


def _fabric(h: Hits) -> Float[np.ndarray, "3 n"]:
    x, y, z = h.local_m
    weave = _noise(_cell((x + z) * 60), _cell(y * 60)) - _F(0.5)
    a, b, c = np.abs(h.unit)
    edge = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    hem = np.clip((edge - 0.93) / 0.07, 0, 1)
    return h.rgb * ((1 + 0.14 * h.fade * weave) * (1 - 0.25 * hem))


def _quilt(h: Hits) -> Float[np.ndarray, "3 n"]:
    x, y, _ = h.local_m * _F(1 / 0.22)
    patch = (_cell(x) + _cell(y)) & np.uint32(1)
    return h.rgb * (_F(0.90) + _F(0.22) * patch.astype(_F))


def _rug(h: Hits) -> Float[np.ndarray, "3 n"]:
    u, v = np.abs(h.unit[0]), np.abs(h.unit[1])
    border, rhomb = np.maximum(u, v), u + v
    lozenge = (_within(rhomb * _F(1 / 0.30)) < 0.33) & (border <= 0.78)
    band = (border > 0.78) & (border < 0.90)
    colour = np.where(lozenge, np.clip(h.rgb * _F(1.5) + _F(0.08), 0, 1), h.rgb)
    return np.where(band, _F(0.9) - _F(0.6) * h.rgb, colour)


def _marble(h: Hits) -> Float[np.ndarray, "3 n"]:
    x, y, _ = h.local_m
    return h.rgb * (1 + 0.12 * np.sin(y * 14 + 3 * np.sin(x * 9)))


def _metal(h: Hits) -> Float[np.ndarray, "3 n"]:
    return h.rgb * (0.93 + 0.10 * h.unit[2] + 0.05 * np.sin(h.unit[1] * 2.5))


def _leaf(h: Hits) -> Float[np.ndarray, "3 n"]:
    x, y, z = (_cell(c * 22) for c in h.world_m)
    speck = _noise(x, y * np.uint32(31) + z) - _F(0.5)
    return h.rgb * (0.98 + 0.5 * np.maximum(h.fade, 0.35) * speck)


def _books(h: Hits) -> Float[np.ndarray, "3 n"]:
    place = h.local_m[1] * _F(1 / 0.045)
    spine = _cell(place)
    colour = _SPINES[:, (_noise(spine, h.variant) * _F(7.99)).astype(np.int32)]
    top = 0.55 + 0.45 * _noise(spine, h.variant + 9)
    gap = (_within(place) < 0.12) | (h.unit[2] > top)
    return np.where(gap, colour * _F(0.25), colour)


def _screen(h: Hits) -> Float[np.ndarray, "3 n"]:
    u, v = h.unit[1], h.unit[2]
    spot = 0.35 * np.exp(-8 * ((u - 0.25) ** 2 + (v - 0.1) ** 2))
    return h.rgb * (1.1 + 0.9 * v) + spot * _WARM


def _art(h: Hits) -> Float[np.ndarray, "3 n"]:
    u, v = h.unit[1], h.unit[2]
    seed = (h.variant % 17).astype(_F)
    horizon = np.sin(2.2 * u + seed) * 0.5
    colour = np.where(v > horizon, h.rgb, _SPINES[:, (h.variant * 5) & 7])
    sun = (u - 0.4 * np.sin(seed)) ** 2 + (v - 0.3) ** 2 < 0.12
    return np.where(sun, _SPINES[:, (h.variant * 3 + 1) & 7], colour)


def _sky(h: Hits) -> Float[np.ndarray, "3 n"]:
    u, v = h.unit[1], h.unit[2]
    hill = v < -0.35 + 0.12 * np.sin(4 * u + h.variant)
    return np.where(hill, _GRASS, h.rgb + v * _F(0.10)) * _F(min(1.15, h.day + 0.06))


def _curtain(h: Hits) -> Float[np.ndarray, "3 n"]:
    return h.rgb * (0.85 + 0.20 * np.sin(h.local_m[1] * 70))


def _mirror(h: Hits) -> Float[np.ndarray, "3 n"]:
    return h.rgb * (1.0 + 0.18 * np.sin(3 * (h.unit[1] + h.unit[2])))


def _ball(h: Hits) -> Float[np.ndarray, "3 n"]:
    sector = np.arctan2(h.local_m[1], h.local_m[0]) * _F(3 / np.pi)
    return np.where((_cell(sector) & np.uint32(1)) == 0, h.rgb, _F(0.95))


def _wall(h: Hits) -> Float[np.ndarray, "3 n"]:
    z = h.world_m[2]
    panelled = h.variant % 3 == 0
    colour = h.rgb * np.where(panelled & (z < 0.95), _WAINSCOT, _F(1))
    rail = panelled & (z > 0.95) & (z < 1.0)
    return np.where(rail | (z < 0.09), _TRIM, colour)


def _doorleaf(h: Hits) -> Float[np.ndarray, "3 n"]:
    u, v = np.abs(h.unit[0]), h.unit[2]
    panel = (u < 0.70) & (((v > -0.85) & (v < -0.05)) | ((v > 0.08) & (v < 0.88)))
    edge = (u > 0.64) | (np.abs(v - 0.88) < 0.03) | (np.abs(v + 0.85) < 0.03)
    return h.rgb * np.where(panel, np.where(edge, _F(0.72), _F(0.93)), _F(1))


TEXTURES: dict[str, Texture] = {
    "plain": _plain,
    "lightdisc": _plain,
    "wood": _wood,
    "planks": _planks,
    "tiles": _tiles,
    "checker": _checker,
    "carpet": _carpet,
    "fabric": _fabric,
    "quilt": _quilt,
    "rug": _rug,
    "marble": _marble,
    "metal": _metal,
    "leaf": _leaf,
    "books": _books,
    "screen": _screen,
    "art": _art,
    "sky": _sky,
    "curtain": _curtain,
    "mirror": _mirror,
    "ball": _ball,
    "wall": _wall,
    "doorleaf": _doorleaf,
}
"""All textures; a geom's table row holds the place of its texture in this order."""

TEXTURE_ID = {name: k for k, name in enumerate(TEXTURES)}


def textured(hits: Hits, texture: Int[np.ndarray, "n"]) -> Coordinates:
    """Return the colours of all pixels.

    Args:
        hits: Surface points, ordered by texture number.
        texture: The numbers, ascending.
    """
    colours = hits.rgb.copy()
    ends = np.searchsorted(texture, np.arange(len(TEXTURES)), side="right")
    begin = 0
    for paint, end in zip(TEXTURES.values(), ends, strict=True):
        if end > begin and paint is not _plain:
            colours[:, begin:end] = paint(hits.part(begin, int(end)))
        begin = int(end)
    return colours
