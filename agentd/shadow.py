"""T2 of the gate: two models predict what is lived, off the control thread and on a budget.

Axis letters: w windows, k horizons, d latent.
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future

import numpy as np
from jaxtyping import Float64

from agentd.lived import LivedStep
from learners.paired import HORIZONS, Paired, compare
from policies.protocols import LatentModel

STRETCH = max(HORIZONS)
"""Steps of one window."""


class Surprises:
    """Errors of one model on the stretches that were looked at."""

    def __init__(self) -> None:
        self._rows: list[tuple[list[float], list[float]]] = []

    def add(self, error: list[float], change: list[float]) -> None:
        """Add the squared errors and changes of one stretch, one per horizon."""
        self._rows.append((error, change))

    @property
    def error(self) -> Float64[np.ndarray, "w k"]:
        """Squared error per stretch and horizon."""
        return np.array([error for error, _ in self._rows])

    @property
    def change(self) -> Float64[np.ndarray, "w k"]:
        """Squared change of the latent."""
        return np.array([change for _, change in self._rows])


class Shadow:
    """Compares how a candidate and a reference foresee the life; neither acts through it.

    The loop hands over steps, which costs it an append. Every `STRETCH` steps without a gap make
    one window; the executor encodes and predicts it with both models. While it is busy, or has
    used up its share of a core, windows are left out.

    Args:
        candidate: Model that is judged.
        reference: Model that it is compared with.
        cpu_share: Share of one core that may be used.
        executor: Does the work.
        clock: Seconds.
    """

    def __init__(
        self,
        candidate: LatentModel,
        reference: LatentModel,
        cpu_share: float,
        executor: Executor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models = (candidate, reference)
        self._cpu_share, self._executor, self._clock = cpu_share, executor, clock
        self._stretch: list[LivedStep] = []
        self._work: Future[None] | None = None
        self._free_at_s = -math.inf
        self._surprises = (Surprises(), Surprises())
        self.num_windows = 0
        """Windows compared."""
        self.steps = 0
        """Steps handed over."""
        self.failure: str | None = None
        """Why the candidate cannot even predict, None while it can."""

    def note(self, lived: LivedStep) -> None:
        """Take a step; called by the loop."""
        self.steps += 1
        last = self._stretch[-1] if self._stretch else None
        if lived.is_first or (last is not None and lived.step != last.step + 1):
            self._stretch = []
        self._stretch.append(lived)
        if len(self._stretch) <= STRETCH:
            return
        stretch, self._stretch = self._stretch, [lived]
        is_busy = self._work is not None and not self._work.done()
        if not is_busy and self._clock() >= self._free_at_s and self.failure is None:
            self._work = self._executor.submit(self._look, stretch)

    def compare(self) -> Paired | None:
        """Return how the candidate compares, None before the first window."""
        num_windows = self.num_windows
        if num_windows == 0:
            return None
        candidate, reference = (_Head(s, num_windows) for s in self._surprises)
        return compare(candidate, reference, seed=0)

    def _look(self, stretch: list[LivedStep]) -> None:
        began = self._clock()
        try:
            found = [_predict(model, stretch) for model in self._models]
        except Exception as error:
            self.failure = f"failed on what is lived: {type(error).__name__}: {error}"
            return
        finally:
            spent = self._clock() - began
            self._free_at_s = began + spent / self._cpu_share
        if not all(math.isfinite(x) for part in found[0] for x in part):
            self.failure = f"not finite: its predictions at step {stretch[-1].step}"
            return
        for surprises, (error_, change) in zip(self._surprises, found, strict=True):
            surprises.add(error_, change)
        self.num_windows += 1


class _Head:
    """The first windows only: more may come while they are compared."""

    def __init__(self, surprises: Surprises, num_windows: int) -> None:
        self.error = surprises.error[:num_windows]
        self.change = surprises.change[:num_windows]


def _predict(model: LatentModel, stretch: list[LivedStep]) -> tuple[list[float], list[float]]:
    """Return squared errors and changes at each horizon from the first step of a stretch."""
    start = model.encode(stretch[0].observation, stretch[0].rows)
    plan = np.array(
        [[s.action.v_mps, s.action.w_radps, s.action.duration_s] for s in stretch[:-1]],
        dtype=np.float32,
    )
    rolled = model.rollout(start, plan[None]).z[0]
    error, change = [], []
    for k in HORIZONS:
        truth = model.encode(stretch[k].observation, stretch[k].rows)
        error.append(float(np.square(rolled[k - 1] - truth).sum()))
        change.append(float(np.square(start - truth).sum()))
    return error, change
