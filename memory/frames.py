"""Rigid transforms and pinhole geometry: SE(2) and SE(3) helpers.

Frames and axis letters are those of `memory.records`.
"""

import math

import numpy as np
from jaxtyping import Float, Float32, Float64

from memory.records import BodySpec


def wrap_rad(angle_rad: float) -> float:
    """Return the angle in [-pi, pi)."""
    return (angle_rad + math.pi) % (2 * math.pi) - math.pi


def camera_mount(
    forward_m: float, height_m: float, pitch_rad: float = 0.0
) -> Float64[np.ndarray, "4 4"]:
    """Return `T_body_camera` of a camera on the robot's axis.

    Args:
        forward_m: Distance in front of the body's origin.
        height_m: Height above the floor.
        pitch_rad: Tilt, positive looks down.
    """
    c, s = math.cos(pitch_rad), math.sin(pitch_rad)
    T = np.eye(4)
    T[:3, :3] = np.array([[0.0, -s, c], [-1.0, 0.0, 0.0], [0.0, -c, -s]])
    T[:3, 3] = (forward_m, 0.0, height_m)
    return T


def se3_from_pose(pose: Float[np.ndarray, "3"]) -> Float64[np.ndarray, "4 4"]:
    """Return `T_world_body` of a planar pose (x_m, y_m, yaw_rad)."""
    x, y, yaw = (float(v) for v in pose)
    c, s = math.cos(yaw), math.sin(yaw)
    T = np.eye(4)
    T[:2, :2] = ((c, -s), (s, c))
    T[:2, 3] = (x, y)
    return T


def inverse(T_a_b: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "4 4"]:
    """Return `T_b_a` of a rigid transform."""
    R = T_a_b[:3, :3]
    T = np.eye(4)
    T[:3, :3] = R.T
    T[:3, 3] = -R.T @ T_a_b[:3, 3]
    return T


def body_pose(
    T_world_camera: Float64[np.ndarray, "4 4"], spec: BodySpec
) -> Float32[np.ndarray, "3"]:
    """Return x_m, y_m, yaw_rad of the body whose camera has the given pose."""
    T = T_world_camera @ inverse(spec.T_body_camera)
    return np.array([T[0, 3], T[1, 3], math.atan2(T[1, 0], T[0, 0])], dtype=np.float32)


def egomotion_between(
    pose_a: Float[np.ndarray, "3"], pose_b: Float[np.ndarray, "3"]
) -> Float32[np.ndarray, "3"]:
    """Return dx_m, dy_m, dyaw_rad that leads from pose a to pose b, in the body frame of a."""
    dx, dy = float(pose_b[0] - pose_a[0]), float(pose_b[1] - pose_a[1])
    c, s = math.cos(float(pose_a[2])), math.sin(float(pose_a[2]))
    dyaw = wrap_rad(float(pose_b[2] - pose_a[2]))
    return np.array([c * dx + s * dy, -s * dx + c * dy, dyaw], dtype=np.float32)


def compose(
    pose: Float[np.ndarray, "*n 3"], egomotion: Float[np.ndarray, "*n 3"]
) -> Float64[np.ndarray, "*n 3"]:
    """Return the poses after moving by `egomotion` (body frame of `pose`); broadcasts."""
    x, y, yaw = np.moveaxis(np.asarray(pose, dtype=np.float64), -1, 0)
    dx, dy, dyaw = np.moveaxis(np.asarray(egomotion, dtype=np.float64), -1, 0)
    c, s = np.cos(yaw), np.sin(yaw)
    turned = (yaw + dyaw + math.pi) % (2 * math.pi) - math.pi
    return np.stack([x + c * dx - s * dy, y + s * dx + c * dy, turned], axis=-1)


def pixel_rays(spec: BodySpec) -> Float64[np.ndarray, "h w 3"]:
    """Return camera-frame directions of all pixels, scaled to unit depth (z = 1)."""
    u = (np.arange(spec.width_px) + 0.5 - spec.cx_px) / spec.fx_px
    v = (np.arange(spec.height_px) + 0.5 - spec.cy_px) / spec.fy_px
    X, Y = np.meshgrid(u, v)
    return np.stack([X, Y, np.ones_like(X)], axis=-1)


def project(
    points_camera_m: Float[np.ndarray, "n 3"], spec: BodySpec
) -> tuple[Float64[np.ndarray, "n 2"], Float64[np.ndarray, "n"]]:
    """Return pixel coordinates (u, v) and depths; meaningless where the depth is not positive."""
    z = np.asarray(points_camera_m[:, 2], dtype=np.float64)
    safe = np.where(np.abs(z) < 1e-9, 1e-9, z)
    u = points_camera_m[:, 0] / safe * spec.fx_px + spec.cx_px
    v = points_camera_m[:, 1] / safe * spec.fy_px + spec.cy_px
    return np.stack([u, v], axis=-1), z
