"""What the learner still gets better at, stretch of life by stretch of life.

    p = c beta^v + (LP + eps)^alpha,  LP = max(0, e_old - e - spread)

v visits, e a fast and e_old a slow running mean of the prediction error of the windows that begin
in the stretch, spread the mean step from one visit's error to the next visit's expectation. Errors
that stay high without falling have no progress: taking the spread off leaves next to nothing of
what chance alone would make of e_old - e.

Axis letters: b windows of a batch, k stretches.

References:
    Kauvar et al. 2023, Curious Replay, arXiv:2306.15934, Eq. (1), with the loss replaced by signed
    learning progress (Hou et al. 2025, arXiv:2509.25438): loss alone is attracted to noise.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, Float64, Int64

from memory.config import CuriosityConfig
from memory.replay.growing import Growing

_FAST, _SLOW, _SPREAD = 0.5, 0.1, 0.3
_NAMES = ("visits", "slow", "fast", "spread")


class Curiosity:
    """Visits and errors of every stretch of life: 16 bytes per stretch.

    Only what was trained on changes it. It is saved with the checkpoint that it describes.

    Args:
        config: Settings.
    """

    def __init__(self, config: CuriosityConfig) -> None:
        self.config = config
        self._of = {name: Growing(np.float32) for name in _NAMES}

    def __len__(self) -> int:
        return len(self._of["visits"])

    def stretch(self, step: Int64[np.ndarray, "*b"]) -> Int64[np.ndarray, "*b"]:
        """Return the number of the stretch that steps lie in."""
        return step // self.config.stretch_steps

    def learn(
        self, step: Int64[np.ndarray, "b"], error: Float32[np.ndarray, "b"]
    ) -> Int64[np.ndarray, "k"]:
        """Take in the errors of a batch that was trained on.

        Args:
            step: First step of each window.
            error: Its prediction error before the update.

        Returns:
            The stretches whose priority changed.
        """
        stretches, at = np.unique(self.stretch(step), return_inverse=True)
        count = np.bincount(at)
        now = (np.bincount(at, weights=error) / count).astype(np.float32)
        size = max(len(self), int(stretches[-1]) + 1)
        for values in self._of.values():
            values.resize(size)
        visits, slow, fast, spread = (self._of[name].values for name in _NAMES)
        before = visits[stretches]
        is_first = before == 0
        step_size = np.abs(now - fast[stretches])
        rate = np.maximum(_SPREAD, 1 / np.maximum(before, 1))
        spread[stretches] += np.where(is_first, 0, rate * (step_size - spread[stretches]))
        fast[stretches] += np.where(is_first, 1, _FAST) * (now - fast[stretches])
        slow[stretches] += np.where(is_first, 1, _SLOW) * (now - slow[stretches])
        visits[stretches] = before + 1
        return stretches

    def progress(self, stretches: Int64[np.ndarray, "k"]) -> Float64[np.ndarray, "k"]:
        """Return the learning progress LP of stretches, 0 for those never visited."""
        _, slow, fast, spread = self._values(stretches)
        return np.maximum(0.0, slow - fast - spread)

    def priority(self, stretches: Int64[np.ndarray, "k"]) -> Float64[np.ndarray, "k"]:
        """Return the priority p of a window that begins in each of some stretches."""
        config = self.config
        visits, *_ = self._values(stretches)
        curious = (self.progress(stretches) + config.epsilon) ** config.alpha
        return config.count_weight * config.beta**visits + curious

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the state, to be saved."""
        stretch_steps = np.array([self.config.stretch_steps], dtype=np.int64)
        return {name: self._of[name].values.copy() for name in _NAMES} | {
            "stretch_steps": stretch_steps
        }

    @classmethod
    def of_arrays(cls, config: CuriosityConfig, arrays: Mapping[str, np.ndarray]) -> "Curiosity":
        """Return a saved state; a fresh one if it was made with stretches of another length.

        Raises:
            ValueError: If arrays are missing or do not fit together.
        """
        made = cls(config)
        if set(arrays) != {*_NAMES, "stretch_steps"}:
            raise ValueError(f"expected the arrays {[*_NAMES, 'stretch_steps']}, got {[*arrays]}")
        if len({len(arrays[name]) for name in _NAMES}) != 1:
            raise ValueError("the arrays of a curiosity state differ in length")
        if int(arrays["stretch_steps"][0]) == config.stretch_steps:
            for name in _NAMES:
                made._of[name].extend(arrays[name])
        return made

    def _values(self, stretches: Int64[np.ndarray, "k"]) -> list[Float64[np.ndarray, "k"]]:
        known = stretches < len(self)
        inside = np.where(known, stretches, 0)
        if len(self) == 0:
            return [np.zeros(len(stretches)) for _ in _NAMES]
        return [
            np.where(known, self._of[name].values[inside], 0.0).astype(np.float64)
            for name in _NAMES
        ]
