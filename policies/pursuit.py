"""What the agent wants in each situation: wander, find an object, reach a point or a view.

A pursuit turns one moment into an intent; the navigator turns the intent into velocities.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from memory.frames import wrap_rad
from memory.records import BodySpec, ImageGoal, ObjectGoal, PointGoal, Slot, SlotState
from policies.config import PoliciesConfig
from policies.explorer import Explorer, ExploreTarget
from policies.geodesic import Field, Terrain
from policies.goals import Candidate, GoalTrack, choose_candidate, distance_to_box_m, lines_to_box
from policies.keyframes import Keyframes
from policies.occupancy import OccupancyMap
from policies.protocols import Mode, SlotSource
from policies.route import Moment, Route, Router

ARRIVE_M = 0.2
FACING_RAD = 0.35
POINT_M = 0.12
"""A point goal ends this close to the point."""
RECENT_STEPS = 60
"""Sightings from close by count this long for verification."""
VERIFY_LOOKS = 4
"""Looks straight at the place without a sighting before the object counts as gone."""
OFF_PATH_M = 0.5
VIEW_STEPS = 6.0
"""An image goal counts as found when the view's latent is nearer than this, in steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What to do now: follow a route, turn, or stop."""

    mode: Mode
    reason: str
    route: Route | None = None
    turn_to_rad: float | None = None
    slot_id: int | None = None
    done: bool = False
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What all pursuits share: body, settings, map and what is known about the place."""

    spec: BodySpec
    config: PoliciesConfig
    occupancy: OccupancyMap
    router: Router
    explorer: Explorer
    keyframes: Keyframes
    slots: SlotSource


class Wander:
    """Explores; when nothing is left to discover, looks again where that is worth most."""

    mode = Mode.EXPLORE

    def __init__(self, place: Place, now: Moment) -> None:
        self.place = place
        self.route: Route | None = None
        self.begun_step = now.step
        place.router.watch(now)

    def intend(self, now: Moment) -> Intent:
        """Return what to do now."""
        return self.explore(now) or self.revisit(now, None) or self._idle()

    def give_up(self, now: Moment, why: str) -> None:
        """Drop the present target and do not offer it again."""
        if self.route is not None:
            self.place.explorer.unreachable.add(self.route.look_m, why, now.step)
        self.route = None

    def drop_route(self) -> None:
        """Plan anew in the next tick."""
        self.route = None

    def explore(self, now: Moment) -> Intent | None:
        """Return an intent towards a frontier, None when none is left."""
        route = self.route if self.route and self.route.mode in EXPLORING else None
        if route is not None:
            if self.has_arrived(route, now):
                turn = self._yaw_to(now, route.look_m)
                if abs(wrap_rad(turn - float(now.pose[2]))) > FACING_RAD:
                    return Intent(
                        mode=route.mode, reason=route.reason, route=route, turn_to_rad=turn
                    )
            elif not self.is_due(route, now):
                return Intent(mode=route.mode, reason=route.reason, route=route)
        arrived = route if route is not None and self.has_arrived(route, now) else None
        new = self._frontier_route(now, arrived)
        if new is None:
            return None
        self.route = new
        return Intent(mode=new.mode, reason=new.reason, route=new)

    def revisit(self, now: Moment, not_seen_since: int | None) -> Intent | None:
        """Return an intent towards a place worth another look, None if there is none."""
        route = self.route if self.route and self.route.mode == Mode.REVISIT else None
        if route is not None and not self.has_arrived(route, now) and not self.is_due(route, now):
            return Intent(mode=route.mode, reason=route.reason, route=route)
        terrain, from_body = self.reachable(now)
        if from_body is None:
            return None
        target = self.place.explorer.choose_revisit(
            terrain, from_body, now.step, not_seen_since=not_seen_since
        )
        if target is None:
            return None
        keep = route is not None and not self.has_arrived(route, now)
        if keep and route is not None and not_seen_since is None:
            again = self.route_to(now, terrain, from_body, route.stand_cells[0], Mode.REVISIT)
            if again is not None:
                again.reason, again.look_m = route.reason, route.look_m
                self.route = again
                return Intent(mode=again.mode, reason=again.reason, route=again)
        self.route = self._explore_route(now, terrain, from_body, target, Mode.REVISIT)
        if self.route is None:
            return None
        return Intent(mode=Mode.REVISIT, reason=self.route.reason, route=self.route)

    def reachable(
        self, now: Moment, *, fresh: bool = False, narrow: bool = False, unknown: bool = False
    ) -> tuple[Terrain, Field | None]:
        """Return the terrain and the distances from the body over it."""
        terrain = self.place.router.terrain(now, fresh=fresh, narrow=narrow)
        start = terrain.cells(now.pose[None, :2])
        return terrain, terrain.field(start, through_unknown=unknown)

    def route_to(
        self,
        now: Moment,
        terrain: Terrain,
        from_body: Field,
        cell: Float64[np.ndarray, "2"] | np.ndarray,
        mode: Mode,
        *,
        unknown: bool = False,
    ) -> Route | None:
        """Return a route to a planning cell, None if there is no way."""
        path = from_body.path_to(cell)
        if len(path) == 0:
            return None
        return Route(
            mode=mode,
            reason="",
            look_m=(float(path[-1, 0]), float(path[-1, 1])),
            stand_cells=np.asarray(cell, dtype=np.int64)[None],
            path_m=path,
            terrain=terrain,
            through_unknown=unknown,
            planned_step=now.step,
        )

    def has_arrived(self, route: Route, now: Moment) -> bool:
        """Return whether the body stands at the end of the route."""
        return float(np.hypot(*(route.path_m[-1] - now.pose[:2]))) < ARRIVE_M

    def is_due(self, route: Route, now: Moment) -> bool:
        """Return whether the route must be planned again."""
        if self.place.router.is_blocked(route, now):
            return now.step > route.planned_step
        off = float(np.hypot(*(route.path_m - now.pose[:2]).T).min())
        if off > OFF_PATH_M:
            return True
        age = now.step - route.planned_step
        return age >= self.place.config.explore.replan_steps and self.place.router.map_changed()

    def _frontier_route(self, now: Moment, arrived: Route | None) -> Route | None:
        explorer = self.place.explorer
        for narrow in (False, True):
            terrain, from_body = self.reachable(now, fresh=arrived is not None, narrow=narrow)
            if from_body is None:
                continue
            target = explorer.choose_frontier(terrain, from_body, now.pose)
            if target and arrived and math.dist(target.xy_m, arrived.look_m) < 0.3:
                explorer.unreachable.add(
                    target.xy_m, "looked at from as near as possible", now.step
                )
                target = explorer.choose_frontier(terrain, from_body, now.pose)
            if target is not None:
                return self._explore_route(now, terrain, from_body, target, self.mode)
        return None

    def _explore_route(
        self, now: Moment, terrain: Terrain, from_body: Field, target: ExploreTarget, mode: Mode
    ) -> Route | None:
        route = self.route_to(now, terrain, from_body, target.stand_cell, mode)
        if route is not None:
            route.reason, route.look_m = target.reason, target.xy_m
        return route

    def _yaw_to(self, now: Moment, xy_m: tuple[float, float]) -> float:
        return math.atan2(xy_m[1] - now.pose[1], xy_m[0] - now.pose[0])

    def _idle(self) -> Intent:
        self.route = None
        return Intent(mode=Mode.IDLE, reason="everything within reach was seen just now")


EXPLORING = (Mode.EXPLORE, Mode.SEARCH)


class FindObject(Wander):
    """Goes for a remembered or seen object of a category, verifies it, else searches."""

    def __init__(self, place: Place, now: Moment, goal: ObjectGoal) -> None:
        super().__init__(place, now)
        self.goal = goal
        self.track = GoalTrack(goal.label)
        self._looks = 0
        self._unreachable: list[Candidate] = []

    def intend(self, now: Moment) -> Intent:
        """Return what to do now."""
        is_new = self.track.see(now.detections, now.step)
        route = self.route
        if route is not None and route.candidate is not None:
            stale = is_new or self.is_due(route, now)
            if self._stands_at(route.candidate, now):
                return self._verify(route, now)
            if not stale and not self.has_arrived(route, now):
                return self._going(route)
        elif not is_new and route is not None and not self.is_due(route, now):
            intent = self.explore(now) if route.mode in EXPLORING else self.revisit(now, 0)
            if intent is not None:
                return intent
        return self._resolve(now) or self._search(now)

    def give_up(self, now: Moment, why: str) -> None:
        """Drop the present target: a frontier for good, an object for this goal."""
        if self.route is not None and self.route.candidate is not None:
            self.track.refuse(self.route.candidate, now.step)
            self._looks = 0
            self.route = None
        else:
            super().give_up(now, why)

    def _candidates(self, now: Moment) -> list[Candidate]:
        slots: list[Slot] = []
        if self.place.config.goals.use_memory:
            slots = self.place.slots.slots(self.goal.label)
        tick_s = self.place.spec.tick_s
        return self.track.candidates(slots, now.observation.stamp_ns, tick_s, now.step)

    def _resolve(self, now: Moment, *, narrow: bool = False) -> Intent | None:
        candidates = self._candidates(now)
        if not candidates:
            return None
        fresh = self.route is not None and self.has_arrived(self.route, now)
        terrain, from_body = self.reachable(now, fresh=fresh, narrow=narrow, unknown=True)
        if from_body is None:
            return None
        choice, self._unreachable = choose_candidate(
            candidates, self.place.occupancy, terrain, from_body, self.place.config.goals.stop_m
        )
        if choice is None:
            return None
        route = self.route_to(
            now, terrain, from_body, choice.nearest_cell, Mode.GOTO, unknown=True
        )
        if route is None:
            return None
        route.candidate, route.stand_cells = choice.candidate, choice.stand_cells
        middle = choice.candidate.middle_m
        route.look_m = (float(middle[0]), float(middle[1]))
        route.reason = choice.reason
        if self.route is None or self.route.candidate is None:
            self._looks = 0
        self.route = route
        if self._stands_at(choice.candidate, now):
            return self._verify(route, now)
        return self._going(route)

    def _going(self, route: Route) -> Intent:
        assert route.candidate is not None
        return Intent(
            mode=Mode.GOTO,
            reason=route.reason,
            route=route,
            slot_id=route.candidate.slot_id,
        )

    def _stands_at(self, candidate: Candidate, now: Moment) -> bool:
        """Return whether the body is close enough to the object, in the same room."""
        xy = now.pose[None, :2]
        low, high = candidate.low_m, candidate.high_m
        if distance_to_box_m(xy, low, high)[0] > self.place.config.goals.stop_m:
            return False
        over_free, unblocked = lines_to_box(self.place.occupancy, xy, low, high)
        return bool(over_free[0] or (self._looks > 0 and unblocked[0]))

    def _verify(self, route: Route, now: Moment) -> Intent:
        candidate = route.candidate
        assert candidate is not None
        wanted = self.place.config.goals.verify_views
        seen = self.track.near_sightings(candidate, now.step - RECENT_STEPS)
        if seen >= wanted:
            text = f"{candidate.name} reached and seen {seen} times from close by"
            return Intent(mode=Mode.STOP, reason=text, slot_id=candidate.slot_id, done=True)
        xy = np.clip(now.pose[:2], candidate.low_m, candidate.high_m)
        if np.hypot(*(xy - now.pose[:2])) < 0.1:
            xy = candidate.middle_m
        yaw = self._yaw_to(now, (float(xy[0]), float(xy[1])))
        if abs(wrap_rad(yaw - float(now.pose[2]))) < FACING_RAD:
            self._looks += 1
            if self._looks > VERIFY_LOOKS:
                name = candidate.name
                self.give_up(now, f"{name} is not there")
                self.mode = Mode.SEARCH
                return Intent(
                    mode=Mode.VERIFY,
                    reason=f"{name} is not where it was remembered; looking elsewhere",
                    slot_id=candidate.slot_id,
                )
        return Intent(
            mode=Mode.VERIFY,
            reason=f"looking at {candidate.name} from close by, {seen} of {wanted} sightings",
            route=route,
            turn_to_rad=yaw,
            slot_id=candidate.slot_id,
        )

    def _search(self, now: Moment) -> Intent:
        self.mode = Mode.SEARCH if self.track.num_refused else Mode.EXPLORE
        if self.route is not None and self.route.candidate is not None:
            self.route = None
        intent = self.explore(now)
        if intent is not None:
            return self._because(intent)
        intent = self._resolve(now, narrow=True) or self.revisit(now, self.begun_step)
        if intent is not None:
            return self._because(intent)
        label = self.goal.label
        why = f"everything within reach was searched and no {label} found"
        if self._unreachable:
            names = ", ".join(c.name for c in self._unreachable[:3])
            why = f"there is no way to {names}"
        return Intent(mode=Mode.IDLE, reason=why, failed=why)

    def _because(self, intent: Intent) -> Intent:
        if intent.mode not in (Mode.EXPLORE, Mode.SEARCH, Mode.REVISIT):
            return intent
        label = self.goal.label
        known = f"no {label} known" if not self.track.num_refused else f"{label} was gone"
        reason = intent.reason if label in intent.reason else f"{known}: {intent.reason}"
        return Intent(
            mode=intent.mode,
            reason=reason,
            route=intent.route,
            turn_to_rad=intent.turn_to_rad,
        )


class ReachPoint(Wander):
    """Drives to a point, over unseen floor where it must."""

    def __init__(self, place: Place, now: Moment, goal: PointGoal) -> None:
        super().__init__(place, now)
        self.goal = goal
        self._failures = 0

    def intend(self, now: Moment) -> Intent:
        """Return what to do now."""
        target = np.array(self.goal.xy_m, dtype=np.float64)
        gap = float(np.hypot(*(target - now.pose[:2])))
        if gap <= POINT_M:
            return Intent(mode=Mode.STOP, reason=f"point reached, {gap:.2f} m off", done=True)
        route = self.route
        if route is None or self.is_due(route, now) or self.has_arrived(route, now):
            if self.router_failed():
                return self._failed("no way was found in three attempts")
            route = self._plan(now, target)
            if route is None:
                near = self.explore(now)
                return near or self._failed("there is no way to it")
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
            route.reason = f"point ({x:.1f}, {y:.1f}) is {route.rest_m(now.pose[:2]):.1f} m away"
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
                self.route = route
                return Intent(mode=Mode.GOTO, reason=route.reason, route=route)
        return self._explored(now, f"the nearest kept view is {steps:.1f} steps from the image")

    def give_up(self, now: Moment, why: str) -> None:
        """Do not try that view again."""
        if self.route is not None and self.route.yaw_rad is not None:
            end = self.route.path_m[-1]
            self._tried.append(np.array([end[0], end[1], self.route.yaw_rad]))
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
        if intent is None:
            return Intent(mode=Mode.IDLE, reason=why, failed=why)
        return Intent(
            mode=intent.mode,
            reason=f"{why}: {intent.reason}" if why not in intent.reason else intent.reason,
            route=intent.route,
            turn_to_rad=intent.turn_to_rad,
        )


def has_slots(source: SlotSource, label: str) -> bool:
    """Return whether anything with the label is remembered as present."""
    return any(slot.state != SlotState.ARCHIVED for slot in source.slots(label))
