"""Rotations, poses and trees of frames, as robots record them."""

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from memory.frames import inverse
from memory.logs.samples import Pose
from memory.rotations import quaternions_of, rotation_of

Quaternion = tuple[float, float, float, float]

_OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], dtype=np.float64)
"""From an optical frame (z forward) into one with x forward."""


def matrix_of(pose: Pose) -> Float64[np.ndarray, "4 4"]:
    """Return `T_world_body` of a pose."""
    T = np.eye(4)
    T[:3, :3] = rotation_of(pose.quaternion)
    T[:3, 3] = pose.xyz_m
    return T


def pose_of(T: Float64[np.ndarray, "4 4"]) -> Pose:
    """Return the pose of a matrix."""
    x, y, z = (float(v) for v in T[:3, 3])
    qx, qy, qz, qw = quaternions_of(T[:3, :3]).tolist()
    return Pose((x, y, z), (qx, qy, qz, qw))


def between(a: Pose, b: Pose, share: float) -> Pose:
    """Return the pose a share of the way from a to b, turning at an even rate."""
    xyz = tuple(p + share * (q - p) for p, q in zip(a.xyz_m, b.xyz_m, strict=True))
    dot = sum(p * q for p, q in zip(a.quaternion, b.quaternion, strict=True))
    sign = -1.0 if dot < 0 else 1.0
    angle = math.acos(min(1.0, abs(dot)))
    if angle < 1e-4:
        left, right = 1 - share, share
    else:
        left = math.sin((1 - share) * angle) / math.sin(angle)
        right = math.sin(share * angle) / math.sin(angle)
    mixed = [left * p + sign * right * q for p, q in zip(a.quaternion, b.quaternion, strict=True)]
    length = math.sqrt(sum(part * part for part in mixed))
    x, y, z, w = (part / length for part in mixed)
    return Pose((xyz[0], xyz[1], xyz[2]), (x, y, z, w))


def flat(pose: Pose) -> Pose:
    """Return a pose on the floor: x, y and yaw."""
    x, y, z, w = pose.quaternion
    yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    xyz = (pose.xyz_m[0], pose.xyz_m[1], 0.0)
    return Pose(xyz, (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)))


def optical(T_body_camera: Float64[np.ndarray, "4 4"]) -> tuple[Float64[np.ndarray, "4 4"], bool]:
    """Return the mount with z forward, and whether it was given with x forward.

    Simulators often stamp images with the frame of the camera's body, whose z points up.
    """
    if abs(T_body_camera[2, 2]) > 0.8 and abs(T_body_camera[2, 0]) < 0.6:
        return T_body_camera @ _OPTICAL, True
    return T_body_camera, False


@dataclass(slots=True)
class FrameTree:
    """Transforms between frames, each with the newest value that was seen.

    Attributes:
        parents: Parent of each frame.
        T_parent: Points of a frame into its parent.
        fixed: Frames whose transform never changes.
    """

    parents: dict[str, str] = field(default_factory=dict)
    T_parent: dict[str, Float64[np.ndarray, "4 4"]] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)

    def put(
        self, parent: str, child: str, T: Float64[np.ndarray, "4 4"], *, fixed: bool = False
    ) -> None:
        """Take in a transform; a fixed one is not replaced by a moving one."""
        if child in self.fixed and not fixed:
            return
        self.parents[child] = parent
        self.T_parent[child] = T
        if fixed:
            self.fixed.add(child)

    def frames(self) -> set[str]:
        """Return the names of all frames."""
        return {*self.parents, *self.parents.values()}

    def chain(self, frame: str) -> list[str]:
        """Return a frame and all above it."""
        found = [frame]
        while (above := self.parents.get(found[-1])) is not None and above not in found:
            found.append(above)
        return found

    def find(self, target: str, source: str) -> Float64[np.ndarray, "4 4"] | None:
        """Return `T_target_source`, None if the frames are not connected."""
        up_target, up_source = self.chain(target), self.chain(source)
        common = next((frame for frame in up_source if frame in up_target), None)
        if common is None:
            return None
        T_common_source = self._up(up_source, common)
        return inverse(self._up(up_target, common)) @ T_common_source

    def moves(self, target: str, source: str) -> bool:
        """Tell whether a transform on the way between two connected frames may change."""
        up_target, up_source = self.chain(target), self.chain(source)
        common = next(frame for frame in up_source if frame in up_target)
        way = [*up_target[: up_target.index(common)], *up_source[: up_source.index(common)]]
        return any(frame not in self.fixed for frame in way)

    def _up(self, chain: list[str], top: str) -> Float64[np.ndarray, "4 4"]:
        T = np.eye(4)
        for frame in chain[: chain.index(top)]:
            T = self.T_parent[frame] @ T
        return T
