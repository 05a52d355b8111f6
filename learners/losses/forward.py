"""What the losses look at: one pass of the model over a batch, each thing computed once.

Axis letters: b batch, t time, s start frames, h steps of a rollout, d latent, k objects.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from learners.batch import Windows
from learners.losses.across import ALONE, Across, mine

MAX_ROLLOUT = 8
"""Longest open-loop rollout in training; the planner looks as far ahead."""

T = TypeVar("T")


class Forward:
    """A batch and what the model makes of it.

    Args:
        model: A composed recipe; losses ask it for its parts.
        windows: The batch.
        generator: Source of randomness.
        progress: Share of the planned updates already taken, 0 to 1.
        across: How statistics reach the parts of the batch that other processes hold.
    """

    def __init__(
        self,
        model: Any,
        windows: Windows,
        generator: torch.Generator,
        progress: float = 0.0,
        across: Across = ALONE,
    ) -> None:
        self.model, self.windows, self.generator, self.progress = (
            model,
            windows,
            generator,
            progress,
        )
        self.across = across
        self._made: dict[Callable[[Forward], object], object] = {}

    def once(self, make: "Callable[[Forward], T]") -> T:
        """Return what a function makes of this pass; several losses share one computation."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast(T, self._made[make])

    @property
    def encoded(self) -> Any:
        """Tokens of all frames: a recipe's `Encoded`."""
        return self.once(_encoded)

    @property
    def z(self) -> Float[Tensor, "b t d"]:
        """Latents of all frames."""
        latents: Tensor = self.encoded.z
        return latents

    @property
    def appearance(self) -> Float[Tensor, "b t k a"]:
        """Of the objects of all frames."""
        appearance: Tensor = self.encoded.appearance
        return appearance

    @property
    def z_next(self) -> Float[Tensor, "b u d"]:
        """One-step predictions from every frame but the last."""
        return self.once(_z_next)

    @property
    def rolled(self) -> Float[Tensor, "b s h d"]:
        """Open-loop predictions; `rolled[:, s, j]` stands for frame `s + 1 + j`."""
        return self.once(_rolled)


def other_windows(fwd: Forward) -> Int[Tensor, "b"]:
    """Return for each window the number of another one among those of all processes.

    Use on `fwd.across.whole(...)`.
    """
    count = num_windows(fwd)
    shift = torch.randint(1, count, (), generator=fwd.generator)
    return mine(fwd.across, (torch.arange(count) + shift) % count)


def num_windows(fwd: Forward) -> int:
    """Return the number of windows of the whole batch: draws are made for all of them."""
    return fwd.z.shape[0] * fwd.across.count


def _encoded(fwd: Forward) -> Any:
    return fwd.model.encode(fwd.windows)


def _z_next(fwd: Forward) -> Tensor:
    predicted: Tensor = fwd.model.predict(fwd.z[:, :-1], fwd.windows.command[:, :-1])
    return predicted


def _rolled(fwd: Forward) -> Tensor:
    z, command = fwd.z, fwd.windows.command
    length = min(MAX_ROLLOUT, z.shape[1] - 1)
    num_starts = min(2, z.shape[1] - length)
    starts = torch.stack([z[:, s] for s in range(num_starts)], dim=1)
    commands = torch.stack([command[:, s : s + length] for s in range(num_starts)], dim=1)
    rolled: Tensor = fwd.model.rollout(starts.flatten(0, 1), commands.flatten(0, 1))
    return rolled.unflatten(0, (-1, num_starts))


def motion_inputs(fwd: Forward) -> tuple[Tensor, Tensor, Tensor]:
    """Return latents, commands and frames (flat index of b and t) that the motion heads judge.

    Rolled-out latents are among them: the planner asks the heads about nothing else.
    """
    b, t = fwd.z.shape[:2]
    frames = torch.arange(b * t).view(b, t)
    z, command, after = [fwd.z[:, :-1]], [fwd.windows.command[:, :-1]], [frames[:, 1:]]
    for s in range(fwd.rolled.shape[1]):
        rolled = fwd.rolled[:, s, :-1]
        first = s + 1
        z.append(rolled)
        command.append(fwd.windows.command[:, first : first + rolled.shape[1]])
        after.append(frames[:, first + 1 : first + 1 + rolled.shape[1]])
    return (
        torch.cat([x.flatten(0, 1) for x in z]),
        torch.cat([x.flatten(0, 1) for x in command]),
        torch.cat([x.flatten() for x in after]),
    )
