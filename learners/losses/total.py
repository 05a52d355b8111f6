"""The weighted sum of losses."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from learners.losses.catalogue import BATCH_OF_WEIGHTS, LOSSES
from learners.losses.forward import Forward


def weights_for(weights: Mapping[str, float], batch_size: int) -> dict[str, float]:
    """Return the weight of each loss for a batch size.

    A statistic that grows with the number of samples loses as much weight.
    """
    return {
        name: weight * BATCH_OF_WEIGHTS / batch_size if LOSSES[name].grows_with_batch else weight
        for name, weight in weights.items()
    }


def total_loss(
    fwd: Forward, weights: Mapping[str, float]
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return the weighted sum and the parts, unweighted; a loss of weight 0 is not computed."""
    parts = {name: LOSSES[name].of(fwd) for name, weight in weights.items() if weight != 0}
    # Not `fwd.z.new_zeros`: masked methods train without the latents of whole frames.
    nothing = fwd.windows.image.new_zeros(())
    total = sum((weights[name] * part for name, part in parts.items()), nothing)
    return total, {name: part.detach() for name, part in parts.items()}
