"""All losses by the name of their weight."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from learners.config import LossConfig
from learners.losses.collision import collision
from learners.losses.egomotion import egomotion
from learners.losses.forward import Forward
from learners.losses.inverse_dynamics import inverse_dynamics
from learners.losses.objects import objects
from learners.losses.prediction import prediction
from learners.losses.quasi_distance import quasi_distance
from learners.losses.rollout import rollout
from learners.losses.sub_sigreg import sub_sigreg

LOSSES: dict[str, Callable[[Forward], Float[Tensor, ""]]] = {
    "prediction": prediction,
    "rollout": rollout,
    "sub_sigreg": sub_sigreg,
    "inverse_dynamics": inverse_dynamics,
    "egomotion": egomotion,
    "collision": collision,
    "objects": objects,
    "quasi_distance": quasi_distance,
}

SIGREG_BATCH = 128
"""Batch size that the weight of `sub_sigreg` is given for."""


def weights_for(config: LossConfig, batch_size: int) -> dict[str, float]:
    """Return the weight of each loss for a batch size.

    The SIGReg statistic grows with the number of samples; its weight shrinks by as much.
    """
    weights = config.model_dump()
    assert weights.keys() == LOSSES.keys(), "every loss has a weight and every weight a loss"
    weights["sub_sigreg"] *= SIGREG_BATCH / batch_size
    return weights


def total_loss(
    fwd: Forward, weights: dict[str, float]
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return the weighted sum and the parts, unweighted."""
    assert weights.keys() == LOSSES.keys(), "every loss has a weight and every weight a loss"
    parts = {name: loss(fwd) for name, loss in LOSSES.items() if weights[name] != 0}
    total = sum((weights[name] * part for name, part in parts.items()), fwd.z.new_zeros(()))
    return total, {name: part.detach() for name, part in parts.items()}
