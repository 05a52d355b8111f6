"""Strategies that follow a signal of novelty or error, written to the places that were looked at.

All share where signals go and how a place is chosen; they differ in the signal alone. Where a
model acts, they learn on its latents; without a checkpoint on small pictures, with a linear
predictor on random features as a stand-in for the model's error.

References:
    Burda et al. 2019, arXiv:1810.12894 (RND). Pathak et al. 2019, arXiv:1906.04161 and Sekar et
    al. 2020, arXiv:2005.05960 (disagreement). Pathak et al. 2017, arXiv:1705.05363 (raw error).
    Learning-progress monitoring, arXiv:2509.25438 (old expected error - new error, signed).

Axis letters: n places, f features, k outputs.
"""

import math
from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float64

from memory.records import BodySpec, Observation
from policies.layers import Layer
from policies.protocols import LatentModel
from policies.strategies.base import (
    ExploreTarget,
    ExploreView,
    Look,
    frontier_target,
    place_target,
)
from policies.strategies.online import Features, LinearHead, RandomLayer, RunningNorm

CELL_M = 0.75
LOOK_M = 2.5
"""A signal belongs to the place that is looked at, at most this far ahead."""
BACK_M = 0.6
"""And to the floor this far before the surface there."""
KEEP = 0.8
"""Share of a cell's old signal that a new sample leaves."""
W_DISTANCE = 0.15
"""Price per metre, in standard deviations of the signal."""
CLIP = 3.0
NUM_HIDDEN = 128
NUM_TARGETS = 32
RATE = 0.5
NUM_HEADS = 5
SLOW_KEEP = 0.95
"""Share of the slow error model that a new error leaves."""


class Curious(ABC):
    """Goes where the signal is high for its way.

    Attributes:
        unseen: Quantile of the known signals that a place never looked at counts as.
    """

    unseen = 0.9

    def __init__(self, spec: BodySpec, size_m: float, rng: np.random.Generator) -> None:
        self._rng = rng
        self._features = Features(spec)
        self._signal = Layer(CELL_M, size_m)
        self._looks = Layer(CELL_M, size_m)
        self._seen_m = np.zeros((*self._signal.values.shape, 2))
        self._started = ""

    @abstractmethod
    def start(self, num_features: int) -> None:
        """Make new learners for features of this width."""

    @abstractmethod
    def signal(
        self, x: Float64[np.ndarray, "f"], moved: Float64[np.ndarray, "3"], cell: tuple[int, int]
    ) -> float:
        """Return the signal of a frame and learn from it.

        Args:
            x: Features.
            moved: Egomotion that led to the frame.
            cell: Of the layer, that the frame looks at.
        """

    def use_model(self, model: LatentModel | None) -> None:
        """Learn on the latents of another model."""
        self._features.use_model(model)

    def clear(self, origin_m: tuple[float, float], *, known: bool = False) -> None:
        """Forget all signals of the place; what was learned is kept."""
        self._signal.clear(origin_m)
        self._looks.clear(origin_m)

    def note(self, look: Look) -> None:
        """Write the signal of a frame to the place that is looked at."""
        if not (np.isfinite(look.pose).all() and np.isfinite(look.observation.egomotion).all()):
            return  # one number that is none would stay in what is learned for ever
        x = self._features.of(look)
        if self._started != self._features.kind:
            self._started = self._features.kind
            self.start(len(x))
            self._signal.values[:] = 0
            self._looks.values[:] = 0
        ahead_m = _depth_ahead_m(look.observation)
        heading = np.array([math.cos(look.pose[2]), math.sin(look.pose[2])])
        place = look.pose[:2] + heading * min(max(ahead_m - BACK_M, 0.0), LOOK_M)
        cell = self._signal.cell(place)
        value = self.signal(x, look.observation.egomotion.astype(np.float64), cell)
        if cell[0] < 0 or not math.isfinite(value):
            return
        is_first = self._looks.values[cell] == 0
        self._signal.blend(place, value, 0.0 if is_first else KEEP)
        self._looks.values[cell] += 1
        self._seen_m[cell] = look.pose[:2] + heading * ahead_m

    def values(self, xy_m: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n"]:
        """Return the signal at places, in standard deviations above the mean, cut at CLIP."""
        known = self._signal.values[self._looks.values > 0].astype(np.float64)
        if known.size == 0:
            return np.zeros(len(xy_m))
        spread = max(float(known.std()), 1e-9)
        unseen = float(np.quantile(known, self.unseen))
        raw = np.where(self._looks.at(xy_m) > 0, self._signal.at(xy_m), unseen)
        return np.clip((raw - known.mean()) / spread, -CLIP, CLIP)

    def choose(self, view: ExploreView) -> ExploreTarget | None:
        """Return the place or frontier with the highest signal less the price of its way."""
        cells = view.places()
        num_places = len(cells)
        stands = np.array([f.stand_cell for f in view.frontiers], dtype=np.int64).reshape(-1, 2)
        cells = np.concatenate([cells, stands])
        if len(cells) == 0:
            return None
        xy_m = view.terrain.centers_m(cells)
        xy_m[num_places:] = [f.xy_m for f in view.frontiers] or np.empty((0, 2))
        values = self.values(xy_m)
        distance = view.from_body.values_m[cells[:, 0], cells[:, 1]]
        best = int(np.argmax(values - W_DISTANCE * distance))
        why = f"{values[best]:+.1f} spreads of signal"
        if best >= num_places:
            return frontier_target(view.frontiers[best - num_places], why)
        cell = self._signal.cell(xy_m[best])
        if self._looks.values[cell] == 0:
            return place_target(view, cells[best], why)
        seen = self._seen_m[cell]
        return place_target(view, cells[best], why, (float(seen[0]), float(seen[1])))


class Novelty(Curious):
    """RND: how badly a trained net follows a fixed random one."""

    def start(self, num_features: int) -> None:
        """Make the two nets."""
        self._norm = RunningNorm(num_features)
        self._target = RandomLayer(num_features, NUM_TARGETS, self._rng)
        self._head = LinearHead(num_features, NUM_HIDDEN, NUM_TARGETS, self._rng)

    def signal(
        self, x: Float64[np.ndarray, "f"], moved: Float64[np.ndarray, "3"], cell: tuple[int, int]
    ) -> float:
        """Return the squared error on the random target."""
        normal = self._norm.update(x)
        return _mean_square(self._head.learn(normal, self._target(normal), RATE))


class Predicting(Curious):
    """Shared by the strategies that predict the next frame from the last one and the motion."""

    num_heads = 1

    def start(self, num_features: int) -> None:
        """Make the heads, and the random code of a frame that they predict."""
        self._norm = RunningNorm(num_features)
        self._code = RandomLayer(num_features, NUM_TARGETS, self._rng)
        width = num_features + 3
        self._heads = [
            LinearHead(width, NUM_HIDDEN, NUM_TARGETS, self._rng) for _ in range(self.num_heads)
        ]
        self._before: Float64[np.ndarray, "f"] | None = None

    def signal(
        self, x: Float64[np.ndarray, "f"], moved: Float64[np.ndarray, "3"], cell: tuple[int, int]
    ) -> float:
        """Return what the heads make of the step from the last frame to this one."""
        normal = self._norm.update(x)
        before, self._before = self._before, normal
        if before is None:
            return math.nan
        return self.judge(np.concatenate([before, 5.0 * moved]), self._code(normal), cell)

    @abstractmethod
    def judge(
        self, x: Float64[np.ndarray, "f"], y: Float64[np.ndarray, "k"], cell: tuple[int, int]
    ) -> float:
        """Return the signal of a step and learn from it."""


class Surprise(Predicting):
    """Raw prediction error. Attracted to noise: it is here to be compared with."""

    unseen = 0.5

    def judge(
        self, x: Float64[np.ndarray, "f"], y: Float64[np.ndarray, "k"], cell: tuple[int, int]
    ) -> float:
        """Return the squared error."""
        return _mean_square(self._heads[0].learn(x, y, RATE))


class Disagreement(Predicting):
    """How far an ensemble that saw different samples is apart."""

    num_heads = NUM_HEADS

    def judge(
        self, x: Float64[np.ndarray, "f"], y: Float64[np.ndarray, "k"], cell: tuple[int, int]
    ) -> float:
        """Return the mean standard deviation over the heads."""
        spread = np.std([head.predict(x) for head in self._heads], axis=0)
        for head in self._heads:
            if self._rng.random() < 0.5:
                head.learn(x, y, RATE)
        return float(spread.mean())


class Progress(Predicting):
    """Signed learning progress: the error that was usual at a place less the error now.

    The slow error model is a running mean per place. Noise is as wrong as it was, so that its
    progress is zero however large its error.
    """

    def start(self, num_features: int) -> None:
        """Make the predictor and an empty error model."""
        super().start(num_features)
        self._slow = np.full(self._signal.values.shape, np.nan)

    def clear(self, origin_m: tuple[float, float], *, known: bool = False) -> None:
        """Forget the place."""
        super().clear(origin_m, known=known)
        self._slow = np.full(self._signal.values.shape, np.nan)

    def judge(
        self, x: Float64[np.ndarray, "f"], y: Float64[np.ndarray, "k"], cell: tuple[int, int]
    ) -> float:
        """Return the slow error of the place less the new one."""
        error = _mean_square(self._heads[0].learn(x, y, RATE))
        if cell[0] < 0:
            return math.nan
        slow = self._slow[cell]
        if math.isnan(slow):
            self._slow[cell] = error
            return math.nan
        self._slow[cell] = SLOW_KEEP * slow + (1 - SLOW_KEEP) * error
        return float(slow) - error


def _mean_square(error: Float64[np.ndarray, "k"]) -> float:
    return float(np.mean(np.square(error)))


def _depth_ahead_m(observation: Observation) -> float:
    """Return the median depth in the middle of the picture, LOOK_M where nothing returns."""
    height, width = observation.depth_m.shape
    middle = observation.depth_m[height // 3 : height // 2 + 1, width // 3 : 2 * width // 3 + 1]
    known = middle[np.isfinite(middle) & (middle > 0)]
    return float(np.median(known)) if known.size else LOOK_M
