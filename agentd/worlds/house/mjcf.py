"""From a house on paper to a MuJoCo model and the per-geom tables that the camera reads.

What is seen and what collides are different geoms. Visible parts of furniture are "ghosts"; one
invisible convex hull per piece collides, because legs as colliders make pockets that trap the base.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

# Without a graphics library the import would fail or print warnings; nothing here draws with one.
os.environ.setdefault("MUJOCO_GL", "disabled")

import mujoco
import numpy as np
from jaxtyping import Bool, Float32, Int8, Int32

from agentd.worlds.house.parts import Part, Piece, Quaternion, Vec3, turn
from agentd.worlds.house.plan import (
    DOOR_HEIGHT_M,
    ROBOT_RADIUS_M,
    WALL_HEIGHT_M,
    WALL_M,
    Door,
    House,
    Placed,
    Rect,
)
from agentd.worlds.house.textures import TEXTURE_ID

TIMESTEP_S = 0.01
ROBOT_HEIGHT_M = 1.1
PARKED_X_M = -50.0
"""Things that are not in the house stand here, far outside."""

_SOLID = 'contype="0" conaffinity="1"'
# mj_multiRay culls geoms that belong to no collision class: ghosts get a class without partner.
_GHOST = 'contype="0" conaffinity="4"'
_BALL = 'contype="9" conaffinity="1" condim="6" friction="0.6 0.02 0.005" density="60"'
# MuJoCo takes the larger friction of a pair: without priority a smooth base sticks to furniture.
_BASE = (
    'contype="1" conaffinity="0" condim="1" priority="1" solref="0.02 1" '
    'solimp="0.97 0.995 0.002" mass="0"'
)
GROUP_BUILDING, GROUP_OBJECT, GROUP_CEILING, GROUP_ROBOT, GROUP_GROUND, GROUP_HULL = range(6)
SEEN_GROUPS = (GROUP_BUILDING, GROUP_OBJECT, GROUP_CEILING)

_TRIM: Vec3 = (0.96, 0.95, 0.93)
_HULL_HEIGHT_M = (0.3, 1.3)
"""Hulls are at least and at most this tall: the base must never pass under or over one."""


@dataclass(frozen=True, slots=True)
class GeomTable:
    """One row per geom of the model and a last row for "nothing hit".

    Attributes:
        owner: Object number + 1, 0 for the building and the robot.
        texture: Row in `textures.TEXTURES`.
        variant: Integer that varies a texture between things.
        rgb: Base colour.
        glow: Share of own light.
        half_m: Half extents of the primitive.
        kind: mjtGeom number.
        seen: Whether the camera sees it.
    """

    owner: Int32[np.ndarray, "g"]
    texture: Int8[np.ndarray, "g"]
    variant: Int32[np.ndarray, "g"]
    rgb: Float32[np.ndarray, "g 3"]
    glow: Float32[np.ndarray, "g"]
    half_m: Float32[np.ndarray, "g 3"]
    kind: Int32[np.ndarray, "g"]
    seen: Bool[np.ndarray, "g"]


@dataclass(frozen=True, slots=True)
class Scene:
    """A compiled house.

    Attributes:
        house: The plan; `objects` ends with the spares.
        num_spares: Objects at the end that start outside the house.
        model: MuJoCo model.
        table: Appearance per geom.
        xml: The text it was compiled from.
    """

    house: House
    num_spares: int
    model: mujoco.MjModel
    table: GeomTable
    xml: str = field(repr=False)


@dataclass(slots=True)
class _Writer:
    """Collects geom texts and their rows."""

    rows: list[tuple[int, str, int, Vec3, float]] = field(default_factory=list)

    def geom(
        self,
        part: Part,
        *,
        group: int,
        mask: str,
        owner: int = 0,
        variant: int = 0,
    ) -> str:
        name = f"g{len(self.rows)}"
        self.rows.append((owner, part.texture, variant, part.rgb, part.glow))
        a, b, c = part.half_m
        size = f"{a:.4f} {c:.4f}" if part.shape == "cylinder" else f"{a:.4f} {b:.4f} {c:.4f}"
        return (
            f'<geom name="{name}" type="{part.shape}" size="{size}" pos="{_text(part.centre_m)}"'
            f'{_quat(part.rotation)} group="{group}" {mask}/>'
        )

    def block(
        self,
        rect: Rect,
        low_m: float,
        high_m: float,
        rgb: Vec3,
        texture: str = "plain",
        *,
        group: int = GROUP_BUILDING,
        mask: str = _SOLID,
        variant: int = 0,
    ) -> str:
        """Return a box of the building over a rectangle, from `low_m` to `high_m`."""
        x0, y0, x1, y1 = rect
        half = ((x1 - x0) / 2, (y1 - y0) / 2, (high_m - low_m) / 2)
        centre = ((x0 + x1) / 2, (y0 + y1) / 2, (low_m + high_m) / 2)
        part = Part("box", half, centre, rgb, texture)
        return self.geom(part, group=group, mask=mask, variant=variant)


def build_scene(house: House, spares: Sequence[Piece] = ()) -> Scene:
    """Return the compiled house.

    Args:
        house: The plan.
        spares: Pieces that wait outside and can be brought in without compiling again.
    """
    parked = [Placed(p, PARKED_X_M - 2 * k, PARKED_X_M, 0.0, -1) for k, p in enumerate(spares)]
    objects = (*house.objects, *parked)
    house = House(house.seed, house.size_m, house.rooms, house.doors, objects)
    writer = _Writer()
    bodies = [_room(writer, house, i) for i in range(len(house.rooms))]
    bodies += [_door(writer, house, k) for k in range(len(house.doors))]
    bodies += [_object(writer, k, placed) for k, placed in enumerate(objects)]
    xml = _document(house, bodies)
    model = mujoco.MjModel.from_xml_string(xml)
    return Scene(house, len(spares), model, _table(model, writer), xml)


def _text(values: Iterable[float]) -> str:
    return " ".join(f"{v:.4f}" for v in values)


def _quat(rotation: Quaternion | None) -> str:
    return "" if rotation is None else ' quat="' + " ".join(f"{v:.6f}" for v in rotation) + '"'


def _room(writer: _Writer, house: House, index: int) -> str:
    room = house.rooms[index]
    top, white = WALL_HEIGHT_M, (0.95, 0.95, 0.94)
    out = [
        writer.block(rect, low, top, room.wall_rgb, "wall", variant=index)
        for rect, low in _wall_slabs(house, index)
    ]
    paving = room.floor_texture
    out.append(
        writer.block(room.rect, -0.05, 0.0, room.floor_rgb, paving, mask=_GHOST, variant=index)
    )
    out.append(writer.block(room.rect, top, top + 0.05, white, group=GROUP_CEILING, mask=_GHOST))
    centre = (*room.centre, WALL_HEIGHT_M - 0.02)
    disc = Part("cylinder", (0.18, 0.18, 0.02), centre, (1.0, 0.98, 0.90), "lightdisc", glow=1.0)
    out.append(writer.geom(disc, group=GROUP_CEILING, mask=_GHOST))
    return "".join(out)


def _wall_slabs(house: House, index: int) -> list[tuple[Rect, float]]:
    """Return the slabs of a room's own half of its walls, and how high each begins."""
    x0, y0, x1, y1 = house.rooms[index].rect
    out: list[tuple[Rect, float]] = []
    for axis, line, inward in (("x", x0, 1), ("x", x1, -1), ("y", y0, 1), ("y", y1, -1)):
        low, high = (y0, y1) if axis == "x" else (x0, x1)
        near, far = sorted((line, line + inward * WALL_M))
        at = low
        for begin, end in sorted(_openings(house, index, axis, line)):
            out += [(_slab(axis, near, far, at, begin), 0.0)]
            out += [(_slab(axis, near, far, begin, end), DOOR_HEIGHT_M)]
            at = end
        out.append((_slab(axis, near, far, at, high), 0.0))
    return out


def _slab(axis: str, near: float, far: float, begin: float, end: float) -> Rect:
    return (near, begin, far, end) if axis == "x" else (begin, near, end, far)


def _openings(house: House, index: int, axis: str, line: float) -> list[tuple[float, float]]:
    cuts = []
    for door in house.doors:
        across, along = (door.x, door.y) if door.axis == "x" else (door.y, door.x)
        if index in door.rooms and door.axis == axis and abs(across - line) < 1e-6:
            cuts.append((along - door.width_m / 2, along + door.width_m / 2))
    return cuts


def _door(writer: _Writer, house: House, index: int) -> str:
    door = house.doors[index]
    half, reach = door.width_m / 2, WALL_M + 0.015
    x0, y0, x1, y1 = door.along(half, reach)
    lintel = writer.block((x0, y0, x1, y1), DOOR_HEIGHT_M - 0.05, DOOR_HEIGHT_M, _TRIM)
    if door.axis == "x":
        jambs = ((x0, y0, x1, y0 + 0.05), (x0, y1 - 0.05, x1, y1))
    else:
        jambs = ((x0, y0, x0 + 0.05, y1), (x1 - 0.05, y0, x1, y1))
    frame = "".join(writer.block(j, 0.0, DOOR_HEIGHT_M, _TRIM) for j in jambs) + lintel
    return frame + (_leaf(writer, index, door) if door.has_leaf else "")


def _leaf(writer: _Writer, index: int, door: Door) -> str:
    length, height = door.leaf_m, DOOR_HEIGHT_M - 0.10
    rgb: Vec3 = (0.52, 0.36, 0.22) if index % 2 else (0.88, 0.87, 0.84)
    half = (length / 2, 0.018, height / 2)
    leaf = Part("box", half, (length / 2, 0.0, height / 2 + 0.03), rgb, "doorleaf")
    handle = Part("box", (0.06, 0.05, 0.012), (length - 0.10, 0.0, 1.0), (0.75, 0.65, 0.35))
    geoms = writer.geom(leaf, group=GROUP_OBJECT, mask=_SOLID)
    geoms += writer.geom(handle, group=GROUP_OBJECT, mask=_GHOST)
    x, y = door.hinge_xy
    # Unlatched leaves swing both ways: the robot has no hand to pull one with.
    return (
        f'<body name="door{index}" pos="{x:.4f} {y:.4f} 0" euler="0 0 {door.closed_yaw_rad:.6f}">'
        f'<joint name="door{index}" type="hinge" axis="0 0 1" range="-1.75 1.75" limited="true" '
        'damping="1.0" frictionloss="0.6" armature="0.1"/>'
        f'<inertial pos="{length / 2:.4f} 0 1.0" mass="8" diaginertia="2 2 0.5"/>{geoms}</body>'
    )


def _object(writer: _Writer, index: int, placed: Placed) -> str:
    piece = placed.piece
    rolls = piece.category == "ball"
    owner = 0 if piece.flat else index + 1
    mask = _BALL if rolls else _GHOST
    geoms = "".join(
        writer.geom(p, group=GROUP_OBJECT, mask=mask, owner=owner, variant=index)
        for p in piece.parts
    )
    pose = f'pos="{placed.x:.4f} {placed.y:.4f} 0.001"' if rolls else ""
    if not rolls:
        rotation = turn("z", np.degrees(placed.yaw_rad))
        pose = f'pos="{placed.x:.4f} {placed.y:.4f} 0"{_quat(rotation)}'
    name = f'<body name="obj{index}"'
    if rolls:
        return f'{name} {pose}><freejoint name="obj{index}"/>{geoms}</body>'
    low, high = _bounds(piece)
    # Ray culling of MuJoCo 3 does not turn the offset of a body's centre of mass with the body:
    # with the inertial frame in the middle of the piece there is no offset.
    inertial = (
        f'<inertial pos="{_text(((low + high) / 2).tolist())}" mass="1" diaginertia="1 1 1"/>'
    )
    hull = "" if piece.flat else _hull(piece)
    return f'{name} mocap="true" {pose}>{inertial}{geoms}{hull}</body>'


def _hull(piece: Piece) -> str:
    half_z = float(np.clip(piece.height_m, *_HULL_HEIGHT_M)) / 2
    if piece.is_round:
        # Capsules: a cylinder's edge against a box edge gives a normal that is turned by 90 deg.
        shape, size = "capsule", (piece.depth_m / 2, half_z)
    else:
        shape, size = "box", (piece.depth_m / 2, piece.width_m / 2, half_z)  # type: ignore[assignment]
    return (
        f'<geom type="{shape}" size="{_text(size)}" pos="0 0 {half_z:.4f}" rgba="0 0 0 0" '
        f'group="{GROUP_HULL}" {_SOLID}/>'
    )


def _bounds(piece: Piece) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of a box that holds all parts and the hull in the piece's frame."""
    low = np.array([-piece.depth_m / 2, -piece.width_m / 2, 0.0])
    high = np.array([piece.depth_m / 2, piece.width_m / 2, min(piece.height_m, 0.3)])
    for part in piece.parts:
        half = np.array(part.half_m)
        reach = half if part.rotation is None else np.full(3, np.linalg.norm(half))
        low = np.minimum(low, part.centre_m - reach)
        high = np.maximum(high, part.centre_m + reach)
    return low, high


def _document(house: House, bodies: list[str]) -> str:
    radius, half = ROBOT_RADIUS_M, ROBOT_HEIGHT_M / 2
    latches = "".join(
        f'<joint name="latch{k}" joint1="door{k}" polycoef="0 0 0 0 0" active="false" '
        'solref="0.01 1"/>'
        for k, door in enumerate(house.doors)
        if door.has_leaf
    )
    # The base reaches from below to above all it can meet: otherwise the shallowest overlap is
    # vertical, where it has no joint, and it would walk in.
    robot = (
        '<body name="robot" gravcomp="1">'
        '<inertial pos="0 0 0.2" mass="14" diaginertia="0.4 0.4 0.25"/>'
        '<joint name="rx" type="slide" axis="1 0 0"/><joint name="ry" type="slide" axis="0 1 0"/>'
        '<joint name="rt" type="hinge" axis="0 0 1"/>'
        f'<geom name="base" type="capsule" size="{radius} {half}" pos="0 0 {half}" '
        f'group="{GROUP_ROBOT}" {_BASE}/></body>'
    )
    # The sparse Newton solver of MuJoCo 4.0.0 has a wrong factor: dense is asked for.
    return f"""<mujoco model="house{house.seed}">
<compiler angle="radian" autolimits="true" inertiafromgeom="auto"/>
<option timestep="{TIMESTEP_S}" integrator="implicitfast" cone="pyramidal" jacobian="dense"
 iterations="20" ls_iterations="10"/><size memory="16M"/>
<worldbody><geom name="ground" type="plane" size="50 50 1" pos="0 0 -0.0005"
 group="{GROUP_GROUND}" contype="2" conaffinity="8"/>
{chr(10).join(bodies)}
{robot}</worldbody><equality>{latches}</equality><actuator>
<velocity name="vx" joint="rx" kv="300" forcelimited="true" forcerange="-60 60"/>
<velocity name="vy" joint="ry" kv="300" forcelimited="true" forcerange="-60 60"/>
<velocity name="vw" joint="rt" kv="20" forcelimited="true" forcerange="-15 15"/>
</actuator></mujoco>"""


def _table(model: mujoco.MjModel, writer: _Writer) -> GeomTable:
    count = model.ngeom + 1
    half = np.ones((count, 3), dtype=np.float32)
    half[:-1] = model.geom_size
    upright = np.isin(
        model.geom_type, (mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_CAPSULE)
    )
    half[:-1][upright] = half[:-1][upright][:, [0, 0, 1]]
    table = GeomTable(
        owner=np.zeros(count, dtype=np.int32),
        texture=np.zeros(count, dtype=np.int8),
        variant=np.zeros(count, dtype=np.int32),
        rgb=np.full((count, 3), 0.03, dtype=np.float32),
        glow=np.zeros(count, dtype=np.float32),
        half_m=half,
        kind=np.append(model.geom_type, int(mujoco.mjtGeom.mjGEOM_BOX)).astype(np.int32),
        seen=np.append(np.isin(model.geom_group, SEEN_GROUPS), False),
    )
    for k, (owner, texture, variant, rgb, glow) in enumerate(writer.rows):
        g = model.geom(f"g{k}").id
        table.owner[g], table.texture[g], table.variant[g] = owner, TEXTURE_ID[texture], variant
        table.rgb[g], table.glow[g] = rgb, glow
    return table
