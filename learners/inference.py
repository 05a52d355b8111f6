"""A trained model for acting: numpy in, numpy out, no gradients. torch stays inside.

Axis letters: s plans, t time, d latent, n rows, k objects, f features.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8

from learners.batch import (
    Scale,
    Windows,
    tensor,
    to_crop_image,
    to_ego,
    to_geometry,
    to_image,
    to_windows,
)
from learners.checkpoint import load_model
from learners.forward import ReactiveForward, rollouts_of
from learners.manifest import Manifest
from learners.recipes.model import ComposedModel
from learners.round_spec import body_from_dict
from memory.protocols import ReplayStore
from memory.records import NUM_OBJECTS, Action, Batch, Observation, Rollout

_STILL = torch.zeros(1, 1, 2)
_NO_SLOTS = torch.zeros((1, 1, NUM_OBJECTS), dtype=torch.int64)


class TorchModel:
    """Satisfies the planner's `LatentModel` and the memory's `CropEncoder`.

    Only reads its weights: the control loop and the recorder may use it at the same time.
    """

    def __init__(self, model: ComposedModel, manifest: Manifest) -> None:
        self._model = model.eval()
        self._rollouts = rollouts_of(model.predictor)
        self._manifest = manifest
        self._spec = body_from_dict(manifest.body)
        self._scale = Scale.of(self._spec)

    @classmethod
    def load(cls, folder: Path, manifest: Manifest, *, num_threads: int = 1) -> "TorchModel":
        """Return the model of a checkpoint's folder.

        Args:
            folder: Folder of the checkpoint.
            manifest: Its description.
            num_threads: Threads that torch may use in this process from now on. One: the images
                are small, and the other cores belong to the learner.

        Raises:
            DamagedCheckpointError: If its weights are missing or not what the manifest says.
        """
        torch.set_num_threads(num_threads)
        model = load_model(folder, manifest)
        return (ReactiveModel if model.has("reactive") else cls)(model, manifest)

    @property
    def checkpoint_id(self) -> str:
        """Identifier of the weights."""
        return self._manifest.id

    @property
    def trusted(self) -> bool:
        """Whether the probes say that egomotion and rollouts may steer the body."""
        return self._manifest.trusted

    @property
    def encoder_version(self) -> str:
        """Name of the space of `embed`; checkpoints with one encoder share it."""
        return self._manifest.encoder_version

    @torch.inference_mode()
    def encode(
        self, observation: Observation, objects: Float32[np.ndarray, "k f"]
    ) -> Float32[np.ndarray, "d"]:
        """Return the latent of an observation."""
        rows = tensor(objects)[None, None]
        image = to_image(observation.rgb[None], observation.depth_m[None])
        ego = to_ego(
            tensor(observation.egomotion)[None], torch.tensor([observation.bumped]), self._scale
        )
        windows = Windows(
            image=image[None],
            ego=ego[None],
            action=_STILL,
            command=_STILL,
            geometry=to_geometry(rows),
            valid=rows[..., 0] > 0.5,
            slots=_NO_SLOTS,
        )
        return self._model.encode(windows).z[0, 0].numpy()

    @torch.inference_mode()
    def rollout(self, z: Float32[np.ndarray, "d"], plans: Float32[np.ndarray, "s t 3"]) -> Rollout:
        """Predict along plans of (v_mps, w_radps, duration_s)."""
        s, t = plans.shape[:2]
        actions = self._scale.actions(tensor(plans))
        latents = self._rollouts.rollout(z, actions.numpy())
        start = np.broadcast_to(z, (s, 1, z.size))
        before = torch.from_numpy(np.concatenate([start, latents[:, :-1]], axis=1))
        egomotion, logit = self._model.motion(before.flatten(0, 1), actions.flatten(0, 1))
        egomotion = egomotion.view(s, t, 3) * self._scale.egomotion_unit
        return Rollout(
            z=latents,
            egomotion=egomotion.numpy(),
            p_collision=logit.view(s, t).sigmoid().numpy(),
        )

    def distance(
        self, z: Float32[np.ndarray, "n d"], z_goal: Float32[np.ndarray, "d"]
    ) -> Float32[np.ndarray, "n"]:
        """Return the quasi-distance in steps from each latent to the goal latent, >= 0."""
        return self.distances(z, np.broadcast_to(z_goal, z.shape).copy())

    @torch.inference_mode()
    def distances(
        self, z: Float32[np.ndarray, "n d"], z_goals: Float32[np.ndarray, "n d"]
    ) -> Float32[np.ndarray, "n"]:
        """Return the quasi-distance in steps from each latent to its own goal latent, >= 0."""
        return self._model.quasi_distance(tensor(z), tensor(z_goals)).numpy()

    @torch.inference_mode()
    def embed(self, crops: UInt8[np.ndarray, "n s s 3"]) -> Float32[np.ndarray, "n d"]:
        """Return unit vectors of colour crops."""
        return self._model.encoder.embed(to_crop_image(crops)).numpy()

    @torch.inference_mode()
    def surprise_error(
        self, z_prev: Float32[np.ndarray, "d"], action: Action, z_now: Float32[np.ndarray, "d"]
    ) -> float:
        """Return the squared prediction error over the usual squared change of one step.

        About 1 is what predicting no change would get on the probe windows.
        """
        command = torch.tensor([[[action.v_mps, action.w_radps, action.duration_s]]])
        predicted = self._model.predict(tensor(z_prev)[None, None], self._scale.actions(command))
        error = float(np.square(predicted[0, 0].numpy() - z_now).sum())
        return error / max(float(self._manifest.metrics.get("latent_change_1", 1.0)), 1e-6)

    @torch.inference_mode()
    def latents(self, batch: Batch) -> Float32[np.ndarray, "b t d"]:
        """Return the latents of windows."""
        windows = to_windows(batch, self._scale, np.random.default_rng(0))
        return self._model.encode(windows).z.numpy()


class ReactiveModel(TorchModel):
    """A model that planning taught to act without it; also satisfies `ReactivePolicy`."""

    def __init__(self, model: ComposedModel, manifest: Manifest) -> None:
        super().__init__(model, manifest)
        self._reactive = ReactiveForward(model.reactive)

    def react(
        self, z: Float32[np.ndarray, "d"], goal_m: Float64[np.ndarray, "2"]
    ) -> tuple[float, float]:
        """Return (v_mps, w_radps) of the distilled policy."""
        v, w = self._reactive.act(z, goal_m.astype(np.float32))
        return float(v) * self._spec.v_max_mps, float(w) * self._spec.w_max_radps


class DistancePairs(NamedTuple):
    """Poses and the steps that a model sees between them, for scoring against the truth."""

    start: Float32[np.ndarray, "n 3"]
    goal: Float32[np.ndarray, "n 3"]
    steps: Float32[np.ndarray, "n"]


def distance_pairs(
    model: TorchModel, replay: ReplayStore, rng: np.random.Generator, n: int, radius_m: float = 2.0
) -> DistancePairs:
    """Return up to n pairs of held-out frames that lie near each other.

    Args:
        model: Model to be scored.
        replay: Store with probe episodes.
        rng: Draws frames and pairs.
        n: Pairs wanted; fewer are returned where the frames have fewer.
        radius_m: Largest straight distance between the two positions.

    Raises:
        NotEnoughDataError: If there is no probe episode yet.
    """
    batch = replay.sample(max(32, min(n // 4, 256)), 4, rng, held_out=True)
    latents = model.latents(batch)
    poses, z = batch.pose.reshape(-1, 3), latents.reshape(-1, latents.shape[-1])
    gap = np.linalg.norm(poses[:, None, :2] - poses[None, :, :2], axis=-1)
    start, goal = np.nonzero((gap <= radius_m) & ~np.eye(len(poses), dtype=bool))
    pick = rng.permutation(len(start))[:n]
    start, goal = start[pick], goal[pick]
    steps = model.distances(z[start], z[goal])
    return DistancePairs(poses[start], poses[goal], steps)
