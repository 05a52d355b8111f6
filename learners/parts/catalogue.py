"""All parts by the section and the name that a recipe calls them by: one line per part."""

from learners.parts.causal import CAUSAL
from learners.parts.fused import FUSED
from learners.parts.kinds import PartKind
from learners.parts.object_masks import OBJECT_MASKS
from learners.parts.on_latent import HEADS
from learners.parts.steered import STEERED
from learners.parts.targets import EMA, LIVE
from learners.parts.vit import VIT

PARTS: dict[str, dict[str, PartKind]] = {
    "encoder": {"fused": FUSED, "vit": VIT},
    "target": {"live": LIVE, "ema": EMA},
    "predictor": {"steered": STEERED, "causal": CAUSAL},
    "masks": {"whole_history": OBJECT_MASKS},
    "heads": HEADS,
}
