"""What stands out in the depth image: connected parts without a name.

Floor and walls are taken out by height, what is left is cut where the depth jumps, and every
connected part is a thing. All things bear one label, so the memory tells them apart by place and
size alone, and a goal by category can be resolved only if it asks for that label.

Axis letters: h w image.
"""

import numpy as np
from jaxtyping import Bool, Float64
from scipy.ndimage import label

from memory.records import BodySpec, Detection, Observation
from policies.config import PerceptionConfig
from policies.detectors.lifting import Lifter

CELL_M = 0.1
"""Side of the squares of floor in which a wall is looked for."""


class ComponentsDetector:
    """Parts of the depth image as things. Satisfies `Detector`; needs no mask and no colour.

    Args:
        spec: Body that carries the camera.
        config: Settings.
    """

    def __init__(self, spec: BodySpec, config: PerceptionConfig) -> None:
        self._config = config.components
        self._lifter = Lifter(spec, config.min_px)

    def detect(self, observation: Observation) -> list[Detection]:
        """Return what stands out, the largest first; nothing without depth."""
        depth_m = observation.depth_m.astype(np.float64)
        depth_m[~((depth_m > 0) & (depth_m < np.inf))] = np.nan
        world = self._lifter.world_m(observation).reshape(*depth_m.shape, 3)
        with np.errstate(invalid="ignore"):
            # Steep views of the floor measure it with an error that grows with range.
            stands = world[..., 2] > self._config.floor_m + 0.01 * depth_m
        stands &= ~self._walls(world)
        mask, count = label(stands & ~self._edges(depth_m))
        things = self._lifter.lift(
            observation,
            mask.astype(np.int32),
            count + 1,
            lambda number: (self._config.label, self._config.score),
        )
        return [d for d in things if float(d.extent_m.max()) <= self._config.max_side_m]

    def _walls(self, world_m: Float64[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
        """Return the pixels above squares of floor where something is as high as a wall."""
        known = np.isfinite(world_m).all(axis=-1)
        squares = np.zeros((*known.shape, 2), dtype=np.int64)
        squares[known] = np.floor(world_m[known][:, :2] / CELL_M).astype(np.int64)
        # One number per square; what lies a million squares away may share it.
        number = squares[..., 0] * 1_000_003 + squares[..., 1]
        tall = known & (np.nan_to_num(world_m[..., 2]) > self._config.wall_m)
        walls: Bool[np.ndarray, "h w"] = known & np.isin(number, number[tall])
        return walls

    def _edges(self, depth_m: Float64[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
        """Return the far pixels at jumps of depth, and those without depth."""
        edges: Bool[np.ndarray, "h w"] = np.isnan(depth_m)
        # Rows of the transposed image are columns: the same step for both directions.
        for depth, found in ((depth_m, edges), (depth_m.T, edges.T)):
            with np.errstate(invalid="ignore"):
                step = np.diff(depth, axis=0)
                near = np.minimum(depth[1:], depth[:-1])
                bound = self._config.jump_m + self._config.jump_rel * near
                found[1:] |= step > bound
                found[:-1] |= step < -bound
        return edges
