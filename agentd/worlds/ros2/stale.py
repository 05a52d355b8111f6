"""What looks new and is not: images that stand still, and wheels that do."""

import math
import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8

from memory.frames import egomotion_between
from memory.records import Action

_NS = 1_000_000_000
_MOVED_M, _TURNED_RAD = 0.03, 0.05
"""A body that went this far sees something else, down to the last bit of its image."""
_STALL_SHARE = 0.25
_DRIVES_MPS = 0.05


@dataclass(frozen=True, slots=True)
class _Picture:
    digest: int
    stamp_ns: int
    pose: Float64[np.ndarray, "3"]


class Frozen:
    """Finds a camera that sends the same image again and again, with new stamps.

    Args:
        limit_s: For how long it may.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._pictures: dict[str, _Picture] = {}

    def for_s(
        self, name: str, data: UInt8[np.ndarray, "n"], stamp_ns: int, pose: Float64[np.ndarray, "3"]
    ) -> float | None:
        """Return for how long an image is the same though the body moved, None if it is well.

        Args:
            name: Which camera.
            data: Bytes of its image.
            stamp_ns: When it was taken,
            pose: and where: x_m, y_m, yaw_rad.
        """
        digest = zlib.crc32(data.data)
        seen = self._pictures.get(name)
        if seen is None or seen.digest != digest or stamp_ns < seen.stamp_ns:
            self._pictures[name] = _Picture(digest, stamp_ns, pose)
            return None
        moved = egomotion_between(seen.pose, pose)
        is_moved = math.hypot(*moved[:2]) > _MOVED_M or abs(moved[2]) > _TURNED_RAD
        same_s = (stamp_ns - seen.stamp_ns) / _NS
        return same_s if is_moved and same_s >= self._limit_s else None


class Stall:
    """Finds a body that is told to drive and stands.

    Args:
        limit_s: For how long it may.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._for_s = 0.0

    def clear(self) -> None:
        """Begin anew."""
        self._for_s = 0.0

    def feel(self, applied: Action, moved_m: float) -> bool:
        """Tell whether the body has stood for too long, after one more action."""
        asked_m = abs(applied.v_mps) * applied.duration_s
        if abs(applied.v_mps) < _DRIVES_MPS or moved_m > _STALL_SHARE * asked_m:
            self._for_s = 0.0
            return False
        self._for_s += applied.duration_s
        return self._for_s >= self._limit_s
