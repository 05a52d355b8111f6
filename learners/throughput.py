"""How fast a training was, and what share of the device's speed it used."""

import time
from dataclasses import asdict, dataclass

import torch

from learners.training import TrainingLog
from learners.update import Updater

_SIDE = 1024
_REPEATS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Of one training.

    Seconds are those that the trainer had: of the processor (drawing batches included) where it
    computes there, which others may use too, of the clock on a graphics card.

    Attributes:
        windows_per_s: Windows trained on.
        frames_per_s: Frames of them.
        flops_per_update: Additions and multiplications of the matrix products, convolutions and
            attentions of one step, both passes; what element by element is done is not counted.
        ceiling_flops: Of a square product in the same process, per second.
        mfu: Share of the ceiling that was used, 0 to 1.
    """

    windows_per_s: float
    frames_per_s: float
    flops_per_update: float | None
    ceiling_flops: float
    mfu: float | None

    def as_metrics(self) -> dict[str, float | None]:
        """Return the numbers by name."""
        return asdict(self)


def throughput(
    updater: Updater, log: TrainingLog, *, batch_size: int, horizon: int
) -> Throughput | None:
    """Return the throughput of a training; None if it took no step.

    Args:
        updater: Took the steps.
        log: What they were.
        batch_size: Windows of a batch, of all processes that share it.
        horizon: Frames of a window.
    """
    seconds = log.cpu_s if updater.device.type == "cpu" else log.wall_s
    if not log.num_updates or seconds <= 0:
        return None
    updates_per_s = log.num_updates / seconds
    windows_per_s = updates_per_s * batch_size * updater.accumulate
    ceiling = matrix_ceiling(updater.device, updater.precision)
    flops = log.flops_per_update
    return Throughput(
        windows_per_s=windows_per_s,
        frames_per_s=windows_per_s * horizon,
        flops_per_update=flops,
        ceiling_flops=ceiling,
        mfu=None if flops is None else flops * updates_per_s / ceiling,
    )


def matrix_ceiling(device: torch.device, precision: str) -> float:
    """Return the additions and multiplications per second of a product of square matrices.

    Args:
        device: Where.
        precision: Of its numbers, as `torch` names it.
    """
    on_cpu = device.type == "cpu"
    side = _SIDE if on_cpu else 8 * _SIDE
    a = torch.ones(side, side, dtype=getattr(torch, precision), device=device)
    best_s = float("inf")
    for _ in range(_REPEATS):
        began = time.process_time() if on_cpu else time.perf_counter()
        torch.mm(a, a)
        if not on_cpu:
            torch.cuda.synchronize(device)
        ended = time.process_time() if on_cpu else time.perf_counter()
        best_s = min(best_s, ended - began)
    return float(2 * side**3 / best_s)
