"""Small learners that are trained while the body drives: numpy only, a fraction of a millisecond.

Axis letters: f features, k outputs, m hidden units.
"""

import numpy as np
from jaxtyping import Float64

from memory.records import BodySpec
from policies.protocols import LatentModel
from policies.strategies.base import Look

PICTURE_SIDE = 12
"""Side of the picture that stands for a frame where no model acts."""
CLIP = 5.0
"""Normalised inputs are cut here (Burda et al. 2019)."""


class Features:
    """What a frame is to the learners: the latent of the model that acts, else a small picture.

    Without a checkpoint the picture is nearest-neighbour samples of colour and depth.

    Attributes:
        kind: Identifier of the space that the features live in; it changes with the model.
    """

    def __init__(self, spec: BodySpec) -> None:
        self._spec = spec
        self._model: LatentModel | None = None
        self.kind = "picture"

    def use_model(self, model: LatentModel | None) -> None:
        """Take latents of another model from now on."""
        self._model = model
        self.kind = "picture" if model is None else model.checkpoint_id

    def of(self, look: Look) -> Float64[np.ndarray, "f"]:
        """Return the features of a frame."""
        if self._model is not None:
            return self._model.encode(look.observation, look.objects).astype(np.float64)
        height, width = look.observation.depth_m.shape
        rows = (np.arange(PICTURE_SIDE) + 0.5) * height / PICTURE_SIDE
        columns = (np.arange(PICTURE_SIDE) + 0.5) * width / PICTURE_SIDE
        at = np.ix_(rows.astype(np.int64), columns.astype(np.int64))
        far_m = self._spec.depth_max_m
        depth = np.nan_to_num(look.observation.depth_m[at], nan=far_m, posinf=far_m) / far_m
        return np.concatenate([look.observation.rgb[at].ravel() / 255.0, depth.ravel()])


class RunningNorm:
    """Subtracts the running mean and divides by the running deviation, and cuts at CLIP."""

    def __init__(self, dim: int) -> None:
        self._count = 1e-4
        self._mean = np.zeros(dim)
        self._square = np.ones(dim) * 1e-4

    def update(self, x: Float64[np.ndarray, "f"]) -> Float64[np.ndarray, "f"]:
        """Learn from a sample and return it normalised (Welford 1962)."""
        self._count += 1
        delta = x - self._mean
        self._mean += delta / self._count
        self._square += delta * (x - self._mean)
        spread = np.sqrt(self._square / self._count) + 1e-4
        return np.clip((x - self._mean) / spread, -CLIP, CLIP)


class RandomLayer:
    """A fixed random projection and tanh."""

    def __init__(self, num_in: int, num_out: int, rng: np.random.Generator) -> None:
        self._weights = rng.normal(0.0, 1.0 / np.sqrt(num_in), (num_in, num_out))
        self._shift = rng.normal(0.0, 0.5, num_out)

    def __call__(self, x: Float64[np.ndarray, "f"]) -> Float64[np.ndarray, "m"]:
        """Return the hidden units."""
        return np.tanh(x @ self._weights + self._shift)


class LinearHead:
    """A linear map on random features, trained by normalised least mean squares.

    References:
        Nagumo and Noda 1967 (NLMS): W += rate * error * h / |h|^2.
    """

    def __init__(
        self, num_in: int, num_hidden: int, num_out: int, rng: np.random.Generator
    ) -> None:
        self._hidden = RandomLayer(num_in, num_hidden, rng)
        self._weights = np.zeros((num_hidden, num_out))

    def predict(self, x: Float64[np.ndarray, "f"]) -> Float64[np.ndarray, "k"]:
        """Return the prediction."""
        out: Float64[np.ndarray, "k"] = self._hidden(x) @ self._weights
        return out

    def learn(
        self, x: Float64[np.ndarray, "f"], y: Float64[np.ndarray, "k"], rate: float
    ) -> Float64[np.ndarray, "k"]:
        """Move towards the truth; return the error before that."""
        hidden = self._hidden(x)
        error: Float64[np.ndarray, "k"] = y - hidden @ self._weights
        self._weights += rate * np.outer(hidden, error) / (1.0 + hidden @ hidden)
        return error
