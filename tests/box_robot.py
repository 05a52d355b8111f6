"""What stands for a robot and its driver in the tests: a box room, ray-cast."""

import time

import numpy as np

from memory.frames import compose, pixel_rays, se3_from_pose
from memory.records import BodySpec

TALL_M = 2.5
COLOURS = np.array([[200, 80, 60], [60, 120, 200], [120, 120, 120]])


class BoxRobot:
    """A round robot alone in a square room with a chequered floor."""

    def __init__(self, spec: BodySpec, side_m: float) -> None:
        self._spec, self._half_m = spec, side_m / 2
        self._rays = pixel_rays(spec)
        self._clock_ns = 0
        self.pose = np.zeros(3)
        self.is_open, self.is_plugged = True, True

    def place(self, x_m: float, y_m: float, yaw_rad: float) -> None:
        self.pose = np.array([x_m, y_m, yaw_rad])

    def drive(self, v_mps: float, w_radps: float, duration_s: float) -> bool:
        """Drive for a while and return whether a wall was in the way."""
        reach_m = self._half_m - self._spec.radius_m
        there = compose(self.pose, np.array([v_mps * duration_s, 0.0, w_radps * duration_s]))
        stopped = np.append(np.clip(there[:2], -reach_m, reach_m), there[2])
        self.pose, was_pose = stopped, there
        return not np.array_equal(stopped, was_pose)

    def camera(self, limit_s: float) -> tuple[int, np.ndarray, np.ndarray]:
        """Return stamp, colour and depth of a new image.

        Raises:
            TimeoutError: If none came within the limit.
        """
        if not self.is_plugged:
            raise TimeoutError(f"no image for {limit_s} s")
        self._clock_ns = max(time.time_ns(), self._clock_ns + 1)
        T = se3_from_pose(self.pose) @ self._spec.T_body_camera
        rays = self._rays @ T[:3, :3].T
        rays = np.where(rays == 0, 1e-9, rays)
        high = np.array([self._half_m, self._half_m, TALL_M])
        low = np.array([-self._half_m, -self._half_m, 0.0])
        reach = (np.where(rays > 0, high, low) - T[:3, 3]) / rays
        depth_m = reach.min(axis=-1).astype(np.float32)
        hit = depth_m[..., None] * rays + T[:3, 3]
        light = 0.6 + 0.4 * (np.floor(2 * hit).sum(axis=-1) % 2)
        rgb = (COLOURS[reach.argmin(axis=-1)] * light[..., None]).astype(np.uint8)
        return self._clock_ns, rgb, depth_m

    def close(self) -> None:
        self.is_open = False
