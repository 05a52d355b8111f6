"""Whose tokens are to be predicted: the encoder's own, or those of a slow copy."""

import copy
from collections.abc import Iterable

import torch
from pydantic import Field
from torch import Tensor, nn

from learners.batch import Windows
from learners.losses.forward import Forward
from learners.parts.kinds import Encoded, Options, PartEncoder, PartKind, Shape


class LiveOptions(Options):
    """No settings."""


class EmaOptions(Options):
    """Settings."""

    momentum: float = Field(0.996, gt=0, lt=1)
    """Share of the old weights at the first step."""
    last_momentum: float = Field(1.0, gt=0, le=1)
    """Share at the last step; linear in between."""


class Live(nn.Module):
    """The encoder itself is the target, gradient and all: something else prevents collapse."""

    def __init__(self, options: LiveOptions, shape: Shape) -> None:
        super().__init__()

    def follow(self, encoder: nn.Module, progress: float) -> None:
        """Do nothing: there is no copy."""


class Ema(nn.Module):
    """A copy of the encoder that follows it slowly and gets no gradient.

    References:
        Assran et al. 2023, arXiv:2301.08243, section 3 (target encoder).
    """

    def __init__(self, options: EmaOptions, shape: Shape) -> None:
        super().__init__()
        self.options = options
        self.encoder: nn.Module | None = None

    def begin(self, encoder: nn.Module) -> None:
        """Copy the encoder's weights."""
        self.encoder = copy.deepcopy(encoder).requires_grad_(requires_grad=False)

    @torch.no_grad()
    def follow(self, encoder: nn.Module, progress: float) -> None:
        """Move towards the encoder; statistics of batch normalisation are copied.

        Args:
            encoder: What is followed.
            progress: Share of the planned updates already taken, 0 to 1.
        """
        assert self.encoder is not None
        first, last = self.options.momentum, self.options.last_momentum
        momentum = first + (last - first) * min(max(progress, 0.0), 1.0)
        pairs: Iterable[tuple[Tensor, Tensor]]
        pairs = zip(self.encoder.parameters(), encoder.parameters(), strict=True)
        for slow, fast in pairs:
            slow.lerp_(fast, 1 - momentum)
        for slow, fast in zip(self.encoder.buffers(), encoder.buffers(), strict=True):
            slow.copy_(fast)

    def forward(self, windows: Windows) -> Encoded:
        """Return the copy's tokens, without gradient."""
        assert isinstance(self.encoder, PartEncoder)
        with torch.no_grad():
            return self.encoder(windows)


def target_tokens(fwd: Forward) -> Encoded:
    """Return what the target makes of all frames; use as `fwd.once(target_tokens)`."""
    target = fwd.model.target
    return fwd.encoded if isinstance(target, Live) else target(fwd.windows)


LIVE = PartKind(options=LiveOptions, make=Live)
EMA = PartKind(options=EmaOptions, make=Ema, provides=frozenset({"teacher"}))
