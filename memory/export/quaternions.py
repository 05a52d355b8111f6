"""Rotations as unit quaternions, x y z w as ROS and TUM write them."""

import numpy as np
from jaxtyping import Float64


def quaternions_of(T: Float64[np.ndarray, "n 4 4"]) -> Float64[np.ndarray, "n 4"]:
    """Return the rotations of rigid transforms as x, y, z, w with w >= 0.

    By the largest of the four (Shepperd), so that no rotation loses digits.
    """
    m = T[:, :3, :3]
    xx, yy, zz = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    # Row i is the quaternion times 4 q_i: the row of the largest q_i is the most exact.
    ab, ac, bc = m[:, 0, 1] + m[:, 1, 0], m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1]
    wx, wy, wz = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    rows = np.stack(
        [
            np.stack([1 + xx - yy - zz, ab, ac, wx], axis=-1),
            np.stack([ab, 1 - xx + yy - zz, bc, wy], axis=-1),
            np.stack([ac, bc, 1 - xx - yy + zz, wz], axis=-1),
            np.stack([wx, wy, wz, 1 + xx + yy + zz], axis=-1),
        ],
        axis=1,
    )
    largest = np.argmax(np.diagonal(rows, axis1=1, axis2=2), axis=1)
    q: Float64[np.ndarray, "n 4"] = rows[np.arange(len(T)), largest]
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    q[q[:, 3] < 0] *= -1
    return q


def quaternion_of(T: Float64[np.ndarray, "4 4"]) -> tuple[float, float, float, float]:
    """Return the rotation of one transform; see `quaternions_of`."""
    x, y, z, w = quaternions_of(T[None])[0].tolist()
    return x, y, z, w
