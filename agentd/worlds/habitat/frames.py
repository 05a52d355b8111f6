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


def matrix_of(rotation: Float[np.ndarray, "4"]) -> Float64[np.ndarray, "3 3"]:
    """Return the matrix of a quaternion [x, y, z, w].

    Raises:
        ValueError: If it is zero or not finite.
    """
    x, y, z, w = (float(v) for v in rotation)
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not math.isfinite(norm) or norm < 1e-6:
        raise ValueError(f"[{x}, {y}, {z}, {w}] is no rotation; expected a quaternion [x, y, z, w]")
    x, y, z, w = x / norm, y / norm, z / norm, w / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotation_of(matrix: Float[np.ndarray, "3 3"]) -> Float64[np.ndarray, "4"]:
    """Return the quaternion [x, y, z, w] of a rotation matrix, with w >= 0.

    References:
        Shepperd 1978, Quaternion from rotation matrix.
    """
    m = np.asarray(matrix, dtype=np.float64)
    choices = np.array([m[0, 0], m[1, 1], m[2, 2], np.trace(m)])
    i = int(choices.argmax())
    q = np.empty(4)
    if i == 3:
        q[3] = 1 + choices[3]
        q[:3] = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    else:
        j, k = (i + 1) % 3, (i + 2) % 3
        q[i] = 1 + m[i, i] - m[j, j] - m[k, k]
        q[j], q[k] = m[j, i] + m[i, j], m[k, i] + m[i, k]
        q[3] = m[k, j] - m[j, k]
    q /= np.linalg.norm(q)
    return -q if q[3] < 0 else q


def body_from_habitat(
    position_m: Float[np.ndarray, "3"], rotation: Float[np.ndarray, "4"]
) -> Float64[np.ndarray, "4 4"]:
    """Return `T_world_body` of an agent: its feet and where it looks."""
    T = np.eye(4)
    T[:3, :3] = R_WORLD_HABITAT @ matrix_of(rotation) @ R_WORLD_HABITAT.T
    T[:3, 3] = points_from_habitat(position_m)
    return T


def body_to_habitat(
    T_world_body: Float[np.ndarray, "4 4"],
) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "4"]]:
    """Return position and rotation [x, y, z, w] of the agent that is our body."""
    R = R_WORLD_HABITAT.T @ T_world_body[:3, :3] @ R_WORLD_HABITAT
    return points_to_habitat(T_world_body[:3, 3]), rotation_of(R)


def camera_from_habitat(
    position_m: Float[np.ndarray, "3"], rotation: Float[np.ndarray, "4"]
) -> Float64[np.ndarray, "4 4"]:
    """Return `T_world_camera` of a sensor's pose."""
    T = np.eye(4)
    T[:3, :3] = R_WORLD_HABITAT @ matrix_of(rotation) @ R_HABITAT_CAMERA
    T[:3, 3] = points_from_habitat(position_m)
    return T


def camera_to_habitat(
    T_world_camera: Float[np.ndarray, "4 4"],
) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "4"]]:
    """Return position and rotation [x, y, z, w] of the sensor that is our camera."""
    R = R_WORLD_HABITAT.T @ T_world_camera[:3, :3] @ R_HABITAT_CAMERA.T
    return points_to_habitat(T_world_camera[:3, 3]), rotation_of(R)


def yaw_of(rotation: Float[np.ndarray, "4"]) -> float:
    """Return where an agent looks on our floor, in [-pi, pi]; turning left is positive."""
    forward = points_from_habitat(matrix_of(rotation) @ np.array([0.0, 0.0, -1.0]))
    return math.atan2(forward[1], forward[0])


def rotation_from_yaw(yaw_rad: float) -> Float64[np.ndarray, "4"]:
    """Return the rotation [x, y, z, w] of an upright agent."""
    return np.array([0.0, math.sin(yaw_rad / 2), 0.0, math.cos(yaw_rad / 2)])
