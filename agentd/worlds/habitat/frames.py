"""Habitat's frames and ours.

Habitat: metres, y up, an agent looks along -z with x to its right; its cameras have the same axes.
Rotations are quaternions [x, y, z, w]. Ours are those of `memory.records`: world and body with z
up, x forward, y left; cameras x right, y down, z forward. The world frames share their origin and
the identity rotation of an agent is the yaw 0: ours = (-z, -x, y). Turning left is positive in
both.

Axis letters: n points.
"""

import math

import numpy as np
from jaxtyping import Float, Float64

from memory.rotations import quaternions_of, rotation_of

R_WORLD_HABITAT = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""Points of Habitat's world into ours; the same for axes of an agent into those of our body."""
R_HABITAT_CAMERA = np.diag([1.0, -1.0, -1.0])
"""Points of our camera into Habitat's: x stays, y and z are turned round."""


def points_from_habitat(points_m: Float[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
    """Return points of Habitat's world in ours."""
    return np.asarray(points_m, dtype=np.float64) @ R_WORLD_HABITAT.T


def points_to_habitat(points_m: Float[np.ndarray, "*n 3"]) -> Float64[np.ndarray, "*n 3"]:
    """Return points of our world in Habitat's."""
    return np.asarray(points_m, dtype=np.float64) @ R_WORLD_HABITAT


def body_from_habitat(
    position_m: Float[np.ndarray, "3"], rotation: Float[np.ndarray, "4"]
) -> Float64[np.ndarray, "4 4"]:
    """Return `T_world_body` of an agent: its feet and where it looks."""
    T = np.eye(4)
    T[:3, :3] = R_WORLD_HABITAT @ rotation_of(rotation) @ R_WORLD_HABITAT.T
    T[:3, 3] = points_from_habitat(position_m)
    return T


def body_to_habitat(
    T_world_body: Float[np.ndarray, "4 4"],
) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "4"]]:
    """Return position and rotation [x, y, z, w] of the agent that is our body."""
    R = R_WORLD_HABITAT.T @ T_world_body[:3, :3] @ R_WORLD_HABITAT
    return points_to_habitat(T_world_body[:3, 3]), quaternions_of(R)


def camera_from_habitat(
    position_m: Float[np.ndarray, "3"], rotation: Float[np.ndarray, "4"]
) -> Float64[np.ndarray, "4 4"]:
    """Return `T_world_camera` of a sensor's pose."""
    T = np.eye(4)
    T[:3, :3] = R_WORLD_HABITAT @ rotation_of(rotation) @ R_HABITAT_CAMERA
    T[:3, 3] = points_from_habitat(position_m)
    return T


def camera_to_habitat(
    T_world_camera: Float[np.ndarray, "4 4"],
) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "4"]]:
    """Return position and rotation [x, y, z, w] of the sensor that is our camera."""
    R = R_WORLD_HABITAT.T @ T_world_camera[:3, :3] @ R_HABITAT_CAMERA.T
    return points_to_habitat(T_world_camera[:3, 3]), quaternions_of(R)


def yaw_of(rotation: Float[np.ndarray, "4"]) -> float:
    """Return where an agent looks on our floor, in [-pi, pi]; turning left is positive."""
    forward = points_from_habitat(rotation_of(rotation) @ np.array([0.0, 0.0, -1.0]))
    return math.atan2(forward[1], forward[0])


def rotation_from_yaw(yaw_rad: float) -> Float64[np.ndarray, "4"]:
    """Return the rotation [x, y, z, w] of an upright agent."""
    return np.array([0.0, math.sin(yaw_rad / 2), 0.0, math.cos(yaw_rad / 2)])
