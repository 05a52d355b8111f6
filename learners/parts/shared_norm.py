"""Batch normalisation over a batch that several processes share.

`torch.nn.SyncBatchNorm` does the same on GPUs alone.

Axis letters: n rows, f features.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from learners.losses.across import ALONE, Across


class SharedBatchNorm1d(nn.BatchNorm1d):
    """Normalise by the statistics of the rows of all processes; each must hold as many."""

    across: Across = ALONE

    def forward(self, x: Float[Tensor, "n f"]) -> Float[Tensor, "n f"]:
        """Return the normalised rows."""
        if not self.training:
            return super().forward(x)
        count = len(x) * self.across.count
        mean = self.across.total(x.sum(dim=0)) / count
        centred = x - mean
        variance = self.across.total(centred.square().sum(dim=0)) / count
        self._remember(mean.detach(), variance.detach() * count / max(count - 1, 1))
        out = centred * (variance + self.eps).rsqrt()
        return out if self.weight is None else out * self.weight + self.bias

    @torch.no_grad()
    def _remember(self, mean: Float[Tensor, "f"], variance: Float[Tensor, "f"]) -> None:
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


def share_statistics(model: nn.Module, across: Across) -> None:
    """Let all batch normalisations of a model see the whole batch; its weights stay what they are.

    Args:
        model: Changed in place.
        across: Reaches the other processes.
    """
    for module in model.modules():
        if type(module) is nn.BatchNorm1d:
            # The parameters must stay the same objects: the optimiser knows them.
            module.__class__ = SharedBatchNorm1d
        if isinstance(module, SharedBatchNorm1d):
            module.across = across
