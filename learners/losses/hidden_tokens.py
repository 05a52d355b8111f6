"""What the masked methods share: tokens told from visible patches beside those of the teacher.

    target_i = LN( teacher(whole clip)_i )        LN: over features, without gain and bias
    told     = P( E(visible patches), where they are, where the hidden ones are )

Encoder layers that are supervised have a target and a prediction each.

Axis letters: b batch, n visible patches, h hidden patches, m all patches of a clip, l layers, e
patch features.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from learners.losses.forward import Forward
from learners.parts.kinds import Encoded
from learners.parts.masks import Masked


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One hidden region and the visible patches that it was told from.

    Attributes:
        keep: Numbers of the visible patches.
        hidden: Numbers of the hidden ones.
        visible: What the predictor makes of the visible patches.
        visible_target: What the teacher does.
        predicted: What the predictor makes of the hidden patches.
        target: What the teacher does.
    """

    keep: Int[Tensor, "b n"]
    hidden: Int[Tensor, "b h"]
    visible: Float[Tensor, "b n l e"]
    visible_target: Float[Tensor, "b n l e"]
    predicted: Float[Tensor, "b h l e"]
    target: Float[Tensor, "b h l e"]


def told_regions(fwd: Forward) -> list[Told]:
    """Return all regions of a fresh draw of masks; use as `fwd.once(told_regions)`."""
    model = fwd.model
    masked: Masked = model.masks(fwd.windows, fwd.generator)
    teacher = model.target(masked.windows)
    targets, num_tubelets = layer_targets(teacher), teacher.dense.shape[1]
    told = []
    for task in masked.tasks:
        visible = torch.stack(model.encoder.visible(masked.windows, task.keep), dim=2)
        for hidden in task.hidden:
            seen, predicted = model.predictor(visible, task.keep, hidden, num_tubelets)
            told.append(
                Told(
                    keep=task.keep,
                    hidden=hidden,
                    visible=seen,
                    visible_target=_take(targets, task.keep),
                    predicted=predicted,
                    target=_take(targets, hidden),
                )
            )
    return told


def layer_targets(teacher: Encoded) -> Float[Tensor, "b m l e"]:
    """Return the layer-normalised tokens of the supervised layers, the last layer last."""
    assert teacher.dense is not None
    layers = torch.stack([*teacher.levels, teacher.dense], dim=3).flatten(1, 2)
    return functional.layer_norm(layers, layers.shape[-1:])


def _take(
    tokens: Float[Tensor, "b m l e"], numbers: Int[Tensor, "b n"]
) -> Float[Tensor, "b n l e"]:
    index = numbers[..., None, None].expand(-1, -1, *tokens.shape[2:])
    return tokens.gather(1, index)
