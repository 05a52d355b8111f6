"""Statistics of a batch that several processes share: the value is that of the whole batch.

What the processes hold is added up before anything that is not linear is done with it. The sums
carry gradients: with gradients averaged over processes, as data-parallel training does, every
weight gets the gradient that one process would compute on the whole batch.

A plain mean over windows needs none of this: processes hold equal shares, so the mean of their
means is the mean. What does: counts that differ (`mean`), rows of other processes (`whole`), and
draws that stand for the whole batch (`mine`).
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, distributed


class Across(Protocol):
    """How a process speaks with the others that hold parts of the same batch.

    Attributes:
        rank: Number of this process.
        count: How many there are.
    """

    @property
    def rank(self) -> int: ...

    @property
    def count(self) -> int: ...

    def total(self, x: Tensor) -> Tensor:
        """Return the sum over processes; differentiable."""
        ...

    def same(self, x: Tensor) -> Tensor:
        """Return what the first process passed, in all of them; for random draws."""
        ...

    def whole(self, x: Tensor) -> Tensor:
        """Return the rows of all processes, in their order; differentiable.

        All processes must pass as many rows.
        """
        ...


class Alone:
    """One process holds the whole batch."""

    rank, count = 0, 1

    def total(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x

    def same(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x

    def whole(self, x: Tensor) -> Tensor:
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

    @property
    def rank(self) -> int:
        """Number of this process."""
        return distributed.get_rank(self._group)

    @property
    def count(self) -> int:
        """How many there are."""
        return distributed.get_world_size(self._group)

    def total(self, x: Tensor) -> Tensor:
        """Return the sum over processes; the backward pass adds up gradients likewise."""
        total: Tensor = _Total.apply(x, self._group)
        return total

    def same(self, x: Tensor) -> Tensor:
        """Return what the first process of the group passed."""
        out = x.clone()
        distributed.broadcast(out, group=self._group, group_src=0)
        return out

    def whole(self, x: Tensor) -> Tensor:
        """Return the rows of all processes; the backward pass adds up what all want of a row."""
        rows: Tensor = _Whole.apply(x, self._group)
        return rows


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


class _Whole(torch.autograd.Function):
    """Rows of all processes, and back to each the sum of all gradients of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: distributed.ProcessGroup) -> Tensor:
        ctx.group, ctx.rows = group, len(x)
        parts = [torch.empty_like(x) for _ in range(distributed.get_world_size(group))]
        distributed.all_gather(parts, x.contiguous(), group=group)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        out = gradient.contiguous().clone()
        distributed.all_reduce(out, group=ctx.group)
        first = distributed.get_rank(ctx.group) * ctx.rows
        return out[first : first + ctx.rows], None


ALONE = Alone()


def share(across: Across, count: int) -> slice:
    """Return which of so many rows belong to this process; shares differ by one row at most."""
    return slice(count * across.rank // across.count, count * (across.rank + 1) // across.count)


def mine(across: Across, x: Tensor) -> Tensor:
    """Return this process's rows of something that every process has whole."""
    return x[share(across, len(x))]


def mean(across: Across, x: Tensor) -> Tensor:
    """Return the mean over the elements of all processes, zero if there are none."""
    count = across.total(x.new_tensor(float(x.numel())))
    return across.total(x.sum()) / count.clamp(min=1)


def average_gradients(across: Across, parameters: Sequence[Tensor]) -> None:
    """Replace gradients by their means over processes.

    A parameter that has a gradient in any process has one in all of them after that.
    """
    if across.count == 1:
        return
    has = torch.tensor([p.grad is not None for p in parameters], dtype=parameters[0].dtype)
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([*(part.flatten() for part in parts), has.to(parameters[0].device)])
    flat = across.total(flat) / across.count
    *means, has = flat.split([*(p.numel() for p in parameters), len(parameters)])
    for parameter, values, known in zip(parameters, means, has.tolist(), strict=True):
        # Without a gradient a weight is left alone; with one of zero it would decay.
        parameter.grad = None
        if known:
            # In the weight's own layout: fused optimisers pair numbers by their place in memory.
            parameter.grad = torch.empty_like(parameter, requires_grad=False)
            parameter.grad.copy_(values.view(parameter.shape))
