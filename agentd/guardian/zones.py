"""Room ahead, behind and around: S7, S8."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from agentd.guardian.arcs import gaps_m, speed_for, stopping_m
from agentd.guardian.nearby import Points, Pose, Source, pose_of, to_body
from agentd.guardian.records import Cause, Odometry, Ranges, Ruling
from configs.guardian import LimitConfig, ZoneConfig

STOP_BAND_M = 0.05
"""Once stopped, so much more room is needed to go on."""
SLOW_BAND_M = 0.10
"""The same for full speed."""
_SIDE_M = 0.02
"""Kept to both sides: points are noisy."""
_POSES_S = 1.0
"""Points are placed by where the body was when they were measured, at most so long ago."""
_TRAIL_STEP_M = 0.02
_TRAIL_SIDE_M = 0.05
"""A reverse may leave the ground that was driven by this much."""
_SCAN_BLIND_M = 0.15
"""A laser sees in its plane down to its smallest range."""
_NOWHERE: Pose = (0.0, 0.0, 0.0)
_SLOWEST_MPS = 0.01
_BEHIND_S = 0.1
"""Reaction on a reverse: the ground behind does not change by itself."""


@dataclass(slots=True)
class ZonesMemory:
    """Which zones hold, by direction, and the ground that was just driven."""

    is_stopped: dict[str, bool] = field(default_factory=lambda: {"ahead": False, "behind": False})
    is_slowed: dict[str, bool] = field(default_factory=lambda: {"ahead": False, "behind": False})
    trail_m: list[tuple[float, float]] = field(default_factory=list)
    poses: list[tuple[float, float, float, float]] = field(default_factory=list)


class Zones:
    """Bounds the speed by the way that is left.

    Args:
        config: Distances.
        limit: Full speed, for the slow zone.
        radius_m: Radius of the body.
        rotation_radius_m: Radius of what sweeps round on a turn.
    """

    def __init__(
        self, config: ZoneConfig, limit: LimitConfig, radius_m: float, rotation_radius_m: float
    ) -> None:
        self._config, self._limit = config, limit
        self._radius_m = radius_m + min(_SIDE_M, config.margin_m / 3)
        self._rotation_m = rotation_radius_m
        self._sources = self._new_sources()
        self.memory = ZonesMemory()

    def take(
        self, depth: Ranges | None, scan: Ranges | None, odom: Odometry | None, now_s: float
    ) -> None:
        """Take in what came, and note the ground that was driven."""
        if odom is not None:
            self._note_pose(odom)
            if not self._config.sees_behind:
                self._note_ground(odom)
        for name, ranges in (("depth", depth), ("scan", scan)):
            if ranges is not None and ranges.stamp_s != self._sources[name].stamp_s:
                at = _NOWHERE if odom is None else self._pose_at(ranges.stamp_s)
                self._sources[name].take(ranges, at, now_s)

    def rule(
        self, v_mps: float, w_radps: float, v_now_mps: float, odom: Odometry | None
    ) -> list[Ruling]:
        """Return the bounds for a wanted motion.

        Args:
            v_mps: Wanted forward speed, within the limits.
            w_radps: Wanted turn rate.
            v_now_mps: Speed that is driven now.
            odom: Where the body is.
        """
        rulings: list[Ruling] = []
        way = v_mps if v_mps != 0 else v_now_mps
        if way != 0:
            rulings += self._along(way, w_radps, v_now_mps, odom)
        if w_radps != 0 and self._rotation_m > self._radius_m:
            rulings += self._around(odom)
        if v_mps < -self._config.creep_mps and not self._config.sees_behind:
            rulings += self._behind(v_mps, w_radps, odom)
        return rulings

    def _note_pose(self, odom: Odometry) -> None:
        poses = self.memory.poses
        if poses and odom.stamp_s <= poses[-1][0]:
            return
        poses.append((odom.stamp_s, odom.x_m, odom.y_m, odom.yaw_rad))
        while poses[-1][0] - poses[0][0] > _POSES_S:
            del poses[0]

    def _pose_at(self, stamp_s: float) -> Pose:
        """Return where the body was at a time, as far as that is still known."""
        poses = self.memory.poses
        at = next((p for p in reversed(poses) if p[0] <= stamp_s + 1e-6), poses[0])
        return at[1], at[2], at[3]

    def _along(
        self, v_mps: float, w_radps: float, v_now_mps: float, odom: Odometry | None
    ) -> list[Ruling]:
        config, memory = self._config, self.memory
        side = "ahead" if v_mps > 0 else "behind"
        full_mps = self._limit.v_fwd_mps if v_mps > 0 else self._limit.v_rev_mps
        fast_mps = max(abs(v_mps), abs(v_now_mps))
        slow_m = stopping_m(fast_mps, config.react_s, config.decel_mps2, config.margin_m)
        slow_m += config.slow_extra_m
        reach_m = max(slow_m + SLOW_BAND_M, fast_mps * config.contact_s)
        gap_m = self._gap_m(v_mps, w_radps, reach_m, odom)
        band_m = STOP_BAND_M if memory.is_stopped[side] and config.margin_m > 0 else 0.0
        room_m = gap_m - band_m
        safe_mps = speed_for(room_m, config.react_s, config.decel_mps2, config.margin_m)
        if safe_mps < _SLOWEST_MPS and config.margin_m > 0:
            safe_mps = 0.0  # creeping up to the margin takes for ever
        memory.is_stopped[side] = safe_mps <= 0
        if safe_mps <= 0:
            detail = f"{max(gap_m, 0.0):.2f} m {side}"
            is_inside = gap_m <= config.margin_m and config.margin_m > 0
            return [_bound(Cause.OBSTACLE, detail, side, 0.0, hard=is_inside)]
        if config.contact_s > 0:
            safe_mps = min(safe_mps, gap_m / config.contact_s)
        band_m = SLOW_BAND_M if memory.is_slowed[side] else 0.0
        memory.is_slowed[side] = config.slow_extra_m > 0 and gap_m < slow_m + band_m
        if memory.is_slowed[side]:
            safe_mps = min(safe_mps, config.slow_factor * full_mps)
        if safe_mps >= fast_mps:
            return []
        return [_bound(Cause.SLOW_ZONE, f"{gap_m:.2f} m {side}", side, safe_mps)]

    def _gap_m(self, v_mps: float, w_radps: float, reach_m: float, odom: Odometry | None) -> float:
        """Return the way to contact: of enough points, or of few that were there before."""
        best = math.inf
        num = self._config.num_points
        pose = _NOWHERE if odom is None else pose_of(odom)

        def along(points: Points) -> Points:
            return gaps_m(points, v_mps, w_radps, self._radius_m, reach_m)

        for source in self._sources.values():
            now = along(source.now.body(pose))
            if len(source.kept_m):
                kept = along(to_body(source.kept_m[:, :2], pose))
                best = min(best, float(kept.min(initial=math.inf)))
            if not len(now):
                continue
            if len(now) >= num:
                best = min(best, float(np.partition(now, num - 1)[num - 1]))
            if num > 1:
                before = along(source.before.body(pose))
                if len(before):
                    best = min(best, max(float(now.min()), float(before.min())))
        return best

    def _around(self, odom: Odometry | None) -> list[Ruling]:
        rulings = []
        near = self._rotation_m + self._config.margin_m
        for source in self._sources.values():
            points = source.now.body(_NOWHERE if odom is None else pose_of(odom))
            reach = np.sort(np.hypot(points[:, 0], points[:, 1]))
            num = self._config.num_points
            if len(reach) < num or reach[num - 1] >= near:
                continue
            if reach[num - 1] < self._rotation_m:
                detail = f"{reach[num - 1]:.2f} m from the axis"
                rulings.append(Ruling(cause=Cause.OBSTACLE, detail=detail, w_radps=0.0))
            else:
                slow = self._config.slow_factor * self._limit.w_radps
                detail = f"{reach[num - 1]:.2f} m from the axis"
                rulings.append(Ruling(cause=Cause.SLOW_ZONE, detail=detail, w_radps=slow))
        return rulings

    def _note_ground(self, odom: Odometry) -> None:
        """Keep the last metres that were driven forwards; give back what was reversed over."""
        trail, here = self.memory.trail_m, (odom.x_m, odom.y_m)
        if not trail:
            trail.append(here)
            return
        step_m = math.dist(trail[-1], here)
        if step_m > 1.0:  # the pose jumped: nothing is known of what lies between
            trail[:] = [here]
            return
        if step_m < _TRAIL_STEP_M:
            return
        forward_m = (here[0] - trail[-1][0]) * math.cos(odom.yaw_rad) + (
            here[1] - trail[-1][1]
        ) * math.sin(odom.yaw_rad)
        if forward_m > 0:
            trail.append(here)
            length_m = 0.0
            for k in range(len(trail) - 1, 0, -1):
                length_m += math.dist(trail[k], trail[k - 1])
                if length_m >= self._config.reverse_m:
                    del trail[:k]
                    break
        elif len(trail) > 1:
            trail.pop()

    def _behind(self, v_mps: float, w_radps: float, odom: Odometry | None) -> list[Ruling]:
        """Return the bound that keeps a reverse on the ground that was driven."""
        way_m = 0.0 if odom is None else self._driven_m(w_radps / abs(v_mps), odom)
        safe_mps = speed_for(way_m, _BEHIND_S, self._limit.decel_mps2, 0.0)
        if safe_mps < _SLOWEST_MPS:
            safe_mps = 0.0
        if safe_mps >= abs(v_mps):
            return []
        text = f"{way_m:.2f} m behind were driven"
        return [_bound(Cause.REVERSE, text, "behind", safe_mps, hard=safe_mps == 0)]

    def _driven_m(self, curvature: float, odom: Odometry) -> float:
        """Return how far the body can reverse along an arc on ground that it drove over."""
        if not self.memory.trail_m:
            return 0.0
        trail = to_body(np.array(self.memory.trail_m), pose_of(odom))
        ways = np.arange(_TRAIL_STEP_M, self._config.reverse_m + 1e-9, _TRAIL_STEP_M)
        if abs(curvature) < 1e-3:
            xy = np.stack([-ways, np.zeros_like(ways)], axis=-1)
        else:
            turn = curvature * ways
            xy = np.stack([-np.sin(turn) / curvature, (np.cos(turn) - 1) / curvature], axis=-1)
        gaps = np.hypot(*(xy[:, None] - trail[None]).transpose(2, 0, 1)).min(axis=1)
        off = np.flatnonzero(gaps > _TRAIL_SIDE_M)
        num = len(ways) if not len(off) else int(off[0])
        if not num:
            return 0.0
        # The end of the trail is where the body's middle was: not a tolerance farther.
        behind = trail[trail[:, 0] < 0]
        return min(float(ways[num - 1]), float(np.hypot(*behind.T).max(initial=0.0)))

    def pack(self) -> dict[str, Any]:
        """Return the state as plain data."""
        sources = {name: source.pack() for name, source in self._sources.items()}
        return {"memory": asdict(self.memory), "sources": sources}

    def unpack(self, state: dict[str, Any]) -> None:
        """Take up what `pack` returned."""
        memory = dict(state["memory"])
        memory["trail_m"] = [(float(x), float(y)) for x, y in memory["trail_m"]]
        memory["poses"] = [
            (float(t), float(x), float(y), float(a)) for t, x, y, a in memory["poses"]
        ]
        self.memory = ZonesMemory(**memory)
        for name, source in self._sources.items():
            source.unpack(state["sources"][name])

    def relocate(self) -> None:
        """Forget what is around: the body was put somewhere else."""
        self.memory.trail_m.clear()
        self.memory.poses.clear()
        self._sources = self._new_sources()

    def _new_sources(self) -> dict[str, Source]:
        config = self._config
        return {
            "depth": Source(config, remembers=True, blind_m=config.blind_m),
            "scan": Source(config, remembers=not config.sees_behind, blind_m=_SCAN_BLIND_M),
        }


def _bound(cause: Cause, detail: str, side: str, v_mps: float, *, hard: bool = False) -> Ruling:
    if side == "ahead":
        return Ruling(cause=cause, detail=detail, v_fwd_mps=v_mps, is_hard=hard)
    return Ruling(cause=cause, detail=detail, v_rev_mps=v_mps, is_hard=hard)
