"""What surprise is: how far a frame is from what model, memory and map expect, calibrated.

Two expectations are checked. The model's: the error of its prediction, in standard deviations of
its context, less what is usual at this place, so that noise which nobody can foresee stops
surprising (as learning progress would: an error that does not fall is no news). The memory's: how
improbable the frame is given the remembered objects and the map (`contradiction_nats`), summed over
a few frames; it falls by itself as the memory doubts what it misses.

The larger of the two is the surprise. Its unit is the standard deviation, `ALARM` of which are
unusual; tails heavier than that are shrunk, so that at most `TAIL` of the lived steps reach it for
either reason.

References:
    Maes et al. 2026, arXiv:2603.19312 (violation of expectation by the error of prediction).
    Lopes et al. 2012, NIPS, Exploration by empirically estimating learning progress.
"""

import math
from collections import deque
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64

MEMORY_STEPS = 400
"""Steps over which a context's mean and variance forget."""
WARM_UP = 20
"""Errors a context needs before its surprise counts."""
LIMIT = 8.0

ALARM = 3.0
"""Surprise from which something is out of the ordinary."""
TAIL = 0.01
"""Share of the newest steps that may reach it."""

_TAIL_STEPS = 2000
_TAIL_EVERY = 50
_FAMILIAR_STEPS = 8
"""Errors at a place before they are usual there."""
_PLACE_STEPS = 40
"""Errors over which a place forgets."""
_KEPT_PLACES = 20_000
_ALARM_NATS = 2.0
"""Improbability that amounts to an alarm: a remembered object that was missed twice."""
_INTRUDER_NATS = 4.0
"""Improbability of an object where the map saw nothing but air."""
_LEAK = 0.8
"""Share of the memory's improbability that is left a step later."""

Place = tuple[int, int, int]
"""Square of the floor and sector of the heading."""


def place_of(x_m: float, y_m: float, yaw_rad: float) -> Place:
    """Return where errors are alike: a square metre, seen in one of eight directions."""
    return math.floor(x_m), math.floor(y_m), round(yaw_rad / (math.pi / 4)) % 8


def contradiction_nats(
    missed_nats: float,
    fresh_m: Float64[np.ndarray, "m p 3"],
    is_free: Callable[[Float64[np.ndarray, "p 2"]], Bool[np.ndarray, "p"]],
) -> float:
    """Return how improbable a frame is given what is remembered.

    Args:
        missed_nats: Of objects that should have been seen; see `memory.objects.news.News`.
        fresh_m: World points on each object that no remembered one stands for.
        is_free: Which points of the floor the map knew as free before this frame.
    """
    intruded = sum(float(is_free(points_m[:, :2]).mean()) for points_m in fresh_m)
    return missed_nats + _INTRUDER_NATS * intruded


class SurpriseMeter:
    """Scores log errors against the running mean and variance of their context.

    A constant level of noise becomes the mean of its context and surprises nobody.
    """

    def __init__(self) -> None:
        self._model = ""
        self._stats: dict[str, tuple[int, float, float]] = {}
        self._usual: dict[Place, tuple[int, float]] = {}
        self._nats = 0.0
        self._error_tail, self._nats_tail = _Tail(), _Tail()

    def update(
        self, context: str, place: Place, error: float, contradiction_nats: float = 0.0
    ) -> float:
        """Return the surprise of one frame and learn from it.

        Args:
            context: Kind of step (turning, near a wall, ...): their errors are not comparable.
            place: See `place_of`.
            error: Prediction error of the model, >= 0; NaN without a prediction.
            contradiction_nats: See the function of this name.

        Returns:
            About standard deviations above the usual, in [-8, 8]; NaN if the memory is not
            contradicted and the context is new or the error is not finite.
        """
        u = self._error_tail.shrunk(self._less_usual(place, self._deviation(context, error)))
        self._nats = _LEAK * self._nats + contradiction_nats
        contradicted = self._nats_tail.shrunk(ALARM * self._nats / _ALARM_NATS)
        if math.isnan(u):
            return min(contradicted, LIMIT) if contradicted >= ALARM else math.nan
        return min(max(u, contradicted), LIMIT) if contradicted > 0 else u

    def _deviation(self, context: str, error: float) -> float:
        """Return the standard deviations of a log error above its context's; learn from it."""
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

    def _less_usual(self, place: Place, u: float) -> float:
        """Return what is left of a deviation once what is usual at a place is taken off."""
        if math.isnan(u):
            return u
        count, usual = self._usual.pop(place, (0, 0.0))
        left = u - max(usual, 0.0) if count >= _FAMILIAR_STEPS else u
        count += 1
        # Put at the end: what goes first is what was not visited for longest.
        self._usual[place] = count, usual + (u - usual) / min(count, _PLACE_STEPS)
        if len(self._usual) > _KEPT_PLACES:
            del self._usual[next(iter(self._usual))]
        return left

    def reset_model(self, checkpoint_id: str) -> None:
        """Start the calibration over when another model predicts."""
        if checkpoint_id != self._model:
            self._model = checkpoint_id
            self._stats.clear()
            self._usual.clear()
            self._error_tail = _Tail()


class _Tail:
    """Shrinks values so that few of the newest ones reach `ALARM`."""

    def __init__(self) -> None:
        self._newest: deque[float] = deque(maxlen=_TAIL_STEPS)
        self._high = ALARM
        self._due = _TAIL_EVERY

    def shrunk(self, value: float) -> float:
        """Return a value over how much too high the tail before it was; NaN stays NaN."""
        if math.isnan(value):
            return value
        out = value * min(ALARM / self._high, 1.0)
        self._newest.append(value)
        self._due -= 1
        if self._due == 0:
            self._due = _TAIL_EVERY
            self._high = max(float(np.quantile(list(self._newest), 1 - TAIL)), ALARM)
        return out
