"""Reaching a point, or the place where an image was taken."""

import numpy as np
from jaxtyping import Float64

from memory.frames import wrap_rad
from memory.records import ImageGoal, PointGoal
from policies.free_points import is_ruled_out, nearest_free
from policies.protocols import Mode
from policies.pursuit import Intent, Place, Wander
from policies.route import Moment, Route
from policies.why import Option

POINT_M = 0.12
"""A point goal ends this close to the point."""
VIEW_STEPS = 6.0
"""An image goal counts as found when the view's latent is nearer than this, in steps."""


class ReachPoint(Wander):
    """Drives to a point, over unseen floor where it must."""

    def __init__(self, place: Place, now: Moment, goal: PointGoal) -> None:
        super().__init__(place, now)
        self.goal = goal
        self._failures = 0
        self._ruled_out = ""

    def intend(self, now: Moment) -> Intent:
        """Return what to do now."""
        target = np.array(self.goal.xy_m, dtype=np.float64)
        gap = float(np.hypot(*(target - now.pose[:2])))
        if gap <= POINT_M:
            return Intent(mode=Mode.STOP, reason=f"point reached, {gap:.2f} m off", done=True)
        route = self.route
        if route is None or self.is_due(route, now) or self.has_arrived(route, now):
            if self.router_failed():
                return self._failed(f"no way was found in three attempts; {self.after}")
            route = self._plan(now, target)
            if route is None and self._ruled_out:
                return self._failed(self._ruled_out)
            if route is None:
                again = self.explore(now) or self.reopened(now, [target])
                return again or self._failed("there is no way to it")
            self.route = route
        return Intent(mode=Mode.GOTO, reason=route.reason, route=route)

    def router_failed(self) -> bool:
        """Return whether the point was given up too often."""
        return self._failures >= 3

    def give_up(self, now: Moment, why: str) -> None:
        """Count the failure; the third is final."""
        self._failures += 1
        super().give_up(now, why)

    def _plan(self, now: Moment, target: Float64[np.ndarray, "2"]) -> Route | None:
        terrain, from_body = self.reachable(now, fresh=True, unknown=True)
        if from_body is None:
            return None
        cell = terrain.cells(target[None])[0]
        if not terrain.contains(cell[None])[0]:
            return None
        if is_ruled_out(terrain, target):
            self._ruled_out = "it turned out to lie in a wall or an obstacle"
            free = nearest_free(terrain, now.pose[:2], target)
            if free is not None:
                self._ruled_out += f"; the nearest free point is ({free[0]:.1f}, {free[1]:.1f})"
            return None
        k = np.arange(-2, 3)
        around = cell + np.stack(np.meshgrid(k, k), axis=-1).reshape(-1, 2)
        off = np.hypot(*(terrain.centers_m(around) - target).T)
        usable = np.isfinite(from_body.at_cells(around)) & (off < 0.2)
        if not usable.any():
            return None
        best = around[np.argmin(np.where(usable, off, np.inf))]
        route = self.route_to(now, terrain, from_body, best, Mode.GOTO, unknown=True)
        if route is not None:
            x, y = self.goal.xy_m
            if off.min() <= terrain.cell_m:
                route.path_m = np.concatenate([route.path_m[:-1], target[None]])
            route.look_m = (x, y)
            rest_m = route.rest_m(now.pose[:2])
            route.reason = f"point ({x:.1f}, {y:.1f}) is {rest_m:.1f} m away"
            before = self.route.why if self.route is not None else None
            if before is not None and before.chosen.kind == "point" and not self.after:
                route.why = before
            else:
                name = f"point ({x:.1f}, {y:.1f})"
                option = Option(kind="point", name=name, xy_m=(x, y), distance_m=rest_m)
                route.why = self.because_of(option)
        return route

    def _failed(self, why: str) -> Intent:
        x, y = self.goal.xy_m
        text = f"point ({x:.1f}, {y:.1f}): {why}"
        return Intent(mode=Mode.IDLE, reason=text, failed=text)


class ReachView(Wander):
    """Goes to the kept view whose latent is nearest to the goal image; explores for more."""

    def __init__(self, place: Place, now: Moment, goal: ImageGoal) -> None:
        super().__init__(place, now)
        self.goal = goal
        self._tried: list[Float64[np.ndarray, "3"]] = []

    def intend(self, now: Moment) -> Intent:
        """Return what to do now."""
        route = self.route
        if route is not None and route.yaw_rad is not None and not self.is_due(route, now):
            if not self.has_arrived(route, now):
                return Intent(mode=Mode.GOTO, reason=route.reason, route=route)
            return self._check(route, now)
        match = self.place.keyframes.best_match(self.goal.rgb)
        if match is None:
            text = "no model that could compare views yet"
            return self._explored(now, text)
        view, steps = match
        tried = any(np.hypot(*(view.pose[:2] - pose[:2])) < 0.3 for pose in self._tried)
        if steps <= VIEW_STEPS and not tried:
            terrain, from_body = self.reachable(now)
            cell = terrain.cells(view.pose[None, :2])[0]
            route = None
            if from_body is not None:
                route = self.route_to(now, terrain, from_body, cell, Mode.GOTO)
            if route is not None:
                route.yaw_rad = float(view.pose[2])
                route.reason = f"a kept view is {steps:.1f} steps from the image"
                x, y = (float(v) for v in view.pose[:2])
                option = Option(
                    kind="view",
                    name="kept view",
                    xy_m=(x, y),
                    distance_m=route.rest_m(now.pose[:2]),
                    note=route.reason,
                )
                route.why = self.because_of(option)
                self.route = route
                return Intent(mode=Mode.GOTO, reason=route.reason, route=route)
        return self._explored(now, f"the nearest kept view is {steps:.1f} steps from the image")

    def give_up(self, now: Moment, why: str) -> None:
        """Do not try that view again."""
        if self.route is not None and self.route.yaw_rad is not None:
            end = self.route.path_m[-1]
            self._tried.append(np.array([end[0], end[1], self.route.yaw_rad]))
            self.after = f"gave up the view from ({end[0]:.1f}, {end[1]:.1f}): {why}"
            self.route = None
        else:
            super().give_up(now, why)

    def _check(self, route: Route, now: Moment) -> Intent:
        assert route.yaw_rad is not None
        if abs(wrap_rad(route.yaw_rad - float(now.pose[2]))) > 0.1:
            return Intent(
                mode=Mode.VERIFY,
                reason="turning to the heading of the view",
                route=route,
                turn_to_rad=route.yaw_rad,
            )
        return Intent(mode=Mode.STOP, reason="stands where the image was taken", done=True)

    def _explored(self, now: Moment, why: str) -> Intent:
        intent = self.explore(now)
        if intent is None and self.place.keyframes.num_pending:
            return Intent(mode=Mode.IDLE, reason=f"{why}; other views are still compared")
        if intent is None:
            return Intent(mode=Mode.IDLE, reason=why, failed=why)
        return Intent(
            mode=intent.mode,
            reason=f"{why}: {intent.reason}" if why not in intent.reason else intent.reason,
            route=intent.route,
            turn_to_rad=intent.turn_to_rad,
        )
