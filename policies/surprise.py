"""Calibrated surprise: how unusual a prediction error is in its context."""

import math

import numpy as np

from memory.records import Action, Observation

MEMORY_STEPS = 400
"""Steps over which a context's mean and variance forget."""
WARM_UP = 20
"""Errors a context needs before its surprise counts."""
CONTEXTS = ("still", "turn", "forward", "forward_near", "bumped")
LIMIT = 8.0


def context_of(action: Action, observation: Observation) -> str:
    """Return the kind of step that led to an observation: their errors are not comparable.

    Args:
        action: What was applied.
        observation: What was sensed afterwards.
    """
    if observation.bumped:
        return "bumped"
    if action.v_mps > 0.05:
        middle = observation.depth_m[:, observation.depth_m.shape[1] // 3 :]
        near = np.nan_to_num(middle, nan=np.inf)
        return "forward_near" if float(np.partition(near.ravel(), 32)[32]) < 0.7 else "forward"
    return "turn" if abs(action.w_radps) > 0.05 else "still"


class SurpriseMeter:
    """Scores log errors against the running mean and variance of their context.

    A constant level of noise becomes the mean of its context and surprises nobody.
    """

    def __init__(self) -> None:
        self._model = ""
        self._stats: dict[str, tuple[int, float, float]] = {}

    def update(self, context: str, error: float) -> float:
        """Return the surprise of one error and learn from it.

        Args:
            context: Kind of step, see `context_of`.
            error: Prediction error of the model, >= 0.

        Returns:
            Standard deviations above the usual, in [-8, 8]; NaN while the context is new or the
            error is not finite.
        """
        if not math.isfinite(error) or error < 0:
            return math.nan
        value = math.log(error + 1e-8)
        count, mean, variance = self._stats.get(context, (0, 0.0, 0.0))
        u = math.nan
        if count >= WARM_UP:
            u = (value - mean) / math.sqrt(max(variance, 1e-6))
            u = min(max(u, -LIMIT), LIMIT)
            # A shock is reported in full but may not drag the calibration along with it.
            bound = 4.0 * math.sqrt(max(variance, 1e-6))
            value = min(max(value, mean - bound), mean + bound)
        count += 1
        rate = 1.0 / min(count, MEMORY_STEPS)
        delta = value - mean
        mean += rate * delta
        variance = (1.0 - rate) * (variance + rate * delta * delta)
        self._stats[context] = (count, mean, variance)
        return u

    def reset_model(self, checkpoint_id: str) -> None:
        """Start the calibration over when another model predicts."""
        if checkpoint_id != self._model:
            self._model = checkpoint_id
            self._stats.clear()
