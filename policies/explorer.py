"""Where to go on one's own account: what the strategy wants to see, then another look at places.

Axis letters: n places.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from memory.records import BodySpec
from policies.alarms import Alarms
from policies.config import ExploreConfig
from policies.frontiers import Frontier, UnreachableSet, find_frontiers
from policies.geodesic import Field, Terrain
from policies.layers import ProgressMap
from policies.protocols import LatentModel
from policies.semantics import worth_heeding
from policies.strategies.base import ExploreTarget, ExploreView, Look, spaced_places
from policies.strategies.make import make_strategy

REVISIT_MIN_M = 1.0
W_REVISIT_DISTANCE = 0.05
W_OLDEST = 0.7
ROUND_S = 60.0
AGE_MIDDLE_S = 600.0
"""Age at which another look is worth half of a fresh frontier."""
AGE_SPREAD_S = 600.0
LIKELY = "the likeliest by what stands there"
Semantics = Callable[[Float64[np.ndarray, "f 2"]], Float64[np.ndarray, "f"]]


class Explorer:
    """Asks the strategy where to discover something; then re-visits by age and progress.

    Attributes:
        unreachable: Places that failed; they are not offered again.
        progress: Learning progress per place.
        alarms: Places that surprised.
        strategy: Chooses where to go.
        frontiers: Those of the last choice, for display.
    """

    def __init__(
        self,
        config: ExploreConfig,
        size_m: float,
        spec: BodySpec,
        rng: np.random.Generator,
    ) -> None:
        self._config = config
        self._tick_s = spec.tick_s
        self.progress = ProgressMap(size_m)
        self.alarms = Alarms()
        self.strategy = make_strategy(config.strategy, spec, size_m, rng)
        self.clear((0.0, 0.0))

    def clear(self, origin_m: tuple[float, float], *, known: bool = False) -> None:
        """Forget everything about the place; `known` if its map was lived in before."""
        self.unreachable = UnreachableSet()
        self.progress.layer.clear(origin_m)
        self.alarms.clear()
        self.strategy.clear(origin_m, known=known)
        self.frontiers: list[Frontier] = []

    def note(self, look: Look) -> None:
        """Take in a tick."""
        self.strategy.note(look)
        self.alarms.note(look.pose, look.surprise, look.step)

    def use_model(self, model: LatentModel | None) -> None:
        """Swap the model between two steps."""
        self.strategy.use_model(model)

    def choose(
        self,
        terrain: Terrain,
        from_body: Field,
        pose: Float64[np.ndarray, "3"],
        step: int,
        *,
        semantics: Semantics | None = None,
    ) -> ExploreTarget | None:
        """Return where the strategy would go, None when nothing is left to discover.

        Args:
            terrain: Known part of the map.
            from_body: Distances from the body.
            pose: x_m, y_m, yaw_rad of the body.
            step: Now.
            semantics: Values of places for what is looked for, heeded by our own strategy where
                they tell the frontiers apart; see `policies.semantics`.
        """
        self.unreachable.expire(step)
        self.frontiers = find_frontiers(
            terrain, from_body, self.unreachable, self._config.min_frontier_m
        )
        offered, heeded = self.frontiers, None
        if semantics is not None and self.frontiers and self._config.strategy == "information":
            values = semantics(np.array([f.xy_m for f in self.frontiers]))
            heeded = worth_heeding(values, np.array([f.distance_m for f in self.frontiers]))
        if heeded is not None:
            offered = [f for f, keep in zip(self.frontiers, heeded, strict=True) if keep]
        target = self.strategy.choose(
            ExploreView(
                terrain=terrain,
                from_body=from_body,
                frontiers=offered,
                unreachable=self.unreachable,
                pose=pose,
                step=step,
            )
        )
        if target is None or heeded is None or target.kind != "frontier":
            return target
        return replace(target, reason=f"{target.reason}, {LIKELY}")

    def choose_revisit(
        self,
        terrain: Terrain,
        from_body: Field,
        step: int,
    ) -> ExploreTarget | None:
        """Return the place whose second look is worth most.

        Args:
            terrain: Known part of the map.
            from_body: Distances from the body.
            step: Now.
        """
        cells = spaced_places(terrain, from_body, self.unreachable, REVISIT_MIN_M)
        i, j = cells[:, 0], cells[:, 1]
        seen, distance = terrain.seen_step[i, j], from_body.values_m[i, j]
        if len(cells) == 0:
            return None
        xy = terrain.centers_m(cells)
        age_s = (step - seen) * self._tick_s
        value = 1.0 / (1.0 + np.exp(-(age_s - AGE_MIDDLE_S) / AGE_SPREAD_S))
        # In a young life nothing is old: the round goes to what was left alone longest.
        value = np.maximum(value, W_OLDEST * age_s / max(float(age_s.max()), ROUND_S))
        bonus, alarm = self.progress.bonus(xy), self.alarms.worth(xy)
        best = int(np.argmax(value + bonus + alarm - W_REVISIT_DISTANCE * distance))
        why = f"not seen for {step - int(seen[best])} steps"
        if bonus[best] > 0.5:
            why += f", the model still learns there ({bonus[best]:.1f} spreads of progress)"
        if alarm[best] > 0:
            why += ", something was other than expected there"
        return ExploreTarget(
            kind="revisit",
            xy_m=(float(xy[best, 0]), float(xy[best, 1])),
            stand_cell=cells[best],
            distance_m=float(distance[best]),
            reason=f"place {distance[best]:.1f} m away {why}",
        )

    def save(self) -> dict[str, np.ndarray]:
        """Return the arrays that `load` takes."""
        items: Sequence = self.unreachable.items
        return {
            "explore_unreachable": np.array(
                [(*item.xy_m, item.step) for item in items], dtype=np.float64
            ).reshape(-1, 3),
            "explore_reasons": np.array([item.reason for item in items], dtype=np.str_),
            "explore_progress": self.progress.layer.values.copy(),
        }

    def load(self, arrays: dict[str, np.ndarray], origin_m: tuple[float, float]) -> None:
        """Take over what was saved for the map with this origin.

        Raises:
            ValueError: If the progress layer has another size.
        """
        self.clear(origin_m, known=True)
        values = arrays["explore_progress"]
        if values.shape != self.progress.layer.values.shape:
            raise ValueError(
                f"saved progress layer has {values.shape} cells, "
                f"accepted are {self.progress.layer.values.shape}"
            )
        self.progress.layer.values[:] = values
        rows = zip(arrays["explore_unreachable"], arrays["explore_reasons"], strict=True)
        for (x, y, step), reason in rows:
            self.unreachable.add((float(x), float(y)), str(reason), int(step))
