"""What looking and planning once costs, in CPU time.

Axis letters: s plans, t time.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from learners.batch import Windows
from learners.forward import rollouts_of
from learners.paired import HORIZONS
from learners.recipes.model import ComposedModel

_NUM_PLANS = 48
_ROUNDS = 12
"""The least of so many times counts: what disturbs a measurement only ever makes it longer."""


def cost_ratio(
    candidate: ComposedModel,
    incumbent: ComposedModel,
    windows: Windows,
    clock: Callable[[], float] = time.thread_time,
) -> float:
    """Return the CPU time of encoding a frame and rolling plans out, over the incumbent's.

    Both take turns in this process, so that what else the machine does meets both.

    Args:
        candidate: Model that is judged.
        incumbent: Model that it is compared with.
        windows: Frames to look at.
        clock: Seconds of CPU time of this thread: libraries' own threads spin when the machine is
            busy.
    """
    acts = [_act(model, windows) for model in (candidate, incumbent)]
    for act in acts:
        act()
    spent = np.array([_timed(acts, clock) for _ in range(_ROUNDS)])
    mine, theirs = spent.min(axis=0)
    return float(mine / max(theirs, 1e-9))


def _act(model: ComposedModel, windows: Windows) -> Callable[[], None]:
    model.eval()
    frame = Windows(
        **{
            name: getattr(windows, name)[:1, :1]
            for name in ("image", "ego", "action", "command", "geometry", "valid", "slots")
        }
    )
    predictor = rollouts_of(model.predictor)
    plans = np.random.default_rng(0).normal(size=(_NUM_PLANS, max(HORIZONS), 2))

    def act() -> None:
        with torch.inference_mode():
            z = model.encode(frame).z[0, 0].numpy()
        predictor.rollout(z, plans.astype(np.float32))

    return act


def _timed(acts: Sequence[Callable[[], None]], clock: Callable[[], float]) -> list[float]:
    out = []
    for act in acts:
        began = clock()
        act()
        out.append(clock() - began)
    return out
