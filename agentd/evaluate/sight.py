"""What a camera shows clearly, judged from the truth.

Axis letters: n points.
"""

import numpy as np

from agentd.worlds.oracle import TrueObject
from memory.frames import inverse, project
from memory.records import BodySpec, Observation

CLEAR_PX = 24
CLEAR_SIDE_PX = 8.0
CLEAR_M = (0.5, 4.0)
"""An object, or the place where one stood, is seen clearly with so many pixels in this range."""


def place_in_sight(observation: Observation, spec: BodySpec, thing: TrueObject) -> bool:
    """Return whether an object would be seen clearly, did it stand there."""
    steps = np.linspace(-0.45, 0.45, 4)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    world = thing.xyz_m + grid * thing.extent_m
    T = inverse(observation.T_world_camera)
    uv, z = project(world @ T[:3, :3].T + T[:3, 3], spec)
    inside = (z > 0.05) & (uv >= 0).all(axis=1)
    inside &= (uv[:, 0] < spec.width_px) & (uv[:, 1] < spec.height_px)
    u, v = np.where(inside[:, None], uv, 0).astype(int).T
    with np.errstate(invalid="ignore"):
        open_ = inside & (observation.depth_m[v, u] >= z - 0.1)
    if open_.mean() < 0.5 or not CLEAR_M[0] <= z[open_].mean() <= CLEAR_M[1]:
        return False
    return bool((np.ptp(uv[open_], axis=0) >= CLEAR_SIDE_PX).all())
