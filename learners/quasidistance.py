"""How many steps it takes from one latent to another; not symmetric.

Axis letters: n pairs, d latent, k components, l intervals.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


def iqe_components(x: Float[Tensor, "*n k l"], y: Float[Tensor, "*n k l"]) -> Float[Tensor, "*n k"]:
    """Return the length of the union of the intervals [x, max(x, y)] of each component.

    References:
        Wang and Isola 2022, arXiv:2211.15120, Eq. (2).
    """
    ends = torch.cat([x, torch.maximum(x, y)], dim=-1)
    ends, order = ends.sort(dim=-1)
    # +1 opens an interval, -1 closes one; a gap counts while at least one is open.
    opens = torch.where(order < x.shape[-1], 1, -1)
    is_open = opens.cumsum(dim=-1)[..., :-1] > 0
    return (ends.diff(dim=-1) * is_open).sum(dim=-1)


class QuasiDistance(nn.Module):
    """Interval quasimetric embedding of latents: d(x, x) = 0 and the triangle inequality hold.

    Trained on latents without gradient: sharing the gradient with prediction costs both.

    References:
        Wang and Isola 2022, arXiv:2211.15120, section 4 (maxmean reduction).
    """

    def __init__(self, latent_dim: int, width: int, components: int, intervals: int) -> None:
        super().__init__()
        self.components, self.intervals = components, intervals
        self.project = nn.Sequential(
            nn.Linear(latent_dim, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, components * intervals),
        )
        self.raw_mix = nn.Parameter(torch.tensor(-1.0))
        self.raw_scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, z: Float[Tensor, "n d"], z_goal: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
        """Return the steps from each latent to its goal, >= 0."""
        return self.between(self.points(z), self.points(z_goal))

    def points(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n k l"]:
        """Return the embedding that distances are measured in."""
        return self.project(z).unflatten(-1, (self.components, self.intervals))

    def between(
        self, x: Float[Tensor, "*n k l"], y: Float[Tensor, "*n k l"]
    ) -> Float[Tensor, "*n"]:
        """Return the steps between embedded points."""
        parts = iqe_components(x, y)
        mix = torch.sigmoid(self.raw_mix)
        length = mix * parts.amax(dim=-1) + (1 - mix) * parts.mean(dim=-1)
        return functional.softplus(self.raw_scale) * length
