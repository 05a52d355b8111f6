"""Finding an object: go for what is remembered or seen, verify it, else search."""

import numpy as np

from memory.frames import wrap_rad
from memory.records import ObjectGoal, Slot
from policies.goals import Candidate, GoalTrack, choose_candidate, distance_to_box_m, lines_to_box
from policies.protocols import Mode
from policies.pursuit import ARRIVE_M, FACING_RAD, Intent, Place, Wander
from policies.route import Moment, Route

RETRY_STEPS = 10
"""Steps between two tries for candidates that could not be reached."""
RECENT_STEPS = 60
"""Sightings from close by count this long for verification."""
VERIFY_LOOKS = 4
"""Looks straight at the place without a sighting before the object counts as gone."""


class FindObject(Wander):
    """Goes for a remembered or seen object of a category, verifies it, else searches."""

    def __init__(self, place: Place, now: Moment, goal: ObjectGoal) -> None:
        super().__init__(place, now)
        self.goal = goal
        self.track = GoalTrack(goal.label)
        self._looks = 0
        self._is_new = False
        self._unreachable: list[Candidate] = []

    def notice(self, now: Moment) -> None:
        """Remember what has the goal's label, whatever steers the body now."""
        self._is_new |= self.track.see(now.detections, now.step)

    def intend(self, now: Moment) -> Intent:
        """Return what to do now."""
        is_new, self._is_new = self._is_new, False
        route = self.route
        if route is not None and route.candidate is not None:
            stale = is_new or self.is_due(route, now)
            if self._stands_at(route.candidate, now):
                return self._verify(route, now)
            if not stale and not self.has_arrived(route, now):
                return self._going(route)
        elif not is_new and route is not None and self.stays_on(route, now):
            age = now.step - route.planned_step
            if not self._unreachable or age < RETRY_STEPS:
                return self._because(self.on(route))
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

    def _resolve(self, now: Moment) -> Intent | None:
        candidates = self._candidates(now)
        self._unreachable = []
        if not candidates:
            return None
        for narrow in (False, True):
            route = self._route_to_best(now, candidates, narrow=narrow)
            if route is not None or not self._unreachable:
                break
        if route is None:
            return None
        if self.route is None or self.route.candidate is None:
            self._looks = 0
        self.route = route
        assert route.candidate is not None
        if self._stands_at(route.candidate, now):
            return self._verify(route, now)
        return self._going(route)

    def _route_to_best(
        self, now: Moment, candidates: list[Candidate], *, narrow: bool
    ) -> Route | None:
        """Return the way to the candidate that costs least; the others end in `_unreachable`."""
        fresh = self.route is not None and self.has_arrived(self.route, now)
        terrain, from_body = self.reachable(now, fresh=fresh, narrow=narrow, unknown=True)
        if from_body is None:
            return None
        choice, self._unreachable = choose_candidate(
            candidates,
            self.place.occupancy,
            terrain,
            from_body,
            self.place.config.goals.stop_m,
            keep=self.route.candidate if self.route is not None else None,
        )
        if choice is None:
            return None
        route = self.route_to(now, terrain, from_body, choice.nearest_cell, Mode.GOTO, unknown=True)
        if route is not None:
            route.candidate, route.stand_cells = choice.candidate, choice.stand_cells
            middle = choice.candidate.middle_m
            route.look_m = (float(middle[0]), float(middle[1]))
            route.reason = choice.reason
        return route

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
        xy, route = now.pose[None, :2], self.route
        low, high = candidate.low_m, candidate.high_m
        apart = distance_to_box_m(xy, low, high)[0]
        if route is not None and route.candidate is candidate and self.has_arrived(route, now):
            # The route ends on a standing place; some have no line over floor that was seen.
            return bool(apart <= self.place.config.goals.stop_m + ARRIVE_M / 2)
        if apart > self.place.config.goals.stop_m:
            return False
        lines = lines_to_box(self.place.occupancy, xy, low, high)
        return bool(lines.over_free[0] or (self._looks > 0 and lines.unblocked[0]))

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
        yaw = self.yaw_to(now, (float(xy[0]), float(xy[1])))
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
        intent = self.revisit(now, self.begun_step)
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
