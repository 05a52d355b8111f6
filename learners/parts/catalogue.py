"""All parts by the section and the name that a recipe calls them by: one line per part."""

from learners.parts.action_tokens import ACTION_TOKENS
from learners.parts.causal import CAUSAL
from learners.parts.clip_vit import CLIP_VIT
from learners.parts.conv import CONV
from learners.parts.frozen import FROZEN
from learners.parts.fused import FUSED
from learners.parts.kinds import PartKind
from learners.parts.masked import MASKED
from learners.parts.masks import MULTIBLOCK, TUBE
from learners.parts.object_masks import OBJECT_MASKS
from learners.parts.on_latent import HEADS
from learners.parts.pretrained import PRETRAINED
from learners.parts.steered import STEERED
from learners.parts.steered_tokens import STEERED_TOKENS
from learners.parts.targets import EMA, LIVE
from learners.parts.vit import PATCH_VIT, VIT

PARTS: dict[str, dict[str, PartKind]] = {
    "encoder": {
        "fused": FUSED,
        "conv": CONV,
        "vit": VIT,
        "patch_vit": PATCH_VIT,
        "clip_vit": CLIP_VIT,
        "frozen": FROZEN,
        "pretrained": PRETRAINED,
    },
    "target": {"live": LIVE, "ema": EMA},
    "predictor": {
        "steered": STEERED,
        "causal": CAUSAL,
        "masked": MASKED,
        "action_tokens": ACTION_TOKENS,
        "steered_tokens": STEERED_TOKENS,
    },
    "masks": {"multiblock": MULTIBLOCK, "tube": TUBE, "whole_history": OBJECT_MASKS},
    "heads": HEADS,
}
