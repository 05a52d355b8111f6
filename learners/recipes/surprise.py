"""Violation of expectation: a body that is carried off should surprise its model.

Axis letters: w windows, t time.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64

from learners.batch import Windows
from learners.probes import area_under_curve, chunks

_SENSES = ("image", "geometry", "valid", "slots")


def teleported(windows: Windows, to: Int64[np.ndarray, "w"], time: int) -> Windows:
    """Return windows in which the body is carried elsewhere just before a frame.

    From there on it sees what another window saw. What it did and felt of its motion stays: nobody
    told it.

    Args:
        windows: As they were lived.
        to: Index of the other window of each.
        time: First frame elsewhere, at least 1.

    Raises:
        ValueError: If `time` leaves no frame on one of the two sides.
    """
    num_frames = windows.image.shape[1]
    if not 1 <= time < num_frames:
        raise ValueError(f"time {time} is not between 1 and {num_frames - 1}")
    other = torch.from_numpy(to)
    senses: dict[str, Any] = {}
    for name in _SENSES:
        own = getattr(windows, name)
        senses[name] = torch.cat([own[:, :time], own[other, time:]], dim=1)
    return replace(windows, **senses, crops=None, pairs=None, planned=None)


@torch.inference_mode()
def surprise(model: Any, windows: Windows, time: int) -> Float64[np.ndarray, "w"]:
    """Return the squared error of predicting each window's frame `time` from those before.

    Args:
        model: Has `encode` and `predict`; in evaluation mode.
        windows: What is seen.
        time: Frame that is predicted, at least 1.
    """
    found = []
    for part in chunks(windows):
        z = model.encode(part).z
        predicted = model.predict(z[:, :time], part.command[:, :time])[:, -1]
        found.append((predicted - z[:, time]).square().sum(dim=-1))
    return torch.cat(found).double().numpy()


def teleport_auc(model: Any, windows: Windows, to: Int64[np.ndarray, "w"]) -> float | None:
    """Return the chance that a teleport surprises more than an ordinary step.

    Args: as for `teleported`; the body is carried off in the middle of the window.
    """
    time = windows.image.shape[1] // 2
    ordinary = surprise(model, windows, time)
    carried = surprise(model, teleported(windows, to, time), time)
    is_teleport = np.repeat([False, True], len(ordinary))
    return area_under_curve(np.concatenate([ordinary, carried]), is_teleport)
