"""Pixels on a common scale.

What all patches share, above all that they have a depth and that nothing is black, is most of what
an untrained encoder makes of raw pixels: of layer-normalised tokens of a house life 0.87 of the
square is one constant vector, 0.19 once pixels are standardised. A loss on tokens is then a loss on
that constant.

Axis letters: b batch, t time, c channels, h w image.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

Channels = tuple[float, float, float, float, float]
"""Of red, green, blue, depth and has-depth, as `learners.batch.to_image` makes them."""

NO_MEAN: Channels = (0.0, 0.0, 0.0, 0.0, 0.0)
NO_SPREAD: Channels = (1.0, 1.0, 1.0, 1.0, 1.0)


class Standardised(nn.Module):
    """Take a mean off each channel and divide by a spread.

    Args:
        mean: Of each channel.
        spread: Standard deviation of each channel.

    Raises:
        ValueError: If a spread is not positive.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: Channels, spread: Channels) -> None:
        super().__init__()
        if min(spread) <= 0:
            raise ValueError(f"pixel_spread {list(spread)}: every number has to be above 0")
        # Settings of the recipe, not weights: they need no place in a checkpoint.
        for name, values in (("mean", mean), ("spread", spread)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, image: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c h w"]:
        """Return images of the same size."""
        return (image - self.mean) / self.spread
