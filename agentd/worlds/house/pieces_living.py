"""Furniture to sit, sleep, eat and work at."""

import numpy as np

from agentd.worlds.house.parts import (
    BRIGHT,
    DARK,
    FABRICS,
    STEEL,
    WHITE,
    WOODS,
    Part,
    Piece,
    box,
    cylinder,
    ellipsoid,
    four_legs,
    paint,
    pick,
    shade,
    turn,
    uniform,
)

Rng = np.random.Generator


def bed(rng: Rng) -> Piece:
    """Return a bed, head to the wall."""
    length, width = 2.05, uniform(rng, 1.3, 1.75)
    wood, cover = paint(rng, WOODS), paint(rng, FABRICS)
    head = uniform(rng, 0.85, 1.15)
    parts = [
        box((length, width, 0.24), (0.0, 0.0, 0.06), wood, "wood"),
        box((length - 0.08, width - 0.06, 0.20), (0.02, 0.0, 0.30), WHITE, "fabric"),
        box((length * 0.62, width + 0.03, 0.16), (length * 0.19, 0.0, 0.36), cover, "quilt"),
        box((0.08, width + 0.06, head), (-length / 2, 0.0, 0.0), wood, "wood"),
    ]
    for side in (-1, 1):
        centre = (-length / 2 + 0.32, side * width * 0.24, 0.56)
        parts.append(ellipsoid((0.20, width * 0.20, 0.08), centre, (0.97, 0.97, 0.95)))
    return Piece("bed", length + 0.08, width + 0.06, 1.15, tuple(parts))


def dining_chair(rng: Rng) -> Piece:
    """Return a four-legged chair with a slatted back."""
    rgb = paint(rng, WOODS + BRIGHT)
    side, seat = 0.42, 0.45
    back_x = -side / 2 + 0.018
    parts = [
        box((side, side, 0.045), (0.0, 0.0, seat - 0.045), rgb, "wood"),
        box((0.035, side, 0.16), (back_x, 0.0, seat + 0.30), rgb, "wood"),
        box((0.03, side * 0.9, 0.07), (back_x, 0.0, seat + 0.14), rgb, "wood"),
    ]
    for sx in (-1, 1):
        height = seat - 0.045 if sx > 0 else seat + 0.46
        for sy in (-1, 1):
            foot = (sx * (side / 2 - 0.02), sy * (side / 2 - 0.02), 0.0)
            parts.append(box((0.04, 0.04, height), foot, rgb, "wood"))
    return Piece("chair", side, side, 0.95, tuple(parts))


def office_chair(rng: Rng) -> Piece:
    """Return a swivel chair on a star base."""
    palette = (DARK, (0.15, 0.25, 0.45), (0.50, 0.12, 0.12), (0.25, 0.25, 0.27))
    rgb = paint(rng, palette, 0.02)
    parts = [
        cylinder(0.03, 0.33, (0.0, 0.0, 0.08), STEEL),
        box((0.46, 0.48, 0.08), (0.0, 0.0, 0.42), rgb, "fabric"),
        box((0.07, 0.44, 0.52), (-0.22, 0.0, 0.52), rgb, "fabric", rotation=turn("y", -6.0)),
    ]
    for side in (-0.25, 0.25):
        parts.append(box((0.30, 0.04, 0.03), (0.0, side, 0.64), DARK))
        parts.append(box((0.03, 0.03, 0.18), (-0.08, side, 0.47), DARK))
    for k in range(3):
        parts.append(box((0.50, 0.05, 0.05), (0.0, 0.0, 0.05), DARK, rotation=turn("z", 60.0 * k)))
    return Piece("chair", 0.55, 0.55, 1.0, tuple(parts))


def couch(rng: Rng) -> Piece:
    """Return a couch with loose cushions."""
    width, depth = uniform(rng, 1.7, 2.3), 0.92
    rgb = paint(rng, FABRICS)
    soft = shade(rgb, 1.15)
    num_seats = 3 if width > 2.0 else 2
    seat = (width - 0.42) / num_seats
    parts = [
        box((depth, width, 0.30), (0.0, 0.0, 0.10), rgb, "fabric"),
        box((0.22, width, 0.50), (-depth / 2 + 0.11, 0.0, 0.36), rgb, "fabric"),
    ]
    for side in (-1, 1):
        parts.append(
            box((depth, 0.20, 0.50), (0.0, side * (width / 2 - 0.10), 0.12), rgb, "fabric")
        )
        for sx in (-1, 1):
            foot = (sx * (depth / 2 - 0.08), side * (width / 2 - 0.08), 0.0)
            parts.append(cylinder(0.03, 0.10, foot, DARK))
    lean = turn("y", -10.0)
    for k in range(num_seats):
        y = -width / 2 + 0.21 + seat * (k + 0.5)
        parts.append(box((depth - 0.24, seat - 0.02, 0.13), (0.12, y, 0.36), soft, "fabric"))
        back = (-depth / 2 + 0.28, y, 0.50)
        parts.append(box((0.14, seat - 0.04, 0.36), back, soft, "fabric", rotation=lean))
    pillow = (0.0, width / 2 - 0.42, 0.50)
    size = (0.10, 0.36, 0.34)
    parts.append(box(size, pillow, paint(rng, BRIGHT), "quilt", rotation=turn("y", -25.0)))
    return Piece("couch", depth, width, 0.86, tuple(parts))


def dining_table(rng: Rng) -> Piece:
    """Return a round or oblong table with a bowl on it."""
    wood = paint(rng, WOODS)
    if rng.random() < 0.35:
        radius = uniform(rng, 0.50, 0.65)
        parts = [
            cylinder(radius, 0.04, (0.0, 0.0, 0.72), wood, "wood"),
            cylinder(0.06, 0.70, (0.0, 0.0, 0.02), wood, "wood"),
            cylinder(0.28, 0.04, (0.0, 0.0, 0.0), wood, "wood"),
            cylinder(0.09, 0.10, (0.05, 0.1, 0.76), (0.8, 0.8, 0.85)),
            ellipsoid((0.06, 0.06, 0.06), (0.05, 0.1, 0.88), (0.85, 0.3, 0.3)),
        ]
        return Piece("table", 2 * radius, 2 * radius, 0.94, tuple(parts), is_round=True)
    depth, width = uniform(rng, 0.8, 0.95), uniform(rng, 1.2, 1.7)
    parts = [
        box((depth, width, 0.045), (0.0, 0.0, 0.715), wood, "wood"),
        *four_legs(depth, width, 0.715, 0.07, wood),
        cylinder(0.13, 0.05, (0.0, 0.0, 0.76), (0.9, 0.9, 0.9)),
        ellipsoid((0.05, 0.05, 0.05), (0.03, 0.03, 0.83), (0.9, 0.5, 0.1)),
        ellipsoid((0.05, 0.05, 0.05), (-0.04, -0.03, 0.83), (0.75, 0.15, 0.12)),
    ]
    return Piece("table", depth, width, 0.88, tuple(parts))


def coffee_table(rng: Rng) -> Piece:
    """Return a low table with a shelf and a book."""
    wood = paint(rng, WOODS)
    depth, width = 0.55, uniform(rng, 0.85, 1.15)
    parts = [
        box((depth, width, 0.05), (0.0, 0.0, 0.37), wood, "wood"),
        box((depth - 0.1, width - 0.12, 0.025), (0.0, 0.0, 0.14), wood, "wood"),
        *four_legs(depth, width, 0.37, 0.05, wood),
        box((0.18, 0.25, 0.03), (0.05, 0.15, 0.42), paint(rng, BRIGHT)),
    ]
    return Piece("table", depth, width, 0.45, tuple(parts))


def desk(rng: Rng) -> Piece:
    """Return a desk with drawers and a laptop."""
    wood = paint(rng, WOODS)
    depth, width = 0.65, uniform(rng, 1.15, 1.5)
    drawer_y = -width / 2 + 0.22
    parts = [
        box((depth, width, 0.035), (0.0, 0.0, 0.70), wood, "wood"),
        box((depth - 0.06, 0.40, 0.70), (-0.02, drawer_y, 0.0), wood, "wood"),
        box((depth - 0.06, 0.03, 0.70), (-0.02, width / 2 - 0.03, 0.0), wood, "wood"),
        box((0.22, 0.32, 0.015), (0.10, 0.1, 0.735), (0.3, 0.3, 0.32)),
        box((0.012, 0.32, 0.21), (-0.02, 0.1, 0.74), (0.25, 0.45, 0.65), "screen", glow=0.5),
    ]
    for k in range(3):
        z = 0.08 + 0.21 * k
        front = (depth / 2 - 0.045, drawer_y, z)
        parts.append(box((0.015, 0.36, 0.18), front, shade(wood, 0.85), "wood"))
        parts.append(box((0.02, 0.12, 0.015), (depth / 2 - 0.03, drawer_y, z + 0.09), STEEL))
    return Piece("desk", depth, width, 0.95, tuple(parts))


def tv(rng: Rng) -> Piece:
    """Return a television on its stand."""
    width = uniform(rng, 1.0, 1.35)
    height, stand = width * 0.56, width + 0.35
    wood = paint(rng, (*WOODS, (0.2, 0.2, 0.2), WHITE))
    hue = pick(rng, ((0.12, 0.22, 0.42), (0.10, 0.30, 0.22), (0.30, 0.12, 0.32)))
    screen = (0.01, width - 0.05, height - 0.05)
    parts = [
        box((0.05, width, height), (-0.02, 0.0, 0.60), DARK),
        box(screen, (0.01, 0.0, 0.625), hue, "screen", glow=0.75),
        box((0.20, 0.34, 0.02), (0.0, 0.0, 0.50), DARK),
        box((0.05, 0.10, 0.12), (-0.02, 0.0, 0.50), DARK),
        box((0.40, stand, 0.42), (0.0, 0.0, 0.08), wood, "wood"),
        box((0.36, stand - 0.08, 0.08), (0.0, 0.0, 0.0), DARK),
    ]
    for side in (-1, 1):
        front = (0.203, side * stand / 4, 0.12)
        parts.append(box((0.01, stand / 2 - 0.06, 0.34), front, shade(wood, 0.8), "wood"))
    return Piece("tv", 0.42, stand, 0.6 + height, tuple(parts))


def bookcase(rng: Rng) -> Piece:
    """Return an open bookcase with rows of books."""
    width, depth, height = uniform(rng, 0.8, 1.1), 0.32, uniform(rng, 1.6, 2.0)
    wood = paint(rng, WOODS)
    num_shelves = 5
    parts = [box((0.02, width, height), (-depth / 2 + 0.01, 0.0, 0.0), shade(wood, 0.7), "wood")]
    for side in (-1, 1):
        foot = (0.0, side * (width / 2 - 0.015), 0.0)
        parts.append(box((depth, 0.03, height), foot, wood, "wood"))
    for k in range(num_shelves + 1):
        z = (height - 0.03) * k / num_shelves
        parts.append(box((depth, width, 0.03), (0.0, 0.0, z), wood, "wood"))
    inner = width - 0.08
    for k in range(num_shelves):
        tall = height / num_shelves * uniform(rng, 0.60, 0.80)
        wide = inner * uniform(rng, 0.6, 1.0)
        y = (inner - wide) / 2 * pick(rng, (-1, 1))
        foot = (-0.02, y, (height - 0.03) * k / num_shelves + 0.03)
        parts.append(box((depth - 0.10, wide, tall), foot, (0.5, 0.4, 0.35), "books"))
    return Piece("bookcase", depth, width, height, tuple(parts))


def wardrobe(rng: Rng) -> Piece:
    """Return a wardrobe with two or three doors."""
    width, depth, height = uniform(rng, 1.0, 1.6), 0.60, uniform(rng, 1.9, 2.15)
    wood = paint(rng, (*WOODS, WHITE))
    num_doors = 2 if width < 1.35 else 3
    leaf = width / num_doors
    parts = [box((depth - 0.03, width, height), (-0.015, 0.0, 0.0), wood, "wood")]
    for k in range(num_doors):
        y = -width / 2 + leaf * (k + 0.5)
        front = (depth / 2 - 0.02, y, 0.09)
        parts.append(box((0.03, leaf - 0.015, height - 0.14), front, shade(wood, 1.08), "wood"))
        knob = y + (leaf / 2 - 0.06) * (-1 if k % 2 else 1)
        parts.append(box((0.025, 0.02, 0.18), (depth / 2 + 0.005, knob, height * 0.48), STEEL))
    return Piece("wardrobe", depth + 0.02, width, height, tuple(parts))


def nightstand(rng: Rng) -> Piece:
    """Return a nightstand with a small lamp."""
    wood = paint(rng, WOODS)
    parts: list[Part] = [box((0.40, 0.45, 0.50), (0.0, 0.0, 0.05), wood, "wood")]
    for k in range(2):
        z = 0.09 + 0.23 * k
        parts.append(box((0.015, 0.40, 0.20), (0.20, 0.0, z), shade(wood, 1.12), "wood"))
        parts.append(box((0.02, 0.08, 0.02), (0.215, 0.0, z + 0.09), STEEL))
    parts += [
        cylinder(0.06, 0.02, (0.0, 0.0, 0.55), DARK),
        cylinder(0.012, 0.20, (0.0, 0.0, 0.57), STEEL),
        cylinder(0.10, 0.14, (0.0, 0.0, 0.72), (0.95, 0.88, 0.70), glow=0.6),
    ]
    return Piece("nightstand", 0.45, 0.45, 0.86, tuple(parts))
