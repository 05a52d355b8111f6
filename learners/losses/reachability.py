"""Whether a goal is reached within a budget of steps, from clips.

    r(s, g, b) = logit that g is reached from s within b steps
    positives: frame of the same window, 1 to b steps later
    negatives: frame of the same window, more than b steps later; frame of another window
    L = BCE on encoded s + PREDICTED * BCE on predicted s

Budgets are drawn from 1 to the head's largest. The gradient flows into the encoder: the head is
there to shape what is predicted as much as to be asked.

References:
    RC-aux 2026, arXiv:2605.07278, budgeted reachability.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from learners.losses.across import mine
from learners.losses.forward import Forward, num_windows, other_windows

PREDICTED = 0.5


def reachability(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean cross-entropy.

    Raises:
        ValueError: If the windows are too short for a negative of the largest budget.
    """
    head = fwd.model.reachability
    b, t = fwd.z.shape[:2]
    if t < head.budgets + 3:
        raise ValueError(
            f"windows of {t} frames hold no goal beyond a budget of {head.budgets} steps; "
            f"horizon has to be at least {head.budgets + 3}"
        )
    drawn = _draw(num_windows(fwd), t, head.budgets, fwd.generator)
    budget, start, near, far = (mine(fwd.across, column) for column in drawn)
    rows, elsewhere = torch.arange(b), fwd.across.whole(fwd.z)[other_windows(fwd), far]
    goals = torch.stack([fwd.z[rows, near], fwd.z[rows, far], elsewhere], dim=1)
    reached = torch.tensor([1.0, 0.0, 0.0]).expand(b, -1)
    budgets = budget[:, None].expand(-1, 3)
    total = fwd.z.new_zeros(())
    # The prediction for a frame was made one frame before.
    sources = ((1.0, fwd.z[rows, start]), (PREDICTED, fwd.z_next[rows, start - 1]))
    for weight, source in sources:
        logit = head(source[:, None].expand_as(goals), goals, budgets)
        total = total + weight * functional.binary_cross_entropy_with_logits(logit, reached)
    return total


def _draw(
    b: int, t: int, budgets: int, generator: torch.Generator
) -> tuple[Int[Tensor, "b"], Int[Tensor, "b"], Int[Tensor, "b"], Int[Tensor, "b"]]:
    """Return budgets, start frames (from 1), frames within the budget and frames beyond it."""

    def below(high: Tensor) -> Tensor:
        return (torch.rand(b, generator=generator) * high).long()

    budget = 1 + below(torch.full((b,), budgets))
    start = 1 + below(t - 1 - budget - 1)
    near = start + 1 + below(budget)
    far = start + budget + 1 + below(t - 1 - start - budget)
    return budget, start, near, far
