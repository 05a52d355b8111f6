"""Two models on the same windows: how much better one of them is, and how sure that is.

Axis letters: w windows, k horizons, r draws.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float64

HORIZONS = (1, 4, 8)
"""Steps ahead at which prediction is judged."""

_NUM_DRAWS = 4000


class Errors(Protocol):
    """Prediction errors on windows."""

    @property
    def error(self) -> Float64[np.ndarray, "w k"]:
        """Squared error per window and horizon."""
        ...

    @property
    def change(self) -> Float64[np.ndarray, "w k"]:
        """Squared change of the latent, the error of predicting no change."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Relative changes of the normalised error; negative is better.

    Attributes:
        changes: Per horizon.
        uppers: Upper bound of the one-sided 95 % interval, per horizon.
        change: Mean over the horizons.
        upper: Upper bound of the one-sided 95 % interval of the mean.
        num_windows: Windows compared.
    """

    changes: tuple[float, ...]
    uppers: tuple[float, ...]
    change: float
    upper: float
    num_windows: int

    def text(self) -> str:
        """Return the mean and its bound in words."""
        return (
            f"normalised error {self.change:+.1%} (95 % bound {self.upper:+.1%}) on "
            f"{self.num_windows} windows"
        )


def compare(candidate: Errors, reference: Errors, seed: int) -> Paired:
    """Compare two models by a paired bootstrap over the windows.

    Args:
        candidate: Errors of the one that is judged.
        reference: Errors of the other on the same windows, in the same order.
        seed: Draws the bootstrap.
    """
    rng = np.random.default_rng(seed)
    num_windows = len(candidate.error)
    draws = rng.multinomial(num_windows, np.full(num_windows, 1 / num_windows), _NUM_DRAWS)
    point = _relative_changes(candidate, reference, np.ones((1, num_windows)))[0]
    bootstrap = _relative_changes(candidate, reference, draws.astype(np.float64))
    return Paired(
        changes=tuple(float(x) for x in point),
        uppers=tuple(float(x) for x in np.quantile(bootstrap, 0.95, axis=0)),
        change=float(point.mean()),
        upper=float(np.quantile(bootstrap.mean(axis=1), 0.95)),
        num_windows=num_windows,
    )


def _relative_changes(
    candidate: Errors, reference: Errors, counts: Float64[np.ndarray, "r w"]
) -> Float64[np.ndarray, "r k"]:
    """Return per draw and horizon: normalised error over the reference's, minus one."""

    def normalised(r: Errors) -> Float64[np.ndarray, "r k"]:
        return (counts @ r.error) / np.maximum(counts @ r.change, 1e-12)

    return normalised(candidate) / np.maximum(normalised(reference), 1e-12) - 1
