"""What the agent wants: pursuits turn one moment into an intent, the navigator into velocities.

Wandering is here, and what the others share; see `policies.find_object` and `policies.reach`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from memory.frames import wrap_rad
from memory.records import BodySpec, Slot
from policies.config import PoliciesConfig
from policies.explorer import Explorer, Semantics
from policies.geodesic import Field, Terrain
from policies.goal_track import GoalTrack
from policies.keyframes import Keyframes
from policies.occupancy import OccupancyMap
from policies.protocols import LocalSlotSource, Mode, SlotSource
from policies.rounds import Round
from policies.route import Moment, Route, Router
from policies.strategies.base import ExploreTarget
from policies.why import MAX_OTHERS, MAX_REFUSED, Option, Refused, Why

ARRIVE_M = 0.2
FACING_RAD = 0.35
OFF_PATH_M = 0.5
SQUEEZE_STEPS = 100
"""Steps between two looks for gaps that are tighter than the usual margin allows."""
RARELY = 2
"""A route that still makes sense is planned anew this many times less often."""
SAME_TARGET_M = 0.3
CONSUMED_M = 0.25
CONSUMED_SHARE = 0.15
"""A frontier is consumed when less than this share around it is unknown."""
EXPLORING = (Mode.EXPLORE, Mode.SEARCH)


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
    tracks: dict[str, GoalTrack]
    """What was learned about object goals that are not done, by id: one that gives way to a more
    urgent one and comes back does not try the same places again."""

    def slots_here(self, label: str) -> list[Slot]:
        """Return the remembered objects of a label that lie in the square of the map in hand.

        Objects of other homes cannot be driven to; there may be thousands of them.
        """
        if isinstance(self.slots, LocalSlotSource):
            (x0, y0), side_m = self.occupancy.origin_m, self.occupancy.size_m
            return self.slots.slots_within(label, (x0, y0, x0 + side_m, y0 + side_m))
        return [s for s in self.slots.slots(label) if self.is_here(s.xyz_m)]

    def is_here(self, xy_m: Float64[np.ndarray, "n"]) -> bool:
        """Return whether a point lies in the square of the map in hand."""
        (x0, y0), side_m = self.occupancy.origin_m, self.occupancy.size_m
        return bool(0 <= xy_m[0] - x0 < side_m and 0 <= xy_m[1] - y0 < side_m)


class Wander:
    """Explores; when nothing is left to discover, looks again where that is worth most."""

    mode = Mode.EXPLORE
    semantics: Semantics | None = None
    """Values of places for what is looked for, if anything is known of that."""

    def __init__(self, place: Place, now: Moment) -> None:
        self.place = place
        self.route: Route | None = None
        self.after = ""
        self.begun_step = now.step
        self._squeezed_step = -SQUEEZE_STEPS
        self._may_doubt_felt, self._may_doubt_low = True, True
        place.router.watch(now)

    def notice(self, now: Moment) -> None:
        """Take in what is seen; called in every tick, also when something else steers."""

    def intend(self, now: Moment) -> Intent:
        """Return what to do now."""
        if self._keeps_revisiting(now):
            return self.on(self.route)
        return self.explore(now) or self.revisit(now) or self._idle()

    def give_up(self, now: Moment, why: str) -> None:
        """Drop the present target and do not offer it again."""
        if self.route is not None:
            self.place.explorer.unreachable.add(self.route.look_m, why, now.step)
            x, y = self.route.look_m
            self.after = f"gave up the way to ({x:.1f}, {y:.1f}): {why}"
        self.route = None

    def refused(self) -> tuple[Refused, ...]:
        """Return what was ruled out for this goal, the newest last."""
        items = [i for i in self.place.explorer.unreachable.items if i.step >= self.begun_step]
        return tuple(
            Refused(
                name=f"({i.xy_m[0]:.1f}, {i.xy_m[1]:.1f})", reason=f"{i.reason} (step {i.step})"
            )
            for i in items[-MAX_REFUSED:]
        )

    def because_of(self, chosen: Option, others: Sequence[Option] = ()) -> Why:
        """Return the record of a choice, with how the one before ended."""
        after, self.after = self.after, ""
        return Why(
            chosen=chosen,
            others=tuple(others[:MAX_OTHERS]),
            refused=self.refused(),
            after=after,
        )

    def reopened(self, now: Moment, towards_m: Sequence[Float64[np.ndarray, "2"]]) -> Intent | None:
        """Return an intent to try again what was in the way before this goal and may be no more.

        A body that wobbles or was pushed leaves marks where nothing stands, and furniture moves.
        Each once per goal, and None if there is nothing like it: then there really is no way.

        Args:
            now: The tick.
            towards_m: Places that are known and to which there is no way.
        """
        router, found = self.place.router, False
        if self._may_doubt_felt:
            self._may_doubt_felt = False
            found = router.reopen_felt(self.begun_step)
        if not found and self._may_doubt_low and len(towards_m):
            self._may_doubt_low = False
            found = router.doubt_low(now, self.begun_step, np.stack(towards_m))
        if not found:
            return None
        self.route = None
        why = "no way is left: what stood in it before this goal is looked at again"
        return Intent(mode=self.mode, reason=why)

    def drop_route(self) -> None:
        """Plan anew in the next tick."""
        self.route = None

    def explore(self, now: Moment) -> Intent | None:
        """Return an intent towards a frontier, None when none is left."""
        route = self.route if self.route and self.route.mode in EXPLORING else None
        arrived = None
        if route is not None and self.has_arrived(route, now):
            turn = self.yaw_to(now, route.look_m)
            if abs(wrap_rad(turn - float(now.pose[2]))) > FACING_RAD:
                return self.on(route, turn)
            arrived = route
        elif route is not None and not self.is_due(route, now):
            return self.on(route)
        new = self._frontier_route(now, arrived)
        if new is None:
            return None
        self.route = new
        return self.on(new)

    def revisit(self, now: Moment) -> Intent | None:
        """Return an intent towards a place worth another look, None if there is none."""
        if self._keeps_revisiting(now):
            return self.on(self.route)
        terrain, from_body = self.reachable(now)
        if from_body is None:
            return None
        target = self.place.explorer.choose_revisit(terrain, from_body, now.step)
        self.route = None
        if target is not None:
            self.route = self._explore_route(now, terrain, from_body, target, Mode.REVISIT)
        return self.on(self.route) if self.route is not None else None

    def look_again(self, now: Moment, round_: Round) -> Intent | None:
        """Return an intent towards the next place of a round, None when it is done."""
        route = self.route if self.route and self.route.mode == Mode.REVISIT else None
        if route is not None:
            if self.has_arrived(route, now):
                round_.visited.append(route.look_m)
            elif not self.is_due(route, now):
                return self.on(route)
        self.route = None
        terrain, from_body = self.reachable(now)
        if from_body is None:
            return None
        stop = round_.next(
            terrain, from_body, self.place.explorer, now.step, self.place.spec.tick_s
        )
        if stop is None:
            return None
        new = self.route_to(now, terrain, from_body, stop.cell, Mode.REVISIT)
        if new is None:
            return None
        new.reason = (
            f"place {stop.distance_m:.1f} m away not seen for {stop.age} steps, {stop.left} left"
        )
        new.why = self.because_of(stop.option, stop.others)
        self.route = new
        return self.on(new)

    def _keeps_revisiting(self, now: Moment) -> bool:
        route = self.route
        return route is not None and route.mode == Mode.REVISIT and self.stays_on(route, now)

    def stays_on(self, route: Route, now: Moment) -> bool:
        return not self.has_arrived(route, now) and not self.is_due(route, now)

    def on(self, route: Route | None, turn_to_rad: float | None = None) -> Intent:
        assert route is not None
        return Intent(mode=route.mode, reason=route.reason, route=route, turn_to_rad=turn_to_rad)

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
        if route.kind == "place":
            return False
        age, often = now.step - route.planned_step, self.place.config.explore.replan_steps
        if age < often or not self.place.router.map_changed():
            return False
        return age >= RARELY * often or (route.mode in EXPLORING and self._is_consumed(route))

    def _is_consumed(self, route: Route) -> bool:
        """Return whether nothing unknown is left right at the frontier."""
        occupancy = self.place.occupancy
        window = occupancy.around(np.array(route.look_m, dtype=np.float64), CONSUMED_M)
        unknown = occupancy.log_odds[window] == 0
        return float(unknown.mean()) < CONSUMED_SHARE

    def _frontier_route(self, now: Moment, arrived: Route | None) -> Route | None:
        explorer = self.place.explorer
        # A way through a gap is planned anew with the same margin, or the body turns back in it.
        squeezes = self.route is not None and self.route.is_narrow
        may_squeeze = squeezes or now.step - self._squeezed_step >= SQUEEZE_STEPS
        for narrow in (False, True) if may_squeeze else (False,):
            self._squeezed_step = now.step if narrow else self._squeezed_step
            terrain, from_body = self.reachable(now, fresh=arrived is not None, narrow=narrow)
            if from_body is None:
                continue
            target = explorer.choose(
                terrain, from_body, now.pose, now.step, semantics=self.semantics
            )
            if target and arrived and self._is_same(target, arrived):
                explorer.unreachable.add(
                    target.xy_m, "looked at from as near as possible", now.step
                )
                target = explorer.choose(
                    terrain, from_body, now.pose, now.step, semantics=self.semantics
                )
            if target is not None:
                route = self._explore_route(now, terrain, from_body, target, self.mode)
                if route is not None:
                    route.is_narrow = narrow
                return route
        return None

    def _is_same(self, target: ExploreTarget, arrived: Route) -> bool:
        """Return whether a target is what was just looked at."""
        return (
            target.kind == arrived.kind and math.dist(target.xy_m, arrived.look_m) < SAME_TARGET_M
        )

    def _explore_route(
        self, now: Moment, terrain: Terrain, from_body: Field, target: ExploreTarget, mode: Mode
    ) -> Route | None:
        route = self.route_to(now, terrain, from_body, target.stand_cell, mode)
        if route is not None:
            route.reason, route.look_m = target.reason, target.xy_m
            route.kind = target.kind
            route.why = self.because_of(_option(target), self._other_frontiers(target))
        return route

    def _other_frontiers(self, target: ExploreTarget) -> list[Option]:
        if target.kind != "frontier":
            return []
        others = [f for f in self.place.explorer.frontiers if f.xy_m != target.xy_m]
        others.sort(key=lambda f: f.distance_m)
        return [
            Option(
                kind="frontier",
                name="frontier",
                xy_m=f.xy_m,
                distance_m=f.distance_m,
                note=f"opens {f.gain_m2:.1f} m2, {f.distance_m - target.distance_m:+.1f} m of way",
            )
            for f in others[:MAX_OTHERS]
        ]

    def yaw_to(self, now: Moment, xy_m: tuple[float, float]) -> float:
        return math.atan2(xy_m[1] - now.pose[1], xy_m[0] - now.pose[0])

    def _idle(self) -> Intent:
        self.route = None
        return Intent(mode=Mode.IDLE, reason="everything within reach was seen just now")


def _option(target: ExploreTarget) -> Option:
    is_frontier = target.kind == "frontier"
    return Option(
        kind="frontier" if is_frontier else "place",
        name="frontier" if is_frontier else "place",
        xy_m=target.xy_m,
        distance_m=target.distance_m,
        note=target.reason,
    )
