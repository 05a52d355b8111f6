"""Statistics of a batch that several processes share: the value is that of the whole batch.

What the processes hold is added up before anything that is not linear is done with it. The sums
carry gradients: with gradients averaged over processes, as data-parallel training does, every
weight gets the gradient that one process would compute on the whole batch.
"""

from typing import Any, Protocol

import torch
from torch import Tensor, distributed


class Across(Protocol):
    """How a process speaks with the others that hold parts of the same batch."""

    def total(self, x: Tensor) -> Tensor:
        """Return the sum over processes; differentiable."""
        ...

    def same(self, x: Tensor) -> Tensor:
        """Return what the first process passed, in all of them; for random draws."""
        ...


class Alone:
    """One process holds the whole batch."""

    def total(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x

    def same(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x


class Processes:
    """The processes of a group of `torch.distributed`; all of them must make the same calls.

    Args:
        group: None for all processes.

    Raises:
        RuntimeError: If `torch.distributed` was not initialised.
    """

    def __init__(self, group: distributed.ProcessGroup | None = None) -> None:
        if not distributed.is_initialized():
            raise RuntimeError("a batch is shared by a process group, and there is none yet")
        self._group = group if group is not None else distributed.group.WORLD

    def total(self, x: Tensor) -> Tensor:
        """Return the sum over processes; the backward pass adds up gradients likewise."""
        total: Tensor = _Total.apply(x, self._group)
        return total

    def same(self, x: Tensor) -> Tensor:
        """Return what the first process of the group passed."""
        out = x.clone()
        distributed.broadcast(out, group=self._group, group_src=0)
        return out


class _Total(torch.autograd.Function):
    """A sum over processes, forward and backward; torch's own is deprecated or private."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: distributed.ProcessGroup) -> Tensor:
        ctx.group = group
        out = x.clone()
        distributed.all_reduce(out, group=group)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        out = gradient.clone()
        distributed.all_reduce(out, group=ctx.group)
        return out, None


ALONE = Alone()
