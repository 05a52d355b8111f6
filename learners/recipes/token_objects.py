"""Which kind of object a patch shows, read linearly from its token.

A patch shows a kind where its middle lies in the box of one in view. One line for all places.

Axis letters: w clips, u tubelets, t time, m patches of a frame, e features, c kinds of objects.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learners.batch import Windows
from learners.parts.kinds import Shape
from learners.recipes.dense_probes import object_auc

_BOX = slice(0, 4)


def token_object_auc(
    shape: Shape,
    dense: Float[Tensor, "w u m e"],
    fit: Windows,
    dense_test: Float[Tensor, "v u m e"],
    test: Windows,
    kinds: Sequence[Sequence[int]],
) -> float | None:
    """Return the mean area under the curve of the kinds; None if none can be judged.

    Args:
        shape: Of the encoder.
        dense: Tokens that the line is fitted on.
        fit: Their windows.
        dense_test: Tokens that it is judged on.
        test: Their windows.
        kinds: Slots of each kind.
    """
    shown, shown_test = (patch_kinds(shape, windows, kinds) for windows in (fit, test))
    x, x_test = (d.flatten(0, 2).double().numpy() for d in (dense, dense_test))
    return object_auc(x, shown.flatten(0, 2).numpy(), x_test, shown_test.flatten(0, 2).numpy())


def patch_kinds(
    shape: Shape, windows: Windows, kinds: Sequence[Sequence[int]]
) -> Bool[Tensor, "w u m c"]:
    """Return which kinds each token shows in any of its frames."""
    middle = (torch.arange(shape.side) + 0.5) / shape.side
    y, x = (axis.flatten() for axis in torch.meshgrid(middle, middle, indexing="ij"))
    x0, y0, x1, y1 = windows.geometry[..., _BOX, None].unbind(dim=-2)
    inside = (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1) & windows.valid[..., None]
    of_kind = torch.stack(
        [torch.isin(windows.slots, torch.tensor(list(slots))) for slots in kinds], dim=-1
    )
    shown = (inside[..., None] & of_kind[..., None, :]).any(dim=2)
    span = shape.frames_per_token
    if missing := -shown.shape[1] % span:
        shown = torch.cat([shown, shown[:, -1:].expand(-1, missing, -1, -1)], dim=1)
    return shown.unflatten(1, (-1, span)).any(dim=2)
