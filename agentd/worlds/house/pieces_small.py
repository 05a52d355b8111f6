"""Things that stand, lie or hang about: plants, lamps, bins, rugs, pictures, windows, balls."""

import math

import numpy as np

from agentd.worlds.house.parts import (
    BRIGHT,
    DARK,
    FABRICS,
    STEEL,
    WHITE,
    WOODS,
    Piece,
    box,
    cylinder,
    ellipsoid,
    paint,
    pick,
    turn,
    uniform,
)

Rng = np.random.Generator
BALL_RADIUS_M = 0.12


def plant(rng: Rng) -> Piece:
    """Return a potted plant."""
    pot = paint(rng, ((0.70, 0.36, 0.22), (0.85, 0.85, 0.83), (0.25, 0.28, 0.32)))
    rim = uniform(rng, 0.28, 0.40)
    top = rim + uniform(rng, 0.45, 0.75)
    parts = [
        cylinder(0.16, rim, (0.0, 0.0, 0.0), pot),
        cylinder(0.18, 0.05, (0.0, 0.0, rim - 0.03), pot),
        cylinder(0.145, 0.012, (0.0, 0.0, rim + 0.02), (0.25, 0.16, 0.10)),
        cylinder(0.02, 0.40, (0.0, 0.0, rim), (0.36, 0.25, 0.14)),
        ellipsoid((0.13, 0.13, 0.14), (0.0, 0.0, top), (0.18, 0.50, 0.18), "leaf"),
    ]
    for k in range(9):
        angle = 2 * math.pi * k / 9 + uniform(rng, -0.3, 0.3)
        out, z = uniform(rng, 0.06, 0.20), rim + 0.2 + (top - rim - 0.1) * uniform(rng, 0.0, 1.0)
        green = (uniform(rng, 0.10, 0.22), uniform(rng, 0.38, 0.60), uniform(rng, 0.12, 0.20))
        centre = (out * math.cos(angle), out * math.sin(angle), z)
        rotation = turn("z", math.degrees(angle))
        parts.append(ellipsoid((0.16, 0.10, 0.13), centre, green, "leaf", rotation=rotation))
    return Piece("plant", 0.40, 0.40, top + 0.25, tuple(parts), is_round=True)


def lamp(rng: Rng) -> Piece:
    """Return a floor lamp, lit."""
    height = uniform(rng, 1.35, 1.65)
    cover = paint(rng, ((0.96, 0.90, 0.72), (0.90, 0.55, 0.30), (0.80, 0.86, 0.92)))
    pole = pick(rng, (DARK, STEEL, (0.65, 0.50, 0.20)))
    parts = (
        cylinder(0.15, 0.03, (0.0, 0.0, 0.0), pole),
        cylinder(0.015, height, (0.0, 0.0, 0.03), pole),
        cylinder(0.19, 0.26, (0.0, 0.0, height - 0.05), cover, glow=0.7),
    )
    return Piece("lamp", 0.38, 0.38, height + 0.22, parts, is_round=True)


def trashcan(rng: Rng) -> Piece:
    """Return a bin with a lid."""
    rgb = paint(rng, (STEEL, (0.15, 0.35, 0.20), (0.20, 0.20, 0.22)))
    parts = (
        cylinder(0.15, 0.52, (0.0, 0.0, 0.0), rgb, "metal"),
        cylinder(0.16, 0.05, (0.0, 0.0, 0.52), DARK),
    )
    return Piece("trashcan", 0.32, 0.32, 0.6, parts, is_round=True)


def ball(rng: Rng) -> Piece:
    """Return a ball that can be pushed."""
    r = BALL_RADIUS_M
    part = ellipsoid((r, r, r), (0.0, 0.0, r), paint(rng, BRIGHT[:3]), "ball")
    return Piece("ball", 2 * r, 2 * r, 2 * r, (part,), is_round=True)


def rug(rng: Rng) -> Piece:
    """Return a rug with a border."""
    depth, width = uniform(rng, 1.4, 1.9), uniform(rng, 1.8, 2.6)
    part = box((depth, width, 0.010), (0.0, 0.0, 0.0), paint(rng, FABRICS), "rug")
    return Piece("rug", depth, width, 0.012, (part,), flat=True)


def picture(rng: Rng) -> Piece:
    """Return a framed picture at eye height."""
    width, height = uniform(rng, 0.5, 1.0), uniform(rng, 0.4, 0.7)
    canvas = paint(rng, BRIGHT + FABRICS, 0.1)
    frame = pick(rng, (DARK, (0.65, 0.50, 0.20), WHITE, *WOODS))
    parts = (
        box((0.03, width, height), (0.0, 0.0, 1.35), frame),
        box((0.02, width - 0.08, height - 0.08), (0.012, 0.0, 1.39), canvas, "art"),
    )
    return Piece("picture", 0.04, width, 1.35 + height, parts, flat=True)


def window(rng: Rng) -> Piece:
    """Return a window with curtains and a view of hills."""
    width, height = uniform(rng, 1.0, 1.6), 1.2
    cloth = paint(rng, (*FABRICS, WHITE))
    frame = (0.97, 0.97, 0.97)
    pane = (0.03, width - 0.10, height - 0.10)
    parts = [
        box((0.05, width, height), (0.0, 0.0, 0.95), frame),
        box(pane, (0.015, 0.0, 1.0), (0.62, 0.80, 0.95), "sky", glow=0.9),
        box((0.06, 0.04, height), (0.01, 0.0, 0.95), frame),
        box((0.06, width, 0.04), (0.01, 0.0, 1.53), frame),
    ]
    for side in (-1, 1):
        foot = (0.04, side * (width / 2 + 0.06), 0.75)
        parts.append(box((0.06, 0.22, 1.55), foot, cloth, "curtain"))
    return Piece("window", 0.06, width + 0.3, 2.3, tuple(parts), flat=True)
