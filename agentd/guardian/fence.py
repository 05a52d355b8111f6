"""Where the body may be: S13."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64
from shapely import Point, Polygon, contains_xy, prepare
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from agentd.guardian.records import Cause, MapPose, Ruling, stop
from configs.guardian import FenceConfig

_BIG_M = 1e6
_INWARD_M = 1e-3


class FenceError(ValueError):
    """A polygon of the fence is none."""


class Fence:
    """Looks at the point where the body would stop.

    Args:
        config: Polygons.
        decel_mps2: How the body stops.

    Raises:
        FenceError: If a polygon crosses itself or has no area.
    """

    def __init__(self, config: FenceConfig, decel_mps2: float) -> None:
        self._config, self._decel_mps2 = config, decel_mps2
        self.is_set = bool(config.keep_in or config.keep_out)
        allowed: BaseGeometry = Polygon(
            [(-_BIG_M, -_BIG_M), (_BIG_M, -_BIG_M), (_BIG_M, _BIG_M), (-_BIG_M, _BIG_M)]
        )
        if config.keep_in:
            allowed = unary_union([_polygon(p, "keep_in") for p in config.keep_in])
        if config.keep_out:
            allowed = allowed.difference(
                unary_union([_polygon(p, "keep_out") for p in config.keep_out])
            )
        if self.is_set and allowed.is_empty:
            raise FenceError("guardian.fence leaves no place where the body may be")
        self._allowed = allowed
        if self.is_set:
            prepare(self._allowed)

    def area(
        self, margin_m: float
    ) -> Callable[[Float64[np.ndarray, "n 2"]], Bool[np.ndarray, "n"]]:
        """Return which points are allowed, with a distance kept to the border."""
        inside = self._allowed.buffer(-margin_m)
        prepare(inside)
        return lambda xy_m: contains_xy(inside, xy_m[:, 0], xy_m[:, 1])

    def contains(self, xy_m: tuple[float, float]) -> bool:
        """Return whether the body may be at a point of the map."""
        return bool(contains_xy(self._allowed, *xy_m))

    def rule(
        self, pose: MapPose | None, v_mps: float, w_radps: float, v_now_mps: float
    ) -> list[Ruling]:
        """Return a stop where the wanted motion leads, or leads on, outside.

        Args:
            pose: Where the body is on the map; a fence without it allows nothing.
            v_mps: Wanted forward speed.
            w_radps: Wanted turn rate.
            v_now_mps: Speed that is driven now.
        """
        if not self.is_set:
            return []
        if pose is None:
            return [stop(Cause.FENCE, "no pose on the map")]
        here = Point(pose.x_m, pose.y_m)
        is_inside = bool(self._allowed.contains(here))
        forbids = {"v_fwd_mps": False, "v_rev_mps": False}
        for speed, bound in ((1.0, "v_fwd_mps"), (-1.0, "v_rev_mps")):
            wanted = max(speed * v_mps, speed * v_now_mps, 0.0) * speed
            if wanted == 0:
                continue
            there = self._stop_point(pose, wanted, w_radps)
            if self._is_allowed(here, there, is_inside=is_inside):
                continue
            forbids[bound] = True
        if not any(forbids.values()):
            return []
        where = "stops outside" if is_inside else "is outside, and only the way in is free"
        ahead, behind = (0.0 if forbidden else math.inf for forbidden in forbids.values())
        return [Ruling(cause=Cause.FENCE, detail=where, v_fwd_mps=ahead, v_rev_mps=behind)]

    def _is_allowed(self, here: Point, there: Point, *, is_inside: bool) -> bool:
        if is_inside:
            return bool(self._allowed.contains(there))
        return float(self._allowed.distance(there)) < self._allowed.distance(here) - _INWARD_M

    def _stop_point(self, pose: MapPose, v_mps: float, w_radps: float) -> Point:
        """Return where the body stands when it drives on for a while and then stops."""
        time_s = self._config.ahead_s
        way_m = v_mps * time_s + math.copysign(v_mps**2 / (2 * self._decel_mps2), v_mps)
        turn = w_radps * way_m / v_mps
        if abs(turn) < 1e-6:
            dx, dy = way_m, 0.0
        else:
            dx, dy = way_m * math.sin(turn) / turn, way_m * (1 - math.cos(turn)) / turn
        c, s = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
        return Point(pose.x_m + c * dx - s * dy, pose.y_m + s * dx + c * dy)


def _polygon(corners: tuple[tuple[float, float], ...], name: str) -> Polygon:
    polygon = Polygon(corners)
    if not polygon.is_valid or polygon.area <= 0:
        raise FenceError(
            f"guardian.fence.{name}: {list(corners)} is no polygon: its sides cross, or it has "
            f"no area"
        )
    return polygon
