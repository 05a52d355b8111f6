"""The RGB-D camera of the house: cast rays, then light and colour what they hit."""

from dataclasses import dataclass, field

import mujoco
import numpy as np
from jaxtyping import Float32, Float64, Int, Int32, UInt8

from agentd.worlds.house.casters import Caster
from agentd.worlds.house.mjcf import Scene
from agentd.worlds.house.plan import WALL_HEIGHT_M
from agentd.worlds.house.textures import TEXTURE_ID, Coordinates, Hits, textured
from memory.frames import pixel_rays
from memory.records import BodySpec

CONTACT_CELL_M = 0.05
CLEAR_DAY = 0.6
"""Level of daylight that counts as a clear day."""

_F = np.float32
_LAMP_HEIGHT_M = 2.35
_TINT = np.array([[1.0], [0.97], [0.90]], dtype=_F)
_PATTERN_M = _F(0.022)
"""Finest pattern of the textures: pixels larger than this fade it out."""
_ELLIPSOID, _CYLINDER = int(mujoco.mjtGeom.mjGEOM_ELLIPSOID), int(mujoco.mjtGeom.mjGEOM_CYLINDER)


def _tone_curve(steps: int, brightest: float) -> UInt8[np.ndarray, "s"]:
    """Return the levels of evenly spaced brightness: a soft shoulder, then gamma.

    The shoulder keeps bright rooms from clipping to white.
    """
    light = np.arange(steps) * (brightest / steps)
    level = np.minimum(1.10 * light / (1 + 0.18 * light), 1)
    return (level**0.85 * 255).astype(np.uint8)


_BRIGHTEST, _TONE_STEPS = 1.25, 4096
_TONE = _tone_curve(_TONE_STEPS, _BRIGHTEST)


@dataclass(slots=True)
class Light:
    """What can be switched: one lamp per room and the daylight.

    Attributes:
        lamp: Level of each room's lamp, 1 is normal; the last entry is outdoors.
        daylight: Level of the light through the windows.
    """

    lamp: Float32[np.ndarray, "r"]
    daylight: float = field(default=CLEAR_DAY)


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of the house.

    Attributes:
        rgb: Colour.
        depth_m: Depth along the optical axis, 0 where nothing was hit.
        owner: Object number + 1 per pixel, 0 for the building.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    depth_m: Float32[np.ndarray, "h w"]
    owner: Int32[np.ndarray, "h w"]


class HouseCamera:
    """Takes pictures of a scene with any caster."""

    def __init__(self, scene: Scene, spec: BodySpec, caster: Caster) -> None:
        self.caster = caster
        self._table = scene.table
        self._rgb, self._half = scene.table.rgb.T.copy(), scene.table.half_m.T.copy()
        self._num_geoms = scene.model.ngeom
        self._rays = pixel_rays(spec).reshape(-1, 3).T.astype(_F)
        self._ray_length = np.linalg.norm(self._rays, axis=0)
        self._pixel_m = _F(1 / spec.fx_px)
        rooms = scene.house.rooms
        self.light = Light(np.ones(len(rooms) + 1, dtype=_F))
        lamps = [(*r.centre, _LAMP_HEIGHT_M) for r in rooms] + [(0.0, 0.0, 3.0)]
        self._lamp_m = np.array(lamps, dtype=_F).T.copy()
        shape = [int(np.ceil(s / CONTACT_CELL_M)) + 1 for s in scene.house.size_m]
        self._room = np.full(shape, len(rooms), dtype=np.int16)
        for k, room in enumerate(rooms):
            x0, y0, x1, y1 = (round(v / CONTACT_CELL_M) for v in room.rect)
            self._room[x0:x1, y0:y1] = k
        self._contact = np.ones(shape, dtype=_F)

    def set_contact_shade(self, shade: Float32[np.ndarray, "x y"]) -> None:
        """Set how much light reaches the floor beside furniture and walls, 0 to 1 per cell."""
        self._contact[:] = 1
        self._contact[: shade.shape[0], : shade.shape[1]] = shade

    def take(self, data: mujoco.MjData, T_world_camera: Float64[np.ndarray, "4 4"]) -> Picture:
        """Return what the camera sees from a pose."""
        depth, geom = self.caster.cast(data, T_world_camera)
        number = np.where(geom < 0, self._num_geoms, geom)
        rgb = self._shade(data, T_world_camera.astype(_F), depth.reshape(-1), number.reshape(-1))
        return Picture(rgb.reshape(*depth.shape, 3), depth, self._table.owner[number])

    def _shade(
        self,
        data: mujoco.MjData,
        T_world_camera: Float32[np.ndarray, "4 4"],
        depth: Float32[np.ndarray, "n"],
        number: Int[np.ndarray, "n"],
    ) -> UInt8[np.ndarray, "n 3"]:
        # Pixels are shaded in the order of their texture, so that each texture is one slice.
        order = np.argsort(self._table.texture[number], kind="stable")
        number, depth = number[order], depth[order]
        rays = self._rays.take(order, axis=1)
        view = (T_world_camera[:3, :3] @ rays) * depth
        world = view + T_world_camera[:3, 3:]
        turns = np.vstack([data.geom_xmat, np.eye(3).reshape(1, 9)]).T.astype(_F)
        turns = turns.take(number, axis=1)
        hits, normal = self._surface(data, world, turns, number)
        slant = np.abs((view * normal).sum(0)) / (self._ray_length[order] * depth + _F(1e-6))
        pixel = depth * self._pixel_m / np.maximum(slant, _F(0.12)) + _F(1e-4)
        np.minimum(_PATTERN_M / pixel, 1, out=hits.fade)
        texture = self._table.texture[number]
        colour = textured(hits, texture)
        ix, iy = self._cells(world + normal * _F(0.08))
        room = self._room[ix, iy]
        glow = self._glow(number, texture, room)
        light = self._illumination(world, normal, room, self._contact[ix, iy]) * (1 - glow)
        colour = colour * (light * _TINT + glow) * _F(_TONE_STEPS / _BRIGHTEST)
        tone = _TONE[np.clip(colour, 0, _TONE_STEPS - 1).astype(np.int16)]
        rgb = np.empty((len(order), 3), dtype=np.uint8)
        rgb[order] = tone.T
        return rgb

    def _surface(
        self,
        data: mujoco.MjData,
        world: Coordinates,
        turns: Float32[np.ndarray, "9 n"],
        number: Int[np.ndarray, "n"],
    ) -> tuple[Hits, Coordinates]:
        """Return the hit points in all frames (`fade` not yet set) and the world normals."""
        centre = np.vstack([data.geom_xpos, np.zeros(3)]).T.astype(_F)
        x, y, z = world - centre.take(number, axis=1)
        local = np.stack([turns[k] * x + turns[k + 3] * y + turns[k + 6] * z for k in (0, 1, 2)])
        half = self._half.take(number, axis=1)
        unit = local / half
        u, v, w = _local_normals(unit, half, self._table.kind[number])
        normal = np.stack([turns[k] * u + turns[k + 1] * v + turns[k + 2] * w for k in (0, 3, 6)])
        hits = Hits(
            rgb=self._rgb.take(number, axis=1),
            world_m=world,
            local_m=local,
            unit=unit,
            half_m=half,
            fade=np.empty_like(x),
            variant=self._table.variant[number],
            day=self.light.daylight / CLEAR_DAY,
        )
        return hits, normal

    def _glow(
        self,
        number: Int[np.ndarray, "n"],
        texture: Int[np.ndarray, "n"],
        room: Int[np.ndarray, "n"],
    ) -> Float32[np.ndarray, "n"]:
        """Return each point's own light: ceiling lamps and windows follow what lights them."""
        glow = self._table.glow[number]
        first, last = np.searchsorted(
            texture, [TEXTURE_ID["lightdisc"], TEXTURE_ID["lightdisc"] + 1]
        )
        glow[first:last] = self.light.lamp[room[first:last]]
        first, last = np.searchsorted(texture, [TEXTURE_ID["sky"], TEXTURE_ID["sky"] + 1])
        glow[first:last] *= _F(min(1.0, self.light.daylight / CLEAR_DAY + 0.05))
        return glow

    def _illumination(
        self,
        world: Coordinates,
        normal: Coordinates,
        room: Int[np.ndarray, "n"],
        contact: Float32[np.ndarray, "n"],
    ) -> Float32[np.ndarray, "n"]:
        """Return the light on each point: the room's lamp, ambient light, shade in the corners."""
        lamp, z = self.light.lamp[room], world[2]
        to_lamp = self._lamp_m.take(room, axis=1) - world
        d2 = (to_lamp * to_lamp).sum(0)
        facing = np.maximum((to_lamp * normal).sum(0), 0) / np.sqrt(d2 + _F(1e-6))
        rise = np.minimum(np.maximum(z * _F(1 / 0.3), 0), 1)
        low = np.where(np.abs(z) < 0.03, contact, _F(0.86) + _F(0.14) * rise)
        drop = np.minimum(np.maximum((_F(WALL_HEIGHT_M) - z) * _F(1 / 0.3), 0), 1)
        ambient = _F(0.26) * lamp + _F(0.24 * self.light.daylight + 0.03)
        # East and west walls differ a little and undersides get light from the floor: corners read.
        ambient *= _F(0.94) + _F(0.06) * normal[0] + _F(0.35) * np.maximum(-normal[2], 0)
        direct = lamp * facing * _F(1.05) / (_F(0.75) + _F(0.10) * d2)
        return (ambient + direct) * low * (_F(0.88) + _F(0.12) * drop)

    def _cells(self, point: Coordinates) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "n"]]:
        at = (point[:2] * _F(1 / CONTACT_CELL_M)).astype(np.int32)
        nx, ny = self._room.shape
        return np.clip(at[0], 0, nx - 1), np.clip(at[1], 0, ny - 1)


def _local_normals(unit: Coordinates, half: Coordinates, kind: Int[np.ndarray, "n"]) -> Coordinates:
    """Return outward normals from the position on the surface, in the primitive's frame."""
    a, b, c = np.abs(unit)
    on_x = (a >= b) & (a >= c)
    on_y = ~on_x & (b >= c)
    normal = np.sign(unit) * np.stack([on_x, on_y, ~(on_x | on_y)])
    i = np.flatnonzero(kind == _ELLIPSOID)
    if i.size:
        gradient = unit[:, i] / half[:, i]
        normal[:, i] = gradient / (np.linalg.norm(gradient, axis=0) + _F(1e-9))
    i = np.flatnonzero(kind == _CYLINDER)
    if i.size:
        x, y, z = unit[:, i]
        side = np.abs(z) < 0.995
        length = np.hypot(x, y) + _F(1e-9)
        normal[:, i] = np.stack([side * x / length, side * y / length, ~side * np.sign(z)])
    return normal
