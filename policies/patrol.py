"""Goals that are about the place itself: explore all of it, or look at all of it again."""

from memory.frames import wrap_rad
from memory.records import ExploreGoal, PatrolGoal
from policies.protocols import Mode
from policies.pursuit import FACING_RAD, Intent, Place, Wander
from policies.rounds import Round
from policies.route import Moment

OLDEST_SHARE = 0.75
"""See `policies.rounds.Round`: strictly the oldest look would cross the house again and again."""


class ExploreAll(Wander):
    """Explores until no frontier within reach is left."""

    def __init__(self, place: Place, now: Moment, goal: ExploreGoal) -> None:
        super().__init__(place, now)
        self.goal = goal

    def intend(self, now: Moment) -> Intent:
        """Return what to do now."""
        intent = self.explore(now)
        if intent is not None:
            return intent
        known = self.place.occupancy.explored_m2
        text = f"nothing within reach is left to explore; {known:.0f} m2 are known"
        return Intent(mode=Mode.STOP, reason=text, done=True)


class Patrol(Wander):
    """Looks at every place within reach again, the oldest look first, round after round."""

    def __init__(self, place: Place, now: Moment, goal: PatrolGoal) -> None:
        super().__init__(place, now)
        self.goal = goal
        self._number = 1
        self._round = Round(now.step, OLDEST_SHARE)

    def intend(self, now: Moment) -> Intent:
        """Return what to do now."""
        intent = self.look_again(now, self._round)
        if intent is not None:
            return intent
        rounds, looked = self.goal.rounds, len(self._round.visited)
        text = f"round {self._number} done, {looked} places visited"
        if rounds is not None and self._number >= rounds:
            return Intent(mode=Mode.STOP, reason=text, done=True)
        self._number += 1
        self._round = Round(now.step, OLDEST_SHARE)
        # Turning is how a round begins anew where everything was just seen.
        yaw = float(wrap_rad(now.pose[2] + 2 * FACING_RAD))
        return Intent(mode=Mode.REVISIT, reason=f"{text}; the next begins", turn_to_rad=yaw)

    def give_up(self, now: Moment, why: str) -> None:
        """Leave the place out in this round, and later."""
        if self.route is not None:
            self._round.visited.append(self.route.look_m)
        super().give_up(now, why)
