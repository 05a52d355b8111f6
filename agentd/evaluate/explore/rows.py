"""What exploring one house gave: curves, and the measures that are read off them.

Axis letters: t samples of a curve.
"""

import math

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from policies.config import StrategyName

EVERY_STEPS = 10
"""Steps between two samples of a curve."""
METRICS = ("coverage_auc", "things_auc", "t90", "coverage_per_m", "noise_dwell", "coverage")


class ExploreRow(BaseModel):
    """One house explored by one strategy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    house: int
    seed: int
    strategy: StrategyName
    screen: str
    """Category of the noisy screen, "" without one."""
    num_steps: int = Field(ge=1)
    coverage: tuple[float, ...]
    """C(t): share of the reachable floor in the agent's map, every EVERY_STEPS steps."""
    things: tuple[float, ...]
    """Share of the things seen, likewise."""
    path_m: float
    stare_steps: int
    """Steps with the noisy screen in view."""
    bumps: int
    act_ms: float
    """Mean CPU time of one tick without the world."""
    seconds: float

    def metrics(self) -> dict[str, float]:
        """Return the measures of objnav 4.5: AUC is the mean of the curve; t90 the steps to 90 %.

        A house that was never covered to 90 % counts with all steps.
        """
        curve = np.array(self.coverage)
        reached = np.flatnonzero(curve >= 0.9)
        t90 = float(EVERY_STEPS * reached[0]) if len(reached) else float(self.num_steps)
        return {
            "coverage_auc": float(curve.mean()),
            "things_auc": float(np.mean(self.things)),
            "t90": t90,
            "coverage_per_m": float(curve[-1]) / self.path_m if self.path_m else math.inf,
            "noise_dwell": self.stare_steps / self.num_steps,
            "coverage": float(curve[-1]),
        }
