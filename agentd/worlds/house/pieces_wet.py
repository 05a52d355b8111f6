"""Fixtures of kitchen, bathroom and laundry."""

import numpy as np

from agentd.worlds.house.parts import (
    BRIGHT,
    DARK,
    STEEL,
    WHITE,
    WOODS,
    Piece,
    box,
    cylinder,
    disc_facing_front,
    ellipsoid,
    jitter,
    paint,
    pick,
    shade,
    turn,
    uniform,
)

Rng = np.random.Generator
GLAZE = (0.99, 0.99, 0.98)


def toilet(rng: Rng) -> Piece:
    """Return a toilet with its cistern and raised lid."""
    rgb = jitter(rng, WHITE, 0.02)
    parts = (
        cylinder(0.13, 0.22, (0.02, 0.0, 0.0), rgb),
        ellipsoid((0.25, 0.19, 0.19), (0.09, 0.0, 0.30), rgb),
        cylinder(0.20, 0.035, (0.09, 0.0, 0.40), GLAZE),
        cylinder(0.12, 0.01, (0.10, 0.0, 0.436), (0.45, 0.60, 0.68)),
        box((0.18, 0.42, 0.38), (-0.24, 0.0, 0.40), rgb),
        box((0.20, 0.44, 0.03), (-0.24, 0.0, 0.78), GLAZE),
        box((0.03, 0.38, 0.40), (-0.12, 0.0, 0.44), (0.97, 0.97, 0.96), rotation=turn("y", -10.0)),
        box((0.04, 0.06, 0.02), (-0.24, 0.08, 0.81), STEEL),
    )
    return Piece("toilet", 0.70, 0.46, 0.83, parts)


def sink(rng: Rng) -> Piece:
    """Return a washbasin on a cabinet under a mirror."""
    width = uniform(rng, 0.7, 1.0)
    cabinet = paint(rng, ((0.85, 0.84, 0.80), (0.35, 0.45, 0.50), *WOODS))
    mirror = width * 0.8
    parts = [
        box((0.46, width, 0.72), (0.0, 0.0, 0.08), cabinet, "wood"),
        box((0.42, width - 0.04, 0.08), (-0.02, 0.0, 0.0), DARK),
        box((0.50, width + 0.02, 0.05), (0.0, 0.0, 0.80), WHITE),
        ellipsoid((0.17, 0.24, 0.05), (0.02, 0.0, 0.85), GLAZE),
        ellipsoid((0.13, 0.19, 0.045), (0.02, 0.0, 0.87), (0.70, 0.78, 0.82)),
        cylinder(0.018, 0.20, (-0.19, 0.0, 0.85), STEEL),
        box((0.14, 0.025, 0.02), (-0.13, 0.0, 1.04), STEEL),
        box((0.01, 0.015, 0.60), (0.231, 0.0, 0.12), DARK),
        box((0.03, mirror, 0.75), (-0.245, 0.0, 1.15), (0.72, 0.80, 0.84), "mirror"),
        box((0.02, mirror + 0.08, 0.83), (-0.252, 0.0, 1.11), (0.45, 0.45, 0.47)),
    ]
    for side in (-0.05, 0.05):
        parts.append(box((0.02, 0.02, 0.12), (0.24, side, 0.5), STEEL))
    return Piece("sink", 0.52, width + 0.02, 1.94, tuple(parts))


def bathtub(rng: Rng) -> Piece:
    """Return a bathtub with water in it."""
    length, depth, height, rim = uniform(rng, 1.5, 1.7), 0.75, 0.55, 0.07
    parts = [box((depth, length, 0.12), (0.0, 0.0, 0.0), WHITE)]
    for side in (-1, 1):
        parts.append(box((rim, length, height), (side * (depth - rim) / 2, 0.0, 0.0), WHITE))
        parts.append(box((depth, rim, height), (0.0, side * (length - rim) / 2, 0.0), WHITE))
    water = (depth - 2 * rim, length - 2 * rim, 0.02)
    parts += [
        box(water, (0.0, 0.0, 0.30), (0.55, 0.78, 0.86)),
        cylinder(0.02, 0.15, (0.0, -length / 2 + 0.04, height), STEEL),
        box((0.03, 0.16, 0.025), (0.0, -length / 2 + 0.10, height + 0.13), STEEL),
    ]
    return Piece("bathtub", depth, length, height + 0.16, tuple(parts))


def refrigerator(rng: Rng) -> Piece:
    """Return a fridge with a freezer above."""
    palette = ((0.90, 0.91, 0.92), (0.64, 0.66, 0.68), (0.20, 0.21, 0.23), (0.65, 0.18, 0.16))
    rgb = paint(rng, palette, 0.02)
    width, depth, height = 0.72, 0.70, uniform(rng, 1.72, 1.9)
    upper = height * 0.36
    split = height - upper
    front, grip_y = depth / 2 - 0.025, width / 2 - 0.08
    parts = (
        box((depth - 0.05, width, height), (-0.025, 0.0, 0.0), shade(rgb, 0.92), "metal"),
        box((0.05, width - 0.01, upper - 0.02), (front, 0.0, split), rgb, "metal"),
        box((0.05, width - 0.01, split - 0.10), (front, 0.0, 0.07), rgb, "metal"),
        box((0.03, 0.03, upper * 0.6), (depth / 2 + 0.02, grip_y, split + 0.05), STEEL),
        box((0.03, 0.03, 0.55), (depth / 2 + 0.02, grip_y, split - 0.66), STEEL),
    )
    return Piece("refrigerator", depth + 0.07, width, height, parts)


def oven(rng: Rng) -> Piece:
    """Return a cooker with four rings."""
    rgb = paint(rng, (WHITE, STEEL, (0.15, 0.15, 0.16)), 0.02)
    width, depth, height = 0.62, 0.62, 0.90
    parts = [
        box((depth - 0.03, width, height - 0.02), (-0.015, 0.0, 0.0), rgb, "metal"),
        box((depth, width, 0.025), (0.0, 0.0, height - 0.02), DARK),
        box((0.03, width - 0.08, 0.42), (depth / 2 - 0.03, 0.0, 0.20), (0.08, 0.08, 0.09)),
        box((0.02, width - 0.14, 0.02), (depth / 2 + 0.005, 0.0, 0.66), STEEL),
        box((0.04, width, 0.16), (-depth / 2 + 0.02, 0.0, height), rgb, "metal"),
    ]
    for x in (-0.14, 0.14):
        for y in (-0.15, 0.15):
            parts.append(cylinder(0.09, 0.012, (x, y, height + 0.004), (0.25, 0.07, 0.05)))
    for k in range(4):
        parts.append(box((0.03, 0.045, 0.045), (depth / 2 - 0.01, -0.2 + 0.13 * k, 0.76), STEEL))
    return Piece("oven", depth + 0.03, width, height + 0.16, tuple(parts))


def counter(rng: Rng, *, with_cabinets: bool = True) -> Piece:
    """Return a worktop on base units, with or without wall cabinets."""
    width = uniform(rng, 1.2, 2.0)
    palette = ((0.88, 0.87, 0.84), (0.35, 0.45, 0.42), (0.75, 0.58, 0.38), (0.55, 0.60, 0.66))
    rgb = paint(rng, palette)
    top = pick(rng, ((0.22, 0.22, 0.24), (0.80, 0.78, 0.74), (0.45, 0.33, 0.24)))
    front = shade(rgb, 1.06)
    parts = [
        box((0.56, width, 0.78), (-0.02, 0.0, 0.08), rgb),
        box((0.50, width, 0.08), (-0.03, 0.0, 0.0), DARK),
        box((0.62, width, 0.04), (0.0, 0.0, 0.86), top, "marble"),
    ]
    num_units = max(2, round(width / 0.5))
    unit = width / num_units
    for k in range(num_units):
        y = -width / 2 + unit * (k + 0.5)
        parts.append(box((0.015, unit - 0.03, 0.70), (0.265, y, 0.12), front))
        parts.append(box((0.02, 0.12, 0.015), (0.28, y, 0.74), STEEL))
        if with_cabinets:
            parts.append(box((0.015, unit - 0.03, 0.58), (0.05, y, 1.50), front))
    if with_cabinets:
        parts.append(box((0.34, width, 0.65), (-0.13, 0.0, 1.46), rgb))
    parts += [
        cylinder(0.05, 0.22, (0.0, width * 0.3, 0.90), paint(rng, BRIGHT)),
        box((0.20, 0.30, 0.20), (-0.1, -width * 0.25, 0.90), (0.7, 0.7, 0.72), "metal"),
    ]
    return Piece("counter", 0.62, width, 2.11 if with_cabinets else 1.12, tuple(parts))


def bare_counter(rng: Rng) -> Piece:
    """Return a worktop without wall cabinets."""
    return counter(rng, with_cabinets=False)


def washer(rng: Rng) -> Piece:
    """Return a front-loading washing machine."""
    rgb = jitter(rng, WHITE, 0.03)
    parts = (
        box((0.58, 0.60, 0.86), (-0.01, 0.0, 0.0), rgb, "metal"),
        disc_facing_front(0.19, 0.04, (0.285, 0.0, 0.42), (0.30, 0.32, 0.35)),
        disc_facing_front(0.14, 0.05, (0.285, 0.0, 0.42), (0.10, 0.16, 0.24)),
        box((0.01, 0.56, 0.10), (0.285, 0.0, 0.74), (0.75, 0.76, 0.78)),
        box((0.015, 0.10, 0.05), (0.29, 0.15, 0.765), (0.1, 0.5, 0.3), "screen", glow=0.6),
    )
    return Piece("washer", 0.62, 0.60, 0.86, parts)
