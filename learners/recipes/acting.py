"""A recipe's model for acting: numpy in, numpy out, no gradients.

Axis letters: s plans, t time, d latent, n rows, k objects, f features.
"""

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from learners.batch import Scale, Windows, tensor, to_ego, to_geometry, to_image
from learners.errors import RecipeError
from learners.forward import ReactiveForward
from learners.recipes.model import ComposedModel
from memory.records import NUM_OBJECTS, BodySpec, Observation, Rollout

NEEDED = ("predictor", "motion", "quasi_distance", "reactive")


class ComposedActor:
    """Satisfies the planner's `LatentModel` and `ReactivePolicy`.

    Args:
        model: Trained, with the parts that `NEEDED` names.
        spec: Body that the model was trained for.
        name: What the log calls it.

    Raises:
        RecipeError: If the model lacks a part; names it.
    """

    def __init__(self, model: ComposedModel, spec: BodySpec, name: str) -> None:
        missing = [part for part in NEEDED if not model.has(part)]
        if missing:
            raise RecipeError(f"{name} cannot act: it has no {' and no '.join(missing)}")
        self._model, self._spec, self._name = model.eval(), spec, name
        self._scale = Scale.of(spec)
        self._reactive = ReactiveForward(model.reactive)

    @property
    def checkpoint_id(self) -> str:
        """What the log calls it."""
        return self._name

    @property
    def trusted(self) -> bool:
        """Whoever makes one has judged it."""
        return True

    @torch.inference_mode()
    def encode(
        self, observation: Observation, objects: Float32[np.ndarray, "k f"]
    ) -> Float32[np.ndarray, "d"]:
        """Return the latent of an observation."""
        rows, still = tensor(objects)[None, None], torch.zeros(1, 1, 2)
        image = to_image(observation.rgb[None], observation.depth_m[None])
        ego = to_ego(
            tensor(observation.egomotion)[None], torch.tensor([observation.bumped]), self._scale
        )
        windows = Windows(
            image=image[None],
            ego=ego[None],
            action=still,
            command=still,
            geometry=to_geometry(rows),
            valid=rows[..., 0] > 0.5,
            slots=torch.zeros((1, 1, NUM_OBJECTS), dtype=torch.int64),
        )
        z: np.ndarray = self._model.encode(windows).z[0, 0].numpy()
        return z

    @torch.inference_mode()
    def rollout(self, z: Float32[np.ndarray, "d"], plans: Float32[np.ndarray, "s t 3"]) -> Rollout:
        """Predict along plans of (v_mps, w_radps, duration_s)."""
        s, t = plans.shape[:2]
        actions = self._scale.actions(tensor(plans))
        start = tensor(z).expand(s, -1)
        latents = self._model.rollout(start, actions)
        before = torch.cat([start[:, None], latents[:, :-1]], dim=1)
        motion: tuple[Tensor, Tensor] = self._model.motion(
            before.flatten(0, 1), actions.flatten(0, 1)
        )
        return Rollout(
            z=latents.numpy(),
            egomotion=(motion[0].view(s, t, 3) * self._scale.egomotion_unit).numpy(),
            p_collision=motion[1].view(s, t).sigmoid().numpy(),
        )

    @torch.inference_mode()
    def distance(
        self, z: Float32[np.ndarray, "n d"], z_goal: Float32[np.ndarray, "d"]
    ) -> Float32[np.ndarray, "n"]:
        """Return the quasi-distance in steps from each latent to the goal latent, >= 0."""
        goals = tensor(z_goal).expand(len(z), -1)
        steps: np.ndarray = self._model.quasi_distance(tensor(z), goals).numpy()
        return steps

    def react(
        self, z: Float32[np.ndarray, "d"], goal_m: Float64[np.ndarray, "2"]
    ) -> tuple[float, float]:
        """Return (v_mps, w_radps) of the distilled policy; see `ReactivePolicy`."""
        v, w = self._reactive.act(z, goal_m.astype(np.float32))
        return float(v) * self._spec.v_max_mps, float(w) * self._spec.w_max_radps
