"""Rotations as unit quaternions [x, y, z, w], the order of ROS, Habitat and TUM.

Axis letters: n rotations.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64
from scipy.spatial.transform import Rotation

LENGTHS = 0.9, 1.1
"""What a recorded quaternion may be long: it was rounded, not invented."""


def quaternions_of(R: Float[np.ndarray, "*n 3 3"]) -> Float64[np.ndarray, "*n 4"]:
    """Return the quaternions of rotation matrices, w >= 0."""
    found: Float64[np.ndarray, "*n 4"] = Rotation.from_matrix(R).as_quat(canonical=True)
    return found


def rotation_of(
    quaternion: Sequence[float] | Float[np.ndarray, "4"],
) -> Float64[np.ndarray, "3 3"]:
    """Return the matrix of a quaternion.

    Raises:
        ValueError: If its length is not near 1.
    """
    length = math.sqrt(sum(float(part) ** 2 for part in quaternion))
    low, high = LENGTHS
    if not low < length < high:
        raise ValueError(
            f"quaternion {[float(part) for part in quaternion]} has length {length:.3g}: it is no "
            f"rotation; expected [x, y, z, w] of length 1"
        )
    found: Float64[np.ndarray, "3 3"] = Rotation.from_quat(np.asarray(quaternion)).as_matrix()
    return found
