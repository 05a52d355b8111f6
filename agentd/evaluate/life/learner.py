"""The learning of one life: rounds in this process, and what the model knows of each home.

Rounds run between two goals, on the rows so far, with a fixed number of updates, so that a life is
the same on a fast and a slow machine. The gate is its first two stages (sanity and probes): shadow
and canary need a life that goes on meanwhile.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from agentd.build import build_model_loader
from agentd.evaluate.life.arms import Learning
from agentd.evaluate.life.rows import DomainError
from agentd.provenance import git_commit
from configs.recipes import load_recipe
from learners.batch import Scale, to_windows
from learners.checkpoint import load_model
from learners.config import LearnersConfig
from learners.probes import normalised_per_window, probe_frames, window_errors
from learners.registry import Registry
from learners.round import run_round
from learners.round_spec import RoundResult, RoundSpec, body_to_dict
from memory.config import ReplayConfig
from memory.errors import NotEnoughDataError
from memory.records import Batch, BodySpec
from memory.replay.samplers import Between
from memory.replay.store import LanceReplay
from policies.protocols import LatentModel

_NUM_DOMAIN_WINDOWS = 64


class LifeLearner:
    """Trains on what the life stores; knows who acts.

    Args:
        folder: Of the life; its memory and checkpoints go there.
        learning: What becomes of candidates.
        learners: Settings; `round.max_updates` ends a round.
        every_steps: New rows before another round.
        spec: Body.
        shipped: Registry that the life begins with; None begins with nothing.
    """

    def __init__(
        self,
        folder: Path,
        learning: Learning,
        learners: LearnersConfig,
        every_steps: int,
        spec: BodySpec,
        shipped: Path | None,
    ) -> None:
        self._learning, self._learners, self._every = learning, learners, every_steps
        self._spec = spec
        self.memory_folder, checkpoints = folder / "memory", folder / "checkpoints"
        if shipped is not None:
            shutil.copytree(shipped, checkpoints)
        self.registry = Registry(checkpoints)
        # The life's own registry prunes what no longer acts.
        self._shipped = None if shipped is None else Registry(shipped)
        self._replay_config = ReplayConfig(probe_every=4)
        self.replay = LanceReplay(self.memory_folder, self._replay_config)
        self._rows_at_round = 0
        self._recipe = load_recipe(learners.recipe)
        self._domains: dict[str, Batch] = {}
        self.rounds: list[dict[str, Any]] = []

    def model(self) -> LatentModel | None:
        """Return the model that acts now."""
        promoted = self.registry.promoted()
        return None if promoted is None else build_model_loader(self.registry)(promoted)

    def is_due(self) -> bool:
        """Return whether enough is new for a round."""
        return self._learning != "nothing" and len(self.replay) - self._rows_at_round >= self._every

    def learn(self, step: int) -> RoundResult | None:
        """Run a round; return it, None if the life holds too little yet.

        What the gate accepts acts from now on; without a gate, whatever could be stored does.
        """
        parent = self.registry.promoted()
        self._rows_at_round = len(self.replay)
        spec = RoundSpec(
            memory_folder=self.memory_folder,
            checkpoints_folder=self.registry.folder,
            replay_version=self.replay.version,
            parent_id=parent,
            learners=self._learners,
            recipe=self._recipe,
            replay=self._replay_config,
            body=body_to_dict(self._spec),
            git_commit=git_commit(),
        )
        try:
            result = run_round(spec, self.replay)
        except NotEnoughDataError:
            return None
        acts = result.checkpoint_id is not None and (result.accepted or self._learning == "ungated")
        if acts and result.checkpoint_id is not None:
            self.registry.promote(result.checkpoint_id, reason=f"{self._learning} in a life")
        self.rounds.append(
            {
                "step": step,
                "checkpoint": result.checkpoint_id,
                "accepted": result.accepted,
                "acts": acts,
                "reasons": list(result.reasons),
                "updates": result.num_updates,
                "seconds": round(result.seconds, 1),
                "error": _mean_error(result.metrics),
            }
        )
        return result

    def keep_domain(self, name: str, first_step: int, last_step: int) -> None:
        """Keep held-out windows of a stretch of life, to measure models on later."""
        rng = np.random.default_rng([first_step, last_step])
        frames = probe_frames(self._learners.round.probe_frames)
        try:
            self._domains[name] = self.replay.sample(
                _NUM_DOMAIN_WINDOWS,
                frames,
                rng,
                sampler=Between(first_step, last_step),
                held_out=True,
            )
        except NotEnoughDataError:
            return

    def domain_errors(self, after: str) -> list[DomainError]:
        """Measure the model that acts, and the one the life began with, on all kept windows."""
        acting = self.registry.promoted()
        if acting is None or self._shipped is None:
            return []
        now, then = self._errors(self.registry), self._errors(self._shipped)
        return [
            DomainError(
                after=after,
                domain=name,
                checkpoint=acting,
                error=now[name],
                shipped_error=then[name],
            )
            for name in self._domains
        ]

    def copy_registry(self, folder: Path) -> None:
        """Copy all checkpoints, and who acts, to a folder; one that is there is replaced."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.registry.folder, folder)

    def close(self) -> None:
        """Let go of the tables."""
        self.replay.close()

    def _errors(self, registry: Registry) -> dict[str, float]:
        """Return the error of a registry's acting model on every kept stretch."""
        checkpoint_id = registry.promoted()
        assert checkpoint_id is not None
        model = load_model(registry.path(checkpoint_id), registry.manifest(checkpoint_id))
        found = {}
        for name, batch in self._domains.items():
            windows = to_windows(batch, Scale.of(self._spec), np.random.default_rng(0))
            found[name] = float(normalised_per_window(*window_errors(model, windows)).mean())
        return found


def _mean_error(metrics: dict[str, Any]) -> float | None:
    errors = metrics.get("k_step_error")
    return float(np.mean(list(errors.values()))) if errors else None
