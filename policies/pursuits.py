"""Which pursuit serves which goal."""

from memory.records import ExploreGoal, Goal, ImageGoal, ObjectGoal, PatrolGoal, PointGoal
from policies.find_object import FindObject
from policies.patrol import ExploreAll, Patrol
from policies.pursuit import Place, Wander
from policies.reach import ReachPoint, ReachView
from policies.route import Moment

MAX_TRACKS = 16
"""Object goals that are not done of which sightings and disappointments are kept."""


def pursuit_of(goal: Goal | None, place: Place, now: Moment) -> Wander:
    """Return what pursues a goal; without one, what wanders."""
    while len(place.tracks) > MAX_TRACKS:
        place.tracks.pop(next(iter(place.tracks)))
    match goal:
        case None:
            return Wander(place, now)
        case ObjectGoal():
            return FindObject(place, now, goal)
        case PointGoal():
            return ReachPoint(place, now, goal)
        case ImageGoal():
            return ReachView(place, now, goal)
        case ExploreGoal():
            return ExploreAll(place, now, goal)
        case PatrolGoal():
            return Patrol(place, now, goal)
