"""The peer's LeWM at our size: its classes, its losses, its search.

Axis letters: b batch, t time, s samples, d latent.
"""

import contextlib
import io
import time
from dataclasses import dataclass
from types import SimpleNamespace

import bench.two_room.mend  # noqa: F401
import numpy as np
import torch
from bench.two_room.episodes import BLOCK
from bench.two_room.windows import Drawer, images
from gymnasium.spaces import Box
from stable_worldmodel.policy import PlanConfig
from stable_worldmodel.solver.cem import CEMSolver
from stable_worldmodel.wm.lewm.lewm import LeWM
from stable_worldmodel.wm.lewm.module import MLP, Embedder, Predictor
from stable_worldmodel.wm.loss import SIGReg
from torch import Tensor, nn
from torch.nn import functional

from learners.encoder import TOKEN_DIM
from learners.parts.conv import Trunk

SIGREG_WEIGHT = 0.09
WEIGHT_DECAY = 1e-3
WARM_UP = 0.05
LEARNING_RATE = 1e-3
HORIZON_BLOCKS = 5
NUM_SAMPLES = 300
NUM_ELITES = 30
NUM_DIRECTIONS = 256
"""Of the 1024 published ones: more change the noise, not the value, and cost the most here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LewmSizes:
    """Sizes of LeWM here; published are 192, 6, 16 x 64, 2048, 2048 and a transformer for eyes.

    Its paper gives it a history of one frame for this task, and of three for others.
    """

    history: int = 1
    latent_dim: int = 64
    layers: int = 2
    heads: int = 4
    head_dim: int = 16
    mlp_width: int = 256
    projector_width: int = 256
    dropout: float = 0.1


SIZES = LewmSizes()


class _Eyes(nn.Module):
    """The trunk that all learners share, in the form in which LeWM asks its encoder."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, pixels: Tensor, interpolate_pos_encoding: bool) -> SimpleNamespace:
        """Return features where LeWM reads a class token."""
        return SimpleNamespace(last_hidden_state=self.trunk(pixels)[:, None])


def lewm(sizes: LewmSizes, seed: int) -> LeWM:
    """Return a fresh LeWM."""
    d = sizes.latent_dim
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LeWM(
            encoder=_Eyes(Trunk()),
            predictor=Predictor(
                num_frames=sizes.history,
                depth=sizes.layers,
                heads=sizes.heads,
                mlp_dim=sizes.mlp_width,
                input_dim=d,
                hidden_dim=d,
                dim_head=sizes.head_dim,
                dropout=sizes.dropout,
            ),
            action_encoder=Embedder(input_dim=2 * BLOCK, emb_dim=d),
            projector=MLP(TOKEN_DIM, sizes.projector_width, d, norm_fn=nn.BatchNorm1d),
            pred_proj=MLP(d, sizes.projector_width, d, norm_fn=nn.BatchNorm1d),
        )


def lewm_losses(
    model: LeWM, sigreg: SIGReg, pixels: Tensor, blocks: Tensor, history: int
) -> dict[str, Tensor]:
    """Return the two published losses.

    Args:
        model: To be trained.
        sigreg: Its regulariser.
        pixels: Windows (b t c h w).
        blocks: Normalised actions (b t 2 * BLOCK) that follow each frame; the last is not used.
        history: Frames that a prediction looks at.
    """
    info = model.encode({"pixels": pixels, "action": blocks[:, :-1]})
    z, action = info["emb"], info["act_emb"]
    starts = range(z.shape[1] - history)
    past = torch.cat([z[:, s : s + history] for s in starts])
    steered = torch.cat([action[:, s : s + history] for s in starts])
    after = torch.cat([z[:, s + 1 : s + 1 + history] for s in starts])
    return {
        "prediction": functional.mse_loss(model.predict(past, steered), after),
        "sigreg": sigreg(z.transpose(0, 1)),
    }


def train(
    drawer: Drawer,
    scale: Tensor,
    *,
    updates: int,
    seed: int,
    learning_rate: float = LEARNING_RATE,
    sizes: LewmSizes = SIZES,
) -> tuple[LeWM, dict[str, float]]:
    """Return a trained LeWM and its last mean losses.

    Args:
        drawer: Batches.
        scale: Standard deviation of the two actions, in which they are normalised.
        updates: Optimiser steps.
        learning_rate: At its highest; up linearly, then down a cosine.
        seed: Draws weights, dropout and directions.
        sizes: Of the model.
    """
    model = lewm(sizes, seed).train()
    sigreg = SIGReg(num_proj=NUM_DIRECTIONS)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, weight_decay=WEIGHT_DECAY, fused=True
    )
    rise = max(1, round(WARM_UP * updates))
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=rise),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, updates - rise)),
        ],
        milestones=[rise],
    )
    sums: dict[str, float] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for number in range(updates):
            drawn = drawer.draw()
            blocks = (drawn.blocks / scale).flatten(2)
            losses = lewm_losses(model, sigreg, drawn.image, blocks, sizes.history)
            optimizer.zero_grad(set_to_none=True)
            (losses["prediction"] + SIGREG_WEIGHT * losses["sigreg"]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if number >= int(0.9 * updates):
                for name, loss in losses.items():
                    sums[name] = sums.get(name, 0.0) + float(loss.detach())
    count = updates - int(0.9 * updates)
    return model.eval(), {name: total / count for name, total in sums.items()}


class Planner:
    """The published policy: search once, execute the whole plan, search again.

    Args:
        model: Trained.
        scale: What actions were normalised with.
        goal: Picture of the goal.
        iterations: Of the cross-entropy method.
        seed: Draws its samples.
    """

    def __init__(
        self, model: LeWM, scale: Tensor, goal: np.ndarray, *, iterations: int, seed: int
    ) -> None:
        self._model, self._scale = model, scale
        self._goal = images(goal[None])[None]
        self._search = CEMSolver(
            model, num_samples=NUM_SAMPLES, topk=NUM_ELITES, n_steps=iterations, seed=seed
        )
        self._search.configure(
            action_space=Box(-1, 1, (1, 2)),
            n_envs=1,
            config=PlanConfig(
                horizon=HORIZON_BLOCKS, receding_horizon=HORIZON_BLOCKS, action_block=BLOCK
            ),
        )
        self.cpu_s: list[float] = []

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Return the actions of a plan, (HORIZON_BLOCKS * BLOCK 2)."""
        began = time.process_time()
        info = {
            "pixels": images(picture[None])[None],
            "goal": self._goal,
            "action": torch.zeros(1, 1, 2 * BLOCK),
        }
        with contextlib.redirect_stdout(io.StringIO()):
            plan = self._search(info)["actions"]
        self.cpu_s.append(time.process_time() - began)
        return (plan.reshape(-1, 2) * self._scale).numpy()


class Imagined:
    """The model in our search: an action that is held is a block of equal ones."""

    def __init__(self, model: LeWM, scale: Tensor) -> None:
        self._model, self._scale = model, scale

    @torch.no_grad()
    def latents(self, frames: np.ndarray) -> Tensor:
        """Return the latents of pictures (n h w 3)."""
        z: Tensor = self._model.encode({"pixels": images(frames)[:, None]})["emb"][:, 0]
        return z

    def rollout(self, z: Tensor, commands: Tensor) -> Tensor:
        """Return the latents (s t d) after each held action (s t 2)."""
        held = (commands / self._scale).repeat(1, 1, BLOCK)
        action = self._model.action_encoder(held)
        history = self._model.predictor.num_frames
        seen = [z.expand(len(commands), -1)]
        for t in range(commands.shape[1]):
            past = torch.stack(seen[-history:], dim=1)
            seen.append(self._model.predict(past, action[:, t + 1 - past.shape[1] : t + 1])[:, -1])
        return torch.stack(seen[1:], dim=1)
