"""Which objects are hidden: whole histories, so that only the others can tell where one went.

Axis letters: b batch, k objects.
"""

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Tensor, nn

from learners.parts.kinds import Options, PartKind, Shape


class ObjectMaskOptions(Options):
    """Settings."""

    num_hidden: int = Field(1, ge=0)
    """Objects per window; at least one is always left to see."""


class WholeHistory(nn.Module):
    """Draw objects anew for every window and every call.

    References:
        C-JEPA 2026, arXiv:2602.11389, section 3 (object-level masking).
    """

    def __init__(self, options: ObjectMaskOptions, shape: Shape) -> None:
        super().__init__()
        self.num_hidden = options.num_hidden

    def draw(self, present: Bool[Tensor, "b k"], generator: torch.Generator) -> Bool[Tensor, "b k"]:
        """Return which objects to hide, all equally likely.

        Args:
            present: Objects that a window has.
            generator: Source of randomness; it goes on from call to call.
        """
        order = torch.rand(present.shape, generator=generator).masked_fill(~present, 2.0)
        rank = order.argsort(dim=1).argsort(dim=1)
        count = (present.sum(1, keepdim=True) - 1).clamp(min=0, max=self.num_hidden)
        return (rank < count) & present


OBJECT_MASKS = PartKind(
    options=ObjectMaskOptions, make=WholeHistory, provides=frozenset({"object_masks"})
)
