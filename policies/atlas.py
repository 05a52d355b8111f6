"""Maps of the places that the body is not in: put aside, and taken up again when it is back.

Every map covers one square. A body that is carried into another home finds itself outside of the
square of the map in hand: that map goes into the atlas, and the one of the new region comes out of
it, or a new one is begun. What a region holds is what `Regions` saves of one; it is never
changed while it lies here, so that handing them out for a snapshot costs nothing.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64

Arrays = dict[str, np.ndarray]

PREFIX = "region"
NEARER_SHARE = 0.25
"""Where squares overlap, another map is taken up when its middle is nearer by this share of the
side: a body on the border does not swap maps in every tick."""


class Atlas:
    """Regions that were put aside.

    Args:
        size_m: Side of the square that a map covers.
    """

    def __init__(self, size_m: float) -> None:
        self._size_m = size_m
        self._regions: list[Arrays] = []
        self._origins_m: Float64[np.ndarray, "n 2"] = np.empty((0, 2))

    def __len__(self) -> int:
        return len(self._regions)

    def clear(self) -> None:
        """Forget all regions."""
        self._regions, self._origins_m = [], np.empty((0, 2))

    def is_elsewhere(
        self, xy_m: Float64[np.ndarray, "2"], origin_m: tuple[float, float] | None
    ) -> bool:
        """Return whether the map in hand is not the one for where the body is.

        Args:
            xy_m: Body in the world frame.
            origin_m: Lower corner of the square in hand, None if no map was begun.
        """
        other = self._nearest(xy_m)
        if origin_m is None:
            return other is not None
        off_m = self._off_middle_m(xy_m, np.array([origin_m]))[0]
        if off_m > self._size_m / 2:
            return True
        if other is None:
            return False
        other_m = self._off_middle_m(xy_m, self._origins_m[other : other + 1])[0]
        return bool(other_m < off_m - NEARER_SHARE * self._size_m)

    def put(self, region: Arrays) -> None:
        """Put the map in hand aside; one that was not begun is dropped."""
        origin = region["map_origin_m"]
        if origin.size:
            self._regions.append(region)
            self._origins_m = np.vstack([self._origins_m, origin])

    def take(self, xy_m: Float64[np.ndarray, "2"]) -> Arrays | None:
        """Take out the region whose square holds a point, the nearest of several; None if none."""
        at = self._nearest(xy_m)
        if at is None:
            return None
        self._origins_m = np.delete(self._origins_m, at, axis=0)
        return self._regions.pop(at)

    def save(self) -> Arrays:
        """Return the arrays of all regions, each name with its region's number before it."""
        return {
            f"{PREFIX}{k}_{name}": array
            for k, region in enumerate(self._regions)
            for name, array in region.items()
        }

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over what `save` returned; other names are left alone.

        Raises:
            ValueError: If a region has no origin.
        """
        self.clear()
        found: dict[int, Arrays] = {}
        for key, array in arrays.items():
            digits, _, name = key.removeprefix(PREFIX).partition("_")
            if key.startswith(PREFIX) and digits.isdigit():
                found.setdefault(int(digits), {})[name] = array
        for number, region in sorted(found.items()):
            if "map_origin_m" not in region:
                raise ValueError(f"saved region {number} lacks map_origin_m")
            self.put(region)

    def _nearest(self, xy_m: Float64[np.ndarray, "2"]) -> int | None:
        """Return the region whose square holds a point and whose middle is nearest to it."""
        if not self._regions:
            return None
        off_m = self._off_middle_m(xy_m, self._origins_m)
        best = int(np.argmin(off_m))
        return best if off_m[best] <= self._size_m / 2 else None

    def _off_middle_m(
        self, xy_m: Float64[np.ndarray, "2"], origins_m: Float64[np.ndarray, "n 2"]
    ) -> Float64[np.ndarray, "n"]:
        """Return the larger of the two offsets of a point from the middles of squares."""
        off_m: Float64[np.ndarray, "n"] = np.abs(xy_m - origins_m - self._size_m / 2).max(axis=1)
        return off_m
