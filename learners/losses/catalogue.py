"""All losses by the name of their weight, and the parts that each of them asks for."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from learners.losses.collision import collision
from learners.losses.egomotion import egomotion
from learners.losses.forward import Forward
from learners.losses.inverse_dynamics import inverse_dynamics
from learners.losses.multistep import multistep
from learners.losses.objects import objects
from learners.losses.prediction import prediction
from learners.losses.quasi_distance import quasi_distance
from learners.losses.rollout import rollout
from learners.losses.sigreg import sigreg
from learners.losses.sub_sigreg import sub_sigreg
from learners.losses.teacher_forcing import teacher_forcing
from learners.losses.token_rollout import token_rollout


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss.

    Attributes:
        of: Returns its mean over a batch.
        needs: What the parts of a recipe have to provide.
        grows_with_batch: Whether its value is proportional to the batch: its weight is then given
            for `BATCH_OF_WEIGHTS` windows and shrinks as batches grow.
    """

    of: Callable[[Forward], Float[Tensor, ""]]
    needs: frozenset[str] = frozenset()
    grows_with_batch: bool = False


BATCH_OF_WEIGHTS = 128

_PREDICTOR = frozenset({"predictor"})
_TOKEN_PREDICTOR = frozenset({"token_predictor"})

LOSSES: dict[str, Loss] = {
    "prediction": Loss(prediction, _PREDICTOR),
    "rollout": Loss(rollout, _PREDICTOR),
    "sigreg": Loss(sigreg, grows_with_batch=True),
    "sub_sigreg": Loss(sub_sigreg, frozenset({"subspaces"}), grows_with_batch=True),
    "inverse_dynamics": Loss(inverse_dynamics, frozenset({"inverse_dynamics"})),
    "egomotion": Loss(egomotion, frozenset({"motion"})),
    "collision": Loss(collision, frozenset({"motion"})),
    "objects": Loss(objects, frozenset({"objects"})),
    "quasi_distance": Loss(quasi_distance, frozenset({"quasi_distance"})),
    "teacher_forcing": Loss(teacher_forcing, _TOKEN_PREDICTOR),
    "token_rollout": Loss(token_rollout, _TOKEN_PREDICTOR),
    "multistep": Loss(multistep, _TOKEN_PREDICTOR),
}
