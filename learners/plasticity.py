"""Whether a model can still learn: units that do nothing, size of weights and gradients.

Axis letters: n units.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

DORMANT_BELOW = 0.025
"""A unit is dormant if its mean activity is below this share of its layer's."""

_ACTIVATIONS = (nn.ReLU, nn.GELU)


class Activity:
    """Mean absolute activation of every unit behind an activation function."""

    def __init__(self) -> None:
        self._sums: dict[str, Float64[np.ndarray, "n"]] = {}

    def note(self, layer: str, output: Tensor) -> None:
        """Add the activations of one call; maps of an image have their units second."""
        size = output.detach().abs()
        units = size.movedim(1, -1) if size.ndim == 4 else size
        total = units.flatten(0, -2).double().sum(0).numpy()
        # A mean over all calls and its sum have the same shares.
        self._sums[layer] = self._sums[layer] + total if layer in self._sums else total

    def dormant(self) -> dict[str, float]:
        """Return the share of dormant units by layer.

        References:
            Sokar et al. 2023, arXiv:2302.12902, Definition 3.1.
        """
        return {
            layer: float((total <= DORMANT_BELOW * total.mean()).mean())
            for layer, total in self._sums.items()
        }

    def dormant_share(self) -> float:
        """Return the share of all units."""
        sizes = {layer: len(total) for layer, total in self._sums.items()}
        count = sum(share * sizes[layer] for layer, share in self.dormant().items())
        return count / max(sum(sizes.values()), 1)


@contextlib.contextmanager
def watch_units(model: nn.Module) -> Iterator[Activity]:
    """Record the activity of a model's units while the block runs."""
    activity = Activity()
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, _ACTIVATIONS):

            def note(_: nn.Module, __: Any, output: Tensor, name: str = name) -> None:
                activity.note(name, output)

            handles.append(module.register_forward_hook(note))
    try:
        yield activity
    finally:
        for handle in handles:
            handle.remove()


def gauges(
    model: nn.Module, activity: Activity, grad_norm: float | None, rank: float, before: float | None
) -> dict[str, Any]:
    """Return the gauges of a round, for its metrics.

    Args:
        model: After the round.
        activity: Of its units on the probe windows.
        grad_norm: Mean norm of the last gradients before they were clipped.
        rank: Effective rank of its latents.
        before: The same of the checkpoint that the round began with.
    """
    with torch.no_grad():
        squares = [p.square().sum() for p in model.parameters()]
    layers = activity.dormant()
    worst = max(layers, key=lambda name: layers[name], default="")
    return {
        "dormant_share": activity.dormant_share(),
        "dormant_worst_layer": worst,
        "dormant_worst_share": layers.get(worst, 0.0),
        "weight_norm": float(torch.stack(squares).sum().sqrt()),
        "grad_norm": grad_norm,
        "effective_rank_change": None if before is None else rank - before,
    }
