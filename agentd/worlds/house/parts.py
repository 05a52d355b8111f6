"""Primitives, colours and small assemblies that furniture is made of.

Frame of a piece: origin on the floor under the centre of its footprint, x points out of its front
into the room, y to its left, z up. Sizes are metres.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

Vec3 = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
Shape = Literal["box", "cylinder", "ellipsoid"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """One visible primitive.

    Attributes:
        shape: Kind of primitive; a cylinder stands along its own z.
        half_m: Half extents along x, y, z of the unrotated primitive.
        centre_m: Its centre in the frame of the piece.
        rgb: Base colour, 0 to 1.
        texture: Name in `textures.TEXTURES`.
        rotation: Quaternion (w, x, y, z), None for upright.
        glow: Share of light of its own, 0 to 1.
    """

    shape: Shape
    half_m: Vec3
    centre_m: Vec3
    rgb: Vec3
    texture: str = "plain"
    rotation: Quaternion | None = None
    glow: float = 0.0


@dataclass(frozen=True, slots=True)
class Piece:
    """One object that can be placed.

    Attributes:
        category: What a person calls it.
        depth_m: Footprint along x.
        width_m: Footprint along y.
        height_m: Top of the piece.
        parts: What is seen of it.
        flat: Hangs on a wall or lies on the floor: nothing bumps into it.
        is_round: Collides as an upright capsule instead of a box.
    """

    category: str
    depth_m: float
    width_m: float
    height_m: float
    parts: tuple[Part, ...]
    flat: bool = False
    is_round: bool = False


WOODS: tuple[Vec3, ...] = (
    (0.56, 0.37, 0.21),
    (0.41, 0.26, 0.15),
    (0.71, 0.53, 0.34),
    (0.32, 0.22, 0.14),
    (0.79, 0.64, 0.46),
)
FABRICS: tuple[Vec3, ...] = (
    (0.19, 0.33, 0.56),
    (0.56, 0.18, 0.17),
    (0.35, 0.36, 0.39),
    (0.16, 0.43, 0.37),
    (0.73, 0.60, 0.41),
    (0.46, 0.28, 0.49),
)
BRIGHT: tuple[Vec3, ...] = (
    (0.81, 0.22, 0.18),
    (0.15, 0.45, 0.76),
    (0.91, 0.66, 0.12),
    (0.16, 0.16, 0.17),
    (0.90, 0.90, 0.87),
)
WHITE: Vec3 = (0.93, 0.93, 0.91)
STEEL: Vec3 = (0.62, 0.64, 0.66)
DARK: Vec3 = (0.09, 0.09, 0.10)


def turn(axis: Literal["x", "y", "z"], angle_deg: float) -> Quaternion:
    """Return the quaternion of a turn about one axis."""
    half = math.radians(angle_deg) / 2
    s = math.sin(half)
    return (math.cos(half), *(s if a == axis else 0.0 for a in "xyz"))  # type: ignore[return-value]


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """Return one of the options, drawn evenly."""
    return options[int(rng.integers(len(options)))]


def jitter(rng: np.random.Generator, rgb: Vec3, spread: float = 0.04) -> Vec3:
    """Return a colour close to the given one."""
    r, g, b = (float(np.clip(c + rng.uniform(-spread, spread), 0.02, 0.98)) for c in rgb)
    return r, g, b


def paint(rng: np.random.Generator, palette: Sequence[Vec3], spread: float = 0.04) -> Vec3:
    """Return a colour near one of a palette."""
    return jitter(rng, pick(rng, palette), spread)


def shade(rgb: Vec3, factor: float) -> Vec3:
    """Return a darker or lighter version of a colour."""
    r, g, b = (min(1.0, c * factor) for c in rgb)
    return r, g, b


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a float drawn evenly."""
    return float(rng.uniform(low, high))


def box(
    size_m: Vec3,
    foot_m: Vec3,
    rgb: Vec3,
    texture: str = "plain",
    *,
    rotation: Quaternion | None = None,
    glow: float = 0.0,
) -> Part:
    """Return a box of full size `size_m` whose bottom face is centred on `foot_m`."""
    dx, dy, dz = size_m
    x, y, z = foot_m
    half = (dx / 2, dy / 2, dz / 2)
    return Part("box", half, (x, y, z + dz / 2), rgb, texture, rotation, glow)


def cylinder(
    radius_m: float,
    height_m: float,
    foot_m: Vec3,
    rgb: Vec3,
    texture: str = "plain",
    *,
    glow: float = 0.0,
) -> Part:
    """Return an upright cylinder standing on `foot_m`."""
    x, y, z = foot_m
    half = (radius_m, radius_m, height_m / 2)
    return Part("cylinder", half, (x, y, z + height_m / 2), rgb, texture, None, glow)


def disc_facing_front(radius_m: float, thick_m: float, centre_m: Vec3, rgb: Vec3) -> Part:
    """Return a round plate whose axis points along x."""
    half = (radius_m, radius_m, thick_m / 2)
    return Part("cylinder", half, centre_m, rgb, rotation=turn("y", 90.0))


def ellipsoid(
    half_m: Vec3,
    centre_m: Vec3,
    rgb: Vec3,
    texture: str = "plain",
    *,
    rotation: Quaternion | None = None,
) -> Part:
    """Return an ellipsoid around `centre_m`."""
    return Part("ellipsoid", half_m, centre_m, rgb, texture, rotation)


def four_legs(
    depth_m: float, width_m: float, height_m: float, thick_m: float, rgb: Vec3
) -> list[Part]:
    """Return square legs under the corners of a depth x width top."""
    x, y = depth_m / 2 - thick_m, width_m / 2 - thick_m
    size = (thick_m, thick_m, height_m)
    return [box(size, (sx * x, sy * y, 0.0), rgb, "wood") for sx in (-1, 1) for sy in (-1, 1)]
