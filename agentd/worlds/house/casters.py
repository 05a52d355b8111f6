"""Ray casters: which geom each pixel sees and how far away it is."""

from importlib.util import find_spec
from typing import Literal, Protocol, runtime_checkable

import mujoco
import numpy as np
from jaxtyping import Float32, Float64, Int32

from agentd.worlds.house.mjcf import PARKED_X_M, SEEN_GROUPS, Scene
from memory.frames import pixel_rays
from memory.records import BodySpec

CasterName = Literal["auto", "mujoco", "numba"]

DepthImage = Float32[np.ndarray, "h w"]
GeomImage = Int32[np.ndarray, "h w"]


@runtime_checkable
class Caster(Protocol):
    """Casts one ray per pixel."""

    name: str

    def cast(
        self, data: mujoco.MjData, T_world_camera: Float64[np.ndarray, "4 4"]
    ) -> tuple[DepthImage, GeomImage]:
        """Return depth along the optical axis and geom number; no hit is geom -1, depth 0."""
        ...


class MujocoCaster:
    """MuJoCo's own ray caster: needs nothing else."""

    name = "mujoco"

    def __init__(self, scene: Scene, spec: BodySpec) -> None:
        self._model = scene.model
        rays = pixel_rays(spec)
        self._shape = rays.shape[:2]
        rays = rays.reshape(-1, 3)
        self._length = np.linalg.norm(rays, axis=1)
        self._unit = rays / self._length[:, None]
        self._groups = np.array([g in SEEN_GROUPS for g in range(6)], dtype=np.uint8)
        self._robot = scene.model.body("robot").id
        self._geom = np.empty(len(rays), dtype=np.int32)
        self._range = np.empty(len(rays), dtype=np.float64)

    def cast(
        self, data: mujoco.MjData, T_world_camera: Float64[np.ndarray, "4 4"]
    ) -> tuple[DepthImage, GeomImage]:
        rays = np.ascontiguousarray(self._unit @ T_world_camera[:3, :3].T).reshape(-1)
        mujoco.mj_multiRay(
            m=self._model,
            d=data,
            pnt=T_world_camera[:3, 3].copy(),
            vec=rays,
            geomgroup=self._groups,
            flg_static=True,
            bodyexclude=self._robot,
            geomid=self._geom,
            dist=self._range,
            normal=None,
            nray=len(self._geom),
            cutoff=mujoco.mjMAXVAL,
        )
        depth = np.where(self._geom < 0, 0.0, self._range / self._length).astype(np.float32)
        return depth.reshape(self._shape), self._geom.copy().reshape(self._shape)


class NumbaCaster:
    """A compiled caster over the same primitives, several times faster."""

    name = "numba"

    def __init__(self, scene: Scene, spec: BodySpec) -> None:
        from agentd.worlds.house.cast_kernel import cast

        self._kernel = cast
        self._half = scene.table.half_m
        self._kind = scene.table.kind
        self._candidates = np.flatnonzero(scene.table.seen).astype(np.int32)
        self._intrinsics = np.array([spec.fx_px, spec.fy_px, spec.cx_px, spec.cy_px], np.float32)
        self._depth = np.empty((spec.height_px, spec.width_px), dtype=np.float32)
        self._geom = np.empty((spec.height_px, spec.width_px), dtype=np.int32)

    def cast(
        self, data: mujoco.MjData, T_world_camera: Float64[np.ndarray, "4 4"]
    ) -> tuple[DepthImage, GeomImage]:
        position = data.geom_xpos.astype(np.float32)
        here = position[self._candidates, 0] > PARKED_X_M / 2
        self._kernel(
            T_world_camera[:3, 3].astype(np.float32),
            T_world_camera[:3, :3].astype(np.float32),
            position,
            data.geom_xmat.reshape(-1, 3, 3).astype(np.float32),
            self._half,
            self._kind,
            self._candidates[here],
            self._intrinsics,
            self._depth,
            self._geom,
        )
        return np.where(self._geom < 0, np.float32(0), self._depth), self._geom.copy()


def make_caster(name: CasterName, scene: Scene, spec: BodySpec) -> Caster:
    """Return a ray caster; `auto` takes the compiled one where numba is installed.

    Raises:
        ValueError: If numba is asked for and not installed.
    """
    has_numba = find_spec("numba") is not None
    if name == "numba" and not has_numba:
        raise ValueError(
            'world.house.caster is "numba", which is not installed: '
            'install agentd[fast], or use "auto" or "mujoco"'
        )
    if name == "mujoco" or not has_numba:
        return MujocoCaster(scene, spec)
    return NumbaCaster(scene, spec)
