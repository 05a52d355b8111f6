"""Checkpoints of a life as torch modules, and a plan between two observations.

Axis letters: t time, d latent, s plans.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from learners.journal import HistoryEntry
from learners.manifest import Manifest, Verdict
from policies.cem import minimise
from policies.config import PlannerConfig

if TYPE_CHECKING:
    from learners.inference import TorchModel
    from learners.recipes.model import ComposedModel
    from memory.records import BodySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One checkpoint; its weights are read when they are asked for, after a check of their hash.

    Attributes:
        folder: Where it lies; None if its weights were pruned.
        manifest: What it says about itself.
        decisions: What was decided about it in life, the oldest first.
        acts: Whether it acts.
    """

    folder: Path | None
    manifest: Manifest
    decisions: tuple[HistoryEntry, ...]
    acts: bool

    @property
    def id(self) -> str:
        """Its name."""
        return self.manifest.id

    @property
    def verdict(self) -> Verdict:
        """What the gate's probes said, with every check and comparison."""
        return self.manifest.verdict

    def module(self) -> "ComposedModel":
        """Return the torch module, in evaluation mode, on the CPU.

        Raises:
            DamagedCheckpointError: If a file is missing, altered or does not fit.
            UnknownCheckpointError: If its weights were pruned.
        """
        from learners.checkpoint import load_model

        return load_model(self._weights(), self.manifest)

    def model(self) -> "TorchModel":
        """Return the model as the robot uses it: numpy in, numpy out; raises as `module`.

        Unlike `TorchModel.load`, it leaves torch's number of threads alone.
        """
        from learners.inference import ReactiveModel, TorchModel

        module = self.module()
        return (ReactiveModel if module.has("reactive") else TorchModel)(module, self.manifest)

    def _weights(self) -> Path:
        from learners.errors import UnknownCheckpointError

        if self.folder is None:
            raise UnknownCheckpointError(
                f"the weights of checkpoint {self.id} were pruned; its manifest is kept"
            )
        return self.folder

    def __repr__(self) -> str:
        said = "accepted" if self.verdict.accepted else "refused"
        notes = ", acts" if self.acts else "" if self.folder else ", weights pruned"
        why = "; ".join(self.verdict.reasons)[:120]
        return (
            f"<checkpoint {self.id} of recipe {self.manifest.recipe.name}: {said} ({why}){notes}>"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The best action sequence that was found.

    Attributes:
        actions: v_mps, w_radps, duration_s.
        distance_steps: Quasi-distance to the goal before the plan and after each action.
        egomotion: Expected dx_m, dy_m, dyaw_rad of each action, in the body frame before it.
        p_collision: Chance that each action is stopped.
    """

    actions: Float32[np.ndarray, "t 3"]
    distance_steps: Float32[np.ndarray, "n"]
    egomotion: Float32[np.ndarray, "t 3"]
    p_collision: Float32[np.ndarray, "t"]

    def __repr__(self) -> str:
        first, best = float(self.distance_steps[0]), float(self.distance_steps.min())
        num = len(self.actions)
        return f"<plan of {num} actions: {first:.1f} steps from the goal, {best:.1f} at best>"


def plan_between(
    model: "TorchModel",
    spec: "BodySpec",
    config: PlannerConfig,
    start: Float32[np.ndarray, "d"],
    goal: Float32[np.ndarray, "d"],
    seed: int,
) -> Plan:
    """Search the actions whose predicted latents come nearest to a goal, by the model alone.

    The search is the life's own (CEM over held velocity blocks). Its cost is not: no map, no
    geodesic field, only the quasi-distance and the chance of a collision.

    Args:
        model: The model.
        spec: Bounds of the actions and their duration.
        config: Size of the search.
        start: Latent of where the plan begins.
        goal: Latent of where it should end.
        seed: Draws the samples.
    """
    blocks = config.horizon_blocks
    low = np.tile([0.0, -spec.w_max_radps], blocks)
    high = np.tile([spec.v_max_mps, spec.w_max_radps], blocks)
    std = np.tile([0.4 * spec.v_max_mps, 0.5 * spec.w_max_radps], blocks)

    def plans(samples: np.ndarray) -> Float32[np.ndarray, "s t 3"]:
        held = np.repeat(samples.reshape(len(samples), -1, 2), config.block_steps, axis=1)
        duration = np.full((*held.shape[:2], 1), spec.tick_s)
        return np.concatenate([held, duration], axis=-1).astype(np.float32)

    def steps_left(z: Float32[np.ndarray, "s t d"]) -> Float32[np.ndarray, "s t"]:
        flat = np.ascontiguousarray(z.reshape(-1, z.shape[-1]))
        return model.distance(flat, goal).reshape(z.shape[:2])

    def cost(samples: np.ndarray) -> np.ndarray:
        rolled = model.rollout(start, plans(samples))
        left = steps_left(rolled.z)
        return np.asarray(left.min(axis=1) + left.mean(axis=1) + rolled.p_collision.sum(axis=1))

    _, best, _ = minimise(
        cost,
        (low + high) / 2,
        std,
        (low, high),
        num_samples=config.num_plans,
        num_elites=min(config.num_elites, config.num_plans),
        num_iterations=config.num_iterations,
        rng=np.random.default_rng(seed),
        min_std=0.1 * std,
    )
    actions = plans(best[None])
    rolled = model.rollout(start, actions)
    z = np.concatenate([start[None, None], rolled.z], axis=1)
    return Plan(
        actions=actions[0],
        distance_steps=steps_left(z)[0],
        egomotion=rolled.egomotion[0],
        p_collision=rolled.p_collision[0],
    )
