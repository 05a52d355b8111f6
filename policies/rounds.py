"""Looking at everything within reach again, place by place: a round.

Axis letters: n places.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from policies.explorer import Explorer
from policies.geodesic import Field, Terrain
from policies.why import MAX_OTHERS, Option

ROUND_CELLS = 5
"""Planning cells between two places of a round."""
VISITED_M = 0.75
"""Places this close to one that was visited in this round are done: a body does not see its own
feet, and some corners are never seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The next place of a round.

    Attributes:
        cell: Planning cell to drive to.
        xy_m: Where it is.
        distance_m: Way to it.
        age: Steps since it was last seen.
        left: Places that are left, with this one.
        option: For the explanation.
        others: The places that were seen longest ago.
    """

    cell: Int64[np.ndarray, "2"]
    xy_m: tuple[float, float]
    distance_m: float
    age: int
    left: int
    option: Option
    others: list[Option]


class Round:
    """One look at every place within reach that was not seen since the round began.

    Args:
        begun_step: Places seen since then are done.
        oldest_share: Places whose last look is at least this share of the oldest one's age may come
            next, the nearest of them first: 1 is strictly the oldest, 0 the nearest.
    """

    def __init__(self, begun_step: int, oldest_share: float) -> None:
        self._begun_step = begun_step
        self._oldest_share = oldest_share
        self.visited: list[tuple[float, float]] = []

    def next(
        self, terrain: Terrain, from_body: Field, explorer: Explorer, step: int, tick_s: float
    ) -> Stop | None:
        """Return the next place, None when the round is done.

        Args:
            terrain: Known part of the map.
            from_body: Distances from the body.
            explorer: Knows what cannot be reached.
            step: Now.
            tick_s: Duration of a step.
        """
        cells = np.argwhere(np.isfinite(from_body.values_m) & terrain.free)
        cells = cells[((cells % ROUND_CELLS) == 0).all(axis=1)]
        if len(cells) == 0:
            return None
        seen = terrain.seen_step[cells[:, 0], cells[:, 1]]
        distance_m = from_body.values_m[cells[:, 0], cells[:, 1]]
        xy_m = terrain.centers_m(cells)
        due = (seen < self._begun_step) & ~self._is_done(xy_m) & ~explorer.unreachable.covers(xy_m)
        if not due.any():
            return None
        age = step - seen
        may = due & (age >= self._oldest_share * age[due].max())
        best = int(np.argmin(np.where(may, distance_m, np.inf)))
        order = np.argsort(np.where(due, -age, 1), kind="stable")[: MAX_OTHERS + 1]

        def option(i: int, note: str) -> Option:
            return Option(
                kind="place",
                name="place",
                xy_m=(float(xy_m[i, 0]), float(xy_m[i, 1])),
                distance_m=float(distance_m[i]),
                age_s=float(age[i] * tick_s),
                note=note,
            )

        gap_m = distance_m - distance_m[best]
        return Stop(
            cell=cells[best],
            xy_m=(float(xy_m[best, 0]), float(xy_m[best, 1])),
            distance_m=float(distance_m[best]),
            age=int(age[best]),
            left=int(due.sum()),
            option=option(best, f"not seen for {age[best]} steps"),
            others=[
                option(i, f"not seen for {age[i]} steps, {gap_m[i]:+.1f} m of way")
                for i in order.tolist()
                if i != best and due[i]
            ],
        )

    def _is_done(self, xy_m: Float64[np.ndarray, "n 2"]) -> Bool[np.ndarray, "n"]:
        if not self.visited:
            return np.zeros(len(xy_m), dtype=np.bool_)
        gaps = np.linalg.norm(xy_m[:, None] - np.array(self.visited)[None], axis=-1)
        done: Bool[np.ndarray, "n"] = gaps.min(axis=1) < VISITED_M
        return done
