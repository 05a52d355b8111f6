"""Fixed positions of patch tokens in a clip.

Axis letters: u tubelets of a clip, m patches of a frame, e features.
"""

import torch
from jaxtyping import Float
from torch import Tensor

_SLOWEST = 10_000.0
_AXES = 3


def grid_positions(num_tubelets: int, side: int, width: int) -> Float[Tensor, "u m e"]:
    """Return sines and cosines of each patch's time, row and column, a third of the width each.

    What of the width cannot be shared evenly stays zero.

    References:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.5, for each axis of its own.
    """
    rates = max(width // (2 * _AXES), 1)
    frequency = _SLOWEST ** (-torch.arange(rates) / rates)
    axes = torch.meshgrid(
        torch.arange(num_tubelets), torch.arange(side), torch.arange(side), indexing="ij"
    )
    waves = [axis.flatten()[:, None] * frequency for axis in axes]
    table = torch.cat([part for wave in waves for part in (wave.sin(), wave.cos())], dim=1)
    padded = torch.zeros(len(table), width)
    padded[:, : table.shape[1]] = table[:, :width]
    return padded.unflatten(0, (num_tubelets, side * side))
