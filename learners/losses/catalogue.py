"""All losses by the name of their weight, and the parts that each of them asks for."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from learners.losses.agreement import agreement
from learners.losses.collision import collision
from learners.losses.dead_reckoning import dead_reckoning
from learners.losses.distillation import distillation
from learners.losses.egomotion import egomotion
from learners.losses.error_spread import error_spread
from learners.losses.forward import Forward
from learners.losses.inverse_dynamics import inverse_dynamics
from learners.losses.l2_init import l2_init
from learners.losses.likelihood import likelihood
from learners.losses.masked_l1 import masked_l1
from learners.losses.masked_smooth_l1 import masked_smooth_l1
from learners.losses.multi_horizon import multi_horizon
from learners.losses.multistep import multistep
from learners.losses.next_view import next_view
from learners.losses.object_tracks import object_tracks
from learners.losses.objects import objects
from learners.losses.posterior import posterior
from learners.losses.prediction import prediction
from learners.losses.qrl import qrl
from learners.losses.quasi_distance import quasi_distance
from learners.losses.reachability import reachability
from learners.losses.rollout import rollout
from learners.losses.separate_prediction import separate_prediction
from learners.losses.settled_value import settled_value
from learners.losses.sigreg import sigreg
from learners.losses.sub_sigreg import sub_sigreg
from learners.losses.teacher_forcing import teacher_forcing
from learners.losses.token_rollout import token_rollout
from learners.losses.value import value
from learners.losses.visible_l1 import visible_l1


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
_MASKED = frozenset({"masks", "hidden_predictor", "teacher"})
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
    "qrl": Loss(qrl, frozenset({"quasi_distance", "multiplier"})),
    "value": Loss(value, frozenset({"quasi_distance"})),
    "settled_value": Loss(settled_value, frozenset({"quasi_distance"})),
    "separate_prediction": Loss(separate_prediction, _PREDICTOR),
    "reachability": Loss(reachability, _PREDICTOR | {"reachability"}),
    "multi_horizon": Loss(multi_horizon, _PREDICTOR),
    "likelihood": Loss(likelihood, _PREDICTOR | {"spread", "posterior", "teacher"}),
    "error_spread": Loss(error_spread, _PREDICTOR | {"spread"}),
    "posterior": Loss(posterior, frozenset({"posterior"})),
    "agreement": Loss(agreement, frozenset({"latent"})),
    "masked_smooth_l1": Loss(masked_smooth_l1, _MASKED),
    "masked_l1": Loss(masked_l1, _MASKED),
    "visible_l1": Loss(visible_l1, _MASKED),
    "object_tracks": Loss(object_tracks, frozenset({"tracks", "object_masks"})),
    "distillation": Loss(distillation, frozenset({"reactive"})),
    "next_view": Loss(next_view, frozenset({"aggregate", "teacher"})),
    "l2_init": Loss(l2_init, frozenset({"initial"})),
    "teacher_forcing": Loss(teacher_forcing, _TOKEN_PREDICTOR),
    "token_rollout": Loss(token_rollout, _TOKEN_PREDICTOR),
    "multistep": Loss(multistep, _TOKEN_PREDICTOR),
    "dead_reckoning": Loss(dead_reckoning, frozenset({"dead_reckoning"})),
}
