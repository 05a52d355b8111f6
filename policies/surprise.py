"""Calibrated surprise: how unusual a prediction error is in its context."""

import math

MEMORY_STEPS = 400
"""Steps over which a context's mean and variance forget."""
WARM_UP = 20
"""Errors a context needs before its surprise counts."""
LIMIT = 8.0


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
            context: Kind of step (turning, near a wall, ...): their errors are not comparable.
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
