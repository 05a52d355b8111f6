"""What a detector and a depth camera get wrong, at three levels, by a seed.

The detector's errors are the product's own (`policies.detectors.noisy`); depth and pose are spoilt
here, and the true object behind every instance is kept track of.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from memory.frames import body_pose, inverse, se3_from_pose
from memory.records import BodySpec, Observation
from policies.config import NoiseConfig
from policies.detectors.noisy import MaskNoise

NO_ERRORS = NoiseConfig(
    miss=0, miss_px=0, miss_per_m=0, label=0, join=0, split=0, phantom=0, shift_px=0, lasts_s=0
)
"""Every frame is right, and where errors are added each frame errs on its own."""


def errors(**some: float) -> NoiseConfig:
    """Return a detector that makes only some errors."""
    return NO_ERRORS.model_copy(update=some)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How much goes wrong.

    Attributes:
        mask: The detector's errors.
        depth_rel: Standard deviation of depth, relative.
        dropout: Share of pixels without depth.
        position_m: Standard deviation of the body's position, along each axis.
        heading_rad: Standard deviation of its heading.
    """

    mask: NoiseConfig = NO_ERRORS
    depth_rel: float = 0.0
    dropout: float = 0.0
    position_m: float = 0.0
    heading_rad: float = 0.0


LEVELS = {
    "perfect": Noise(),
    "mild": Noise(
        mask=errors(miss=0.1, phantom=0.03, label=0.02, shift_px=0.3, split=0.02, join=0.02),
        depth_rel=0.01,
        dropout=0.01,
        position_m=0.01,
        heading_rad=0.005,
    ),
    "hard": Noise(
        mask=errors(miss=0.3, phantom=0.2, label=0.1, shift_px=0.8, split=0.1, join=0.1),
        depth_rel=0.03,
        dropout=0.05,
        position_m=0.03,
        heading_rad=0.017,
    ),
}


class Spoiler:
    """Makes observations worse.

    Args:
        noise: How much.
        spec: Body that carries the camera.
        labels: Labels that a confused detector may give.
        seed: Of the errors.
    """

    def __init__(self, noise: Noise, spec: BodySpec, labels: Sequence[str], seed: int) -> None:
        self._noise = noise
        self._spec = spec
        self._mask_noise = MaskNoise(spec, noise.mask, seed, labels)
        self._rng = np.random.default_rng([seed, 77])

    def spoil(
        self, observation: Observation, objects: dict[int, int]
    ) -> tuple[Observation, dict[int, int | None]]:
        """Return a worse observation, and the object behind each of its instances.

        Args:
            observation: With a mask.
            objects: True object of each instance in view.

        Returns:
            None stands for a phantom, or for several objects in one.
        """
        spoilt = self._mask_noise.spoil(observation)
        behind = {
            number: objects.get(sources[0]) if len(sources) == 1 else None
            for number, sources in spoilt.sources.items()
            if len(sources) != 1 or sources[0] in objects
        }
        return replace(
            spoilt.observation,
            depth_m=self._depth_m(observation),
            T_world_camera=self._pose(observation),
        ), behind

    def _depth_m(self, observation: Observation) -> np.ndarray:
        depth_m, noise = observation.depth_m, self._noise
        if noise.depth_rel == 0 and noise.dropout == 0:
            return depth_m
        factor = 1 + self._rng.normal(0, noise.depth_rel, depth_m.shape)
        lost = self._rng.random(depth_m.shape) < noise.dropout
        return np.where(lost, np.nan, depth_m * factor).astype(np.float32)

    def _pose(self, observation: Observation) -> np.ndarray:
        noise = self._noise
        if noise.position_m == 0 and noise.heading_rad == 0:
            return observation.T_world_camera
        pose = body_pose(observation.T_world_camera, self._spec).astype(np.float64)
        scale = (noise.position_m, noise.position_m, noise.heading_rad)
        off = se3_from_pose(pose + self._rng.normal(0, scale))
        return off @ inverse(se3_from_pose(pose)) @ observation.T_world_camera
