"""Small networks in plain numpy: for a few dozen plans torch costs more than the products.

Axis letters: s plans, t time, d latent, e conditioning.
"""

from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float32
from scipy.special import erf
from torch import nn

from learners.batch import tensor
from learners.parts.kinds import LatentPredictor
from learners.parts.reactive import Reactive
from learners.parts.steered import SteeredPredictor
from learners.predictor import Predictor

_EPS = 1e-5


class Rollouts(Protocol):
    """Rolls plans out from one latent."""

    def rollout(
        self, z: Float32[np.ndarray, "d"], actions: Float32[np.ndarray, "s t 2"]
    ) -> Float32[np.ndarray, "s t d"]:
        """Return the latents after each action of each plan.

        Args:
            z: Latent now.
            actions: In units of `learners.batch.Scale`.
        """
        ...


def rollouts_of(predictor: LatentPredictor) -> Rollouts:
    """Return the quickest way to roll a predictor's plans out."""
    if isinstance(predictor, SteeredPredictor):
        return PredictorForward(predictor.steps)
    return TorchForward(predictor)


class TorchForward:
    """Rollouts of any predictor, by torch itself."""

    def __init__(self, predictor: LatentPredictor) -> None:
        self._predictor = predictor

    @torch.inference_mode()
    def rollout(
        self, z: Float32[np.ndarray, "d"], actions: Float32[np.ndarray, "s t 2"]
    ) -> Float32[np.ndarray, "s t d"]:
        """Return the latents after each action of each plan; see `Rollouts`."""
        start = tensor(z).expand(len(actions), -1)
        return self._predictor.rollout(start, tensor(actions)).numpy()


class PredictorForward:
    """What `Predictor.rollout` computes, from a copy of its weights, to float32 rounding."""

    def __init__(self, predictor: Predictor) -> None:
        first, _, second, _ = predictor.condition
        self._condition = [_affine(first), _affine(second)]
        self._steer = _affine(predictor.steer)
        self._blocks = [
            (_affine(b.get_submodule("enter")), _affine(b.get_submodule("leave")))
            for b in predictor.blocks
        ]

    def rollout(
        self, z: Float32[np.ndarray, "d"], actions: Float32[np.ndarray, "s t 2"]
    ) -> Float32[np.ndarray, "s t d"]:
        """Return the latents after each action of each plan, all from one latent.

        Args:
            z: Latent now.
            actions: In units of `learners.batch.Scale`.
        """
        s, t, _ = actions.shape
        out = np.empty((s, t, z.size), dtype=np.float32)
        now = np.repeat(z[None], s, axis=0)
        parts: np.ndarray | None = None
        for k in range(t):
            # Planned actions are held for several steps: what they steer is computed once.
            if parts is None or not np.array_equal(actions[:, k], actions[:, k - 1]):
                parts = self._steered(actions[:, k])
            now = self._advance(now, parts)
            out[:, k] = now
        return out

    def _steered(self, action: Float32[np.ndarray, "s 2"]) -> Float32[np.ndarray, "k s d"]:
        """Return scale plus one, shift and gate of each block, one after the other."""
        x = action
        for weight, bias in self._condition:
            x = _gelu(x @ weight + bias)
        weight, bias = self._steer
        steer = (x @ weight + bias).reshape(len(x), 3 * len(self._blocks), -1)
        parts = np.ascontiguousarray(steer.transpose(1, 0, 2))
        parts[::3] += 1
        return parts

    def _advance(
        self, z: Float32[np.ndarray, "s d"], parts: Float32[np.ndarray, "k s d"]
    ) -> Float32[np.ndarray, "s d"]:
        dim = np.float32(z.shape[1])
        for i, ((enter, enter_bias), (leave, leave_bias)) in enumerate(self._blocks):
            scale, shift, gate = parts[3 * i : 3 * i + 3]
            x = z - (z.sum(axis=1, keepdims=True) / dim)
            spread = np.einsum("sd,sd->s", x, x)[:, None] / dim
            x *= 1 / np.sqrt(spread + np.float32(_EPS))
            x *= scale
            x += shift
            x = x @ enter
            x += enter_bias
            np.maximum(x, 0, out=x)
            x = x @ leave
            x += leave_bias
            x *= gate
            x += z
            z = x
        return z


class ReactiveForward:
    """What `learners.parts.reactive.Reactive` computes, from a copy of its weights."""

    def __init__(self, reactive: Reactive) -> None:
        self._layers = [_affine(x) for x in (reactive.enter, reactive.inner, reactive.leave)]
        self._gain = reactive.gain.detach().numpy().copy()

    def act(
        self, z: Float32[np.ndarray, "d"], goal_m: Float32[np.ndarray, "2"]
    ) -> Float32[np.ndarray, "2"]:
        """Return the action in units of `learners.batch.Scale`.

        Args:
            z: Latent now.
            goal_m: Place to go to, x forward and y left of the body.
        """
        bearing = np.arctan2(goal_m[1], goal_m[0])
        x = np.concatenate([z, goal_m, [np.hypot(*goal_m), bearing]], dtype=np.float32)
        for weight, bias in self._layers[:-1]:
            x = np.maximum(x @ weight + bias, 0)
        weight, bias = self._layers[-1]
        facing = np.array([max(np.cos(bearing), 0.0) ** 2, bearing], dtype=np.float32)
        action: Float32[np.ndarray, "2"] = x @ weight + bias
        return np.clip(self._gain * facing, -1, 1) + action


def _affine(layer: nn.Module) -> tuple[Float32[np.ndarray, "e d"], Float32[np.ndarray, "d"]]:
    """Return weights that rows are multiplied with from the left, and biases."""
    weight, bias = (layer.get_parameter(n).detach().numpy() for n in ("weight", "bias"))
    return np.ascontiguousarray(weight.T), bias.copy()


def _gelu(x: Float32[np.ndarray, "s e"]) -> Float32[np.ndarray, "s e"]:
    half: Float32[np.ndarray, "s e"] = 0.5 * x * (1 + erf(x * np.float32(0.5**0.5)))
    return half
