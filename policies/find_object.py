"""Finding an object: go for what is remembered or seen, verify it, else search."""

from collections.abc import Sequence

import numpy as np

from memory.frames import wrap_rad
from memory.records import ObjectGoal, Slot
from policies.goal_track import CERTAIN_CHANCE, MIN_VOTE, GoalTrack
from policies.goals import Candidate, choose_candidate, is_at_one_place
from policies.past import Company, past_places
from policies.protocols import Mode, PastSource
from policies.pursuit import ARRIVE_M, FACING_RAD, Intent, Place, Wander
from policies.rounds import Round
from policies.route import Moment, Route
from policies.standing import distance_to_box_m, lines_to_box, stand_cells
from policies.why import MAX_REFUSED, Option, Refused, Why

RETRY_STEPS = 10
"""Steps between two tries for candidates that could not be reached."""
RECENT_STEPS = 60
"""Sightings from close by count this long for verification."""
VERIFY_LOOKS = 4
"""Looks straight at the place without a sighting before the object counts as gone."""
PATIENT_LOOKS = 25
"""Looks at what was seen but not for long, before that counts as an error of the detector."""
RELOOK = 6
"""Looks after which the place to stand is chosen anew."""
CLOSE_SLACK_M = 0.12
"""Added to the distance to stop at, for what a detector sees of a thing."""
DOUBTED = 0.5
"""Share of looks from close by that call it something else, from which it counts as that."""
SECOND_VIEW_M = 0.35
"""The second viewpoint is at least this far from the first."""
MAX_SECOND_VIEW_M = 1.5
"""A second viewpoint that costs more is left: the first has to do."""
SEARCH_OLDEST_SHARE = 0.5
"""See `policies.rounds.Round`: what was not seen for long may hold it, but ways cost."""
PAST_LOOK_M = 2.2
PAST_LOOKS = 2
"""Looks at a place from within `PAST_LOOK_M` without a sighting before it counts as empty."""


class FindObject(Wander):
    """Goes for a remembered or seen object of a category, verifies it, else searches."""

    def __init__(self, place: Place, now: Moment, goal: ObjectGoal) -> None:
        super().__init__(place, now)
        self.goal = goal
        self.track = place.tracks.setdefault(goal.goal_id, GoalTrack(goal.label, goal.also))
        self._looks = 0
        self._moved_on = False
        self._is_new = False
        self._unreachable: list[Candidate] = []
        self._round = Round(now.step, SEARCH_OLDEST_SHARE)
        self._past: list[Candidate] | None = None
        self._voted: list[tuple[Slot, float]] = []

    def notice(self, now: Moment) -> None:
        """Remember what has the goal's label, whatever steers the body now."""
        self._is_new |= self.track.see(now.detections, now.step, now.pose)

    def intend(self, now: Moment) -> Intent:
        """Return what to do now."""
        is_new, self._is_new = self._is_new, False
        route = self.route
        if route is not None and route.candidate is not None:
            stale = is_new or self.is_due(route, now)
            if route.candidate.kind == "past":
                turn = self._look_at_past(route.candidate, route, now)
                if turn is not None:
                    return turn
            elif self._stands_at(route.candidate, now):
                if self._looks % RELOOK == RELOOK - 1:
                    # What was seen since may show that it stands elsewhere in its remembered box.
                    return self._resolve(now) or self._verify(route, now)
                return self._verify(route, now)
            if self.route is not None and not stale and not self.has_arrived(route, now):
                return self._going(route)
        elif not is_new and route is not None and self.stays_on(route, now):
            age = now.step - route.planned_step
            if not self._unreachable or age < RETRY_STEPS:
                return self._because(self.on(route))
        return self._resolve(now) or self._search(now)

    def give_up(self, now: Moment, why: str) -> None:
        """Drop the present target: a frontier for good, an object for this goal."""
        if self.route is not None and self.route.candidate is not None:
            candidate = self.route.candidate
            self.track.refuse(candidate, now.step, why)
            self.after = f"gave {candidate.name} up: {why}"
            self._looks, self._moved_on = 0, False
            self.route = None
        else:
            if self.route is not None and self.route.mode == Mode.REVISIT:
                self._round.visited.append(self.route.look_m)
            super().give_up(now, why)

    def refused(self) -> tuple[Refused, ...]:
        """Return the objects that disappointed, and the places that could not be reached."""
        return (*super().refused(), *self.track.refused)[-MAX_REFUSED:]

    # ------------------------------------------------------------------ what to go for
    def _candidates(self, now: Moment) -> list[Candidate]:
        slots: list[Slot] = []
        tick_s, stamp_ns = self.place.spec.tick_s, now.observation.stamp_ns
        if self.place.config.goals.use_memory:
            slots = [s for name in self.track.names for s in self.place.slots_here(name)]
        found = self.track.candidates(slots, stamp_ns, tick_s, now.step)
        if found or self._past is None:
            return found
        # Nothing is known to be there: what was also called so, then where such things stood.
        shares = {slot.slot_id: share for slot, share in self._voted}
        voted = [slot for slot, _ in self._voted]
        found = self.track.candidates(voted, stamp_ns, tick_s, now.step, shares=shares)
        return found or [c for c in self._past if not self.track.is_refused(c, now.step)]

    def _resolve(self, now: Moment) -> Intent | None:
        candidates = self._candidates(now)
        if not candidates and self._past is None:
            self._recall(now)
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
        assert route.candidate is not None
        before = self.route.candidate if self.route is not None else None
        if before is None or not is_at_one_place(before, route.candidate):
            self._looks, self._moved_on = 0, False
        self.route = route
        if route.candidate.kind != "past" and self._stands_at(route.candidate, now):
            return self._verify(route, now)
        return self._going(route)

    def _recall(self, now: Moment) -> None:
        """Look up once, when the search begins, what the memory knows beyond what is there."""
        self._past = []
        slots = self.place.slots
        if not self.place.config.goals.use_memory:
            return
        names, tick_s = self.track.names, self.place.spec.tick_s
        here, stamp_ns = self.place.is_here, now.observation.stamp_ns
        self._past = past_places(slots, names, stamp_ns, tick_s, here)
        if not isinstance(slots, PastSource):
            return
        voted = [pair for name in names for pair in slots.voted(name)]
        self._voted = [(s, share) for s, share in voted if share >= MIN_VOTE and here(s.xyz_m)]
        known = [s.xyz_m[:2] for name in names for s in self.place.slots_here(name)]
        company = Company(slots, names, [*known, *(c.middle_m for c in self._past)])
        if company.share:
            self.semantics = company.values

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
            route.why = self._why(choice.option, choice.others)
            if choice.candidate.kind == "past":
                route.mode = Mode.SEARCH
        return route

    def _why(self, chosen: Option, others: Sequence[Option]) -> Why:
        """Return the record of the choice; the old one while it is the same choice."""
        before = self.route.why if self.route is not None else None
        if before is not None and not self.after and _same_choice(before.chosen, chosen):
            return before
        return self.because_of(chosen, others)

    def _going(self, route: Route) -> Intent:
        assert route.candidate is not None
        return Intent(
            mode=route.mode,
            reason=route.reason,
            route=route,
            slot_id=route.candidate.slot_id,
        )

    # ------------------------------------------------------------------ looking
    def _look_at_past(self, candidate: Candidate, route: Route, now: Moment) -> Intent | None:
        """Refuse an old place that was looked at; return an intent to turn to it on arrival."""
        low, high = candidate.low_m, candidate.high_m
        arrived = self.has_arrived(route, now)
        if distance_to_box_m(now.pose[None, :2], low, high)[0] > PAST_LOOK_M and not arrived:
            return None
        yaw = self.yaw_to(now, route.look_m)
        facing = abs(wrap_rad(yaw - float(now.pose[2]))) < FACING_RAD
        lines = lines_to_box(self.place.occupancy, now.pose[None, :2], low, high)
        if facing and (arrived or lines.unblocked[0]):
            self._looks += 1
            if self._looks >= PAST_LOOKS:
                self.give_up(now, f"no {self.goal.label} stands there now")
                return None
        if not arrived:
            return None
        reason = f"looking whether a {self.goal.label} is back where one stood"
        return Intent(mode=Mode.VERIFY, reason=reason, route=route, turn_to_rad=yaw)

    def _stands_at(self, candidate: Candidate, now: Moment) -> bool:
        """Return whether the body is close enough to the object, in the same room."""
        xy, route = now.pose[None, :2], self.route
        low, high = candidate.low_m, candidate.high_m
        apart = distance_to_box_m(xy, low, high)[0]
        if route is not None and route.candidate is candidate and self.has_arrived(route, now):
            # The route ends on a standing place; some have no line over floor that was seen.
            return bool(apart <= self.place.config.goals.stop_m + ARRIVE_M / 2)
        if apart > self.place.config.goals.stop_m or self._moved_on:
            return False
        lines = lines_to_box(self.place.occupancy, xy, low, high)
        return bool(lines.over_free[0] or (self._looks > 0 and lines.unblocked[0]))

    def _verify(self, route: Route, now: Moment) -> Intent:
        candidate = route.candidate
        assert candidate is not None
        wanted, since = self.place.config.goals.verify_views, now.step - RECENT_STEPS
        seen, views = (
            self.track.near_sightings(candidate, since),
            self.track.views(candidate, since),
        )
        if seen >= wanted:
            if self.track.doubt(candidate, since) > DOUBTED:
                self.give_up(now, "from close by it is mostly called something else")
                return self._gone(candidate, "was taken for something else")
            if wanted == 0 or self.track.is_certain(candidate, since):
                return self._stop(candidate, seen, views)
            near_m = self.place.config.goals.stop_m + CLOSE_SLACK_M
            if self.track.lasts(candidate, since, near_m):
                known = candidate.slot_id is not None and candidate.chance >= CERTAIN_CHANCE
                if known or views >= min(wanted, 2):
                    return self._stop(candidate, seen, views)
                return self._second_view(route, now) or self._stop(candidate, seen, views)
        xy = np.clip(now.pose[:2], candidate.low_m, candidate.high_m)
        if np.hypot(*(xy - now.pose[:2])) < 0.1:
            xy = candidate.middle_m
        yaw = self.yaw_to(now, (float(xy[0]), float(xy[1])))
        if abs(wrap_rad(yaw - float(now.pose[2]))) < FACING_RAD:
            self._looks += 1
            patience = VERIFY_LOOKS if seen < wanted else PATIENT_LOOKS
            if self._looks > patience:
                self.give_up(now, f"not seen for long in {patience} looks from close by")
                return self._gone(candidate, "is not where it was remembered")
        return Intent(
            mode=Mode.VERIFY,
            reason=f"looking at {candidate.name} from close by, {seen} of {wanted} sightings",
            route=route,
            turn_to_rad=yaw,
            slot_id=candidate.slot_id,
        )

    def _stop(self, candidate: Candidate, seen: int, views: int) -> Intent:
        text = f"{candidate.name} reached and seen {seen} times from close by"
        if views > 1:
            text += f", from {views} viewpoints"
        return Intent(mode=Mode.STOP, reason=text, slot_id=candidate.slot_id, done=True)

    def _gone(self, candidate: Candidate, what: str) -> Intent:
        self.mode = Mode.SEARCH
        return Intent(
            mode=Mode.VERIFY,
            reason=f"{candidate.name} {what}; looking elsewhere",
            slot_id=candidate.slot_id,
        )

    def _second_view(self, route: Route, now: Moment) -> Intent | None:
        """Return an intent to look from another place, None if that was tried or costs too much."""
        candidate = route.candidate
        assert candidate is not None
        if self._moved_on:
            return None
        self._moved_on = True
        terrain, from_body = self.reachable(now, fresh=True)
        if from_body is None:
            return None
        stop_m = self.place.config.goals.stop_m
        cells = stand_cells(
            self.place.occupancy, terrain, candidate.low_m, candidate.high_m, stop_m
        )
        distance = from_body.at_cells(cells)
        off = np.hypot(*(terrain.centers_m(cells) - now.pose[:2]).T)
        good = (off >= SECOND_VIEW_M) & (distance <= MAX_SECOND_VIEW_M)
        if not good.any():
            return None
        cell = cells[int(np.argmin(np.where(good, distance, np.inf)))]
        other = self.route_to(now, terrain, from_body, cell, Mode.VERIFY)
        if other is None:
            return None
        other.candidate, other.look_m, other.why = candidate, route.look_m, route.why
        other.reason = f"looking at {candidate.name} from a second place"
        self.route = other
        return self._going(other)

    # ------------------------------------------------------------------ searching
    def _search(self, now: Moment) -> Intent:
        self.mode = Mode.SEARCH if self.track.num_refused else Mode.EXPLORE
        if self.route is not None and self.route.candidate is not None:
            self.route = None
        intent = self.explore(now)
        if intent is not None:
            return self._because(intent)
        again = self.reopened(now, [c.middle_m for c in self._unreachable])
        label = self.goal.label
        if again is not None:
            return again
        if self._unreachable:
            # It is known where it is: looking at everything again would only cost.
            names = ", ".join(c.name for c in self._unreachable[:3])
            why = f"there is no way to {names}, and nothing within reach is left to explore"
            return Intent(mode=Mode.IDLE, reason=why, failed=why)
        intent = self.look_again(now, self._round)
        if intent is not None:
            return self._because(intent)
        why = f"everything within reach was searched and no {label} found"
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


def _same_choice(a: Option, b: Option) -> bool:
    if a.kind != b.kind:
        return False
    if a.slot_id is not None or b.slot_id is not None:
        return a.slot_id == b.slot_id
    return float(np.hypot(a.xy_m[0] - b.xy_m[0], a.xy_m[1] - b.xy_m[1])) < 0.5
