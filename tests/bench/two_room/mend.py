"""What the peer needs before it can be imported: import this first."""

import warnings

import torch

_MISSING = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    # torchvision's own build may not fit a CPU build of torch; nothing here detects boxes.
    if not hasattr(torch.ops.torchvision, _name):
        _MISSING.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

# It names environments that are not installed, and nobody here asks for.
warnings.filterwarnings("ignore", module="stable_worldmodel")
