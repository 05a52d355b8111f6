"""Plans of the world model, distilled into a policy that acts without one.

    L = mean over planned actions of smooth_l1( R(sg(z_t), g_t) - a_t )

g_t is the place, in the body's frame, where the body was a few steps later: what the plan has
achieved is taken for what it wanted. Places too near to have a direction are left out. The latent
takes no gradient from here: acting must not bend what prediction is made of.

References:
    LeCun 2022, A path towards autonomous machine intelligence, section 3.1.3 (from Mode-2 to
    Mode-1); Andrychowicz et al. 2017, arXiv:1707.01495 (goals in hindsight).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from learners.batch import Windows
from learners.losses.across import ALONE, Across, mean, mine
from learners.losses.forward import Forward

MIN_AHEAD = 2
"""Steps after which the place that was reached may count as a goal."""
MAX_AHEAD = 8
"""As far as the planner looks."""
MIN_GOAL_M = 0.15


class Examples(NamedTuple):
    """Planned actions and what they were for."""

    window: Int[Tensor, "n"]
    time: Int[Tensor, "n"]
    goal_m: Float[Tensor, "n 2"]


def examples(windows: Windows, generator: torch.Generator, across: Across = ALONE) -> Examples:
    """Return one goal for every planned action that led somewhere.

    Args:
        windows: A batch, or this process's share of one.
        generator: Draws how far ahead goals lie.
        across: Who holds the rest of it.

    Raises:
        ValueError: If the windows do not tell who chose the actions.
    """
    if windows.planned is None:
        raise ValueError("the windows do not tell which actions were planned")
    pose = windows.planned.pose
    num_frames = pose.shape[1]
    window, time = windows.planned.is_planned[:, : num_frames - MIN_AHEAD].nonzero(as_tuple=True)
    longest = (num_frames - 1 - time).clamp(max=MAX_AHEAD)
    # Drawn for all frames of all processes, so that every generator goes on from one state.
    shares = torch.rand(len(pose) * across.count, num_frames, generator=generator)
    share = mine(across, shares)[window, time]
    ahead = MIN_AHEAD + (share * (longest - MIN_AHEAD + 1)).long()
    here, there = pose[window, time], pose[window, time + ahead]
    dx, dy = (there - here)[:, :2].unbind(-1)
    cos, sin = here[:, 2].cos(), here[:, 2].sin()
    goal_m = torch.stack([cos * dx + sin * dy, cos * dy - sin * dx], dim=-1)
    far = goal_m.norm(dim=-1) >= MIN_GOAL_M
    return Examples(window[far], time[far], goal_m[far])


def distillation(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean robust error of the actions; zero if none was planned."""
    found = examples(fwd.windows, fwd.generator, fwd.across)
    z = fwd.z[found.window, found.time].detach()
    acted = fwd.windows.action[found.window, found.time]
    chosen = fwd.model.reactive(z, found.goal_m)
    return mean(fwd.across, functional.smooth_l1_loss(chosen, acted, beta=0.1, reduction="none"))
