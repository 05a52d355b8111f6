"""The loop of a learning round: draw, update, stop in time."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch.utils.flop_counter import FlopCounterMode

from learners.batch import Scale, Windows, rows_of, to_windows
from learners.losses.across import ALONE, Across, share
from learners.pose_graph import PoseGraph
from learners.recipes.spec import TrainingSpec
from learners.update import Updater
from memory.protocols import ReplayStore
from memory.replay.samplers import Curious, Sampler

_TIMED_UPDATES = 6
_CROPS = 48
_PAIRS = 1024
_AHEAD = 2
"""Batches in the making while one is trained on. What a batch taught reaches the sampler before the
draw this many batches later, however fast either side is."""

_Drawn = tuple[Windows, Float32[np.ndarray, "b t 3"], Int64[np.ndarray, "b"]]
"""A batch, its poses, and its windows' first steps. Not the rows: they take as much again."""

_Taught = tuple[Int64[np.ndarray, "b"], Float32[np.ndarray, "b"]]


@dataclass(slots=True, kw_only=True)
class TrainingLog:
    """What the loop did.

    Attributes:
        num_updates: Optimiser steps.
        seconds: Time of the loop on the clock that bounds it.
        waited_s: Part of it in which no batch was ready.
        wall_s: Wall time of the loop.
        cpu_s: CPU-seconds of the process meanwhile, drawing batches included.
        flops_per_update: Additions and multiplications of the products of one step, counted at the
            first; None before.
        losses: Every loss of every step.
    """

    num_updates: int = 0
    seconds: float = 0.0
    waited_s: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    flops_per_update: float | None = None
    losses: list[dict[str, float]] = field(default_factory=list)

    @property
    def waited_share(self) -> float:
        """Share of the time in which no batch was ready."""
        return self.waited_s / self.wall_s if self.wall_s > 0 else 0.0

    def mean_losses(self, last: int = 50) -> dict[str, float]:
        """Return the means over the last steps."""
        tail = self.losses[-last:]
        return {name: float(np.mean([x[name] for x in tail])) for name in tail[0]} if tail else {}


class Prefetcher:
    """Draws batches in a thread; their order depends on the seed alone.

    Args:
        replay: Store to draw from.
        config: How many windows of how many frames.
        scale: Unit of actions.
        graph: Learns the poses that were drawn.
        seed: Batch k is drawn with the numbers of (seed, k).
        sampler: Chooses windows.
        curious: The part of it that learns from what was trained on, if any.
        first: Number of the first batch; those before it were trained on already.
        across: Who trains on the rest of each batch; all draw the same and keep their share.

    Raises:
        ValueError: If the batch cannot be shared equally.
    """

    def __init__(
        self,
        replay: ReplayStore,
        config: TrainingSpec,
        scale: Scale,
        graph: PoseGraph,
        seed: int,
        sampler: Sampler | None = None,
        curious: Curious | None = None,
        first: int = 0,
        across: Across = ALONE,
    ) -> None:
        if config.batch_size % across.count or config.batch_size < 2 * across.count:
            raise ValueError(
                f"a batch of {config.batch_size} windows cannot be shared by {across.count} "
                "processes: each needs as many, and at least two"
            )
        self._across = across
        self._replay, self._config, self._scale, self._graph = replay, config, scale, graph
        self._seed, self._sampler, self._curious = seed, sampler, curious
        # One thread: it takes the draws and what they taught in the order in which it was asked.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
        self._coming: deque[Future[_Drawn]] = deque()
        self._num_asked = first
        self._steps = np.zeros(0, dtype=np.int64)
        self._taught: _Taught | None = None

    def __enter__(self) -> "Prefetcher":
        for _ in range(_AHEAD):
            self._ask()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # What was taught travels with the draws, so only a round that failed may drop some.
        self._thread.shutdown(cancel_futures=kind is not None)
        if kind is None:
            self._teach(self._taught)

    def next(self) -> Windows:
        """Return the next batch.

        Raises:
            Exception: Whatever drawing it raised.
        """
        windows, pose, self._steps = self._coming.popleft().result()
        self._ask()
        # Not in the thread: it runs ahead by a number of batches that depends on the clock.
        self._graph.add(pose)
        return windows

    def learn(self, window_error: Float32[np.ndarray, "b"]) -> None:
        """Tell the sampler the errors of the batch that `next` returned last."""
        self._taught = (self._steps, window_error)

    def _ask(self) -> None:
        self._coming.append(self._thread.submit(self._draw, self._num_asked, self._taught))
        self._num_asked, self._taught = self._num_asked + 1, None

    def _teach(self, taught: _Taught | None) -> None:
        if self._curious is not None and taught is not None:
            self._curious.learn(*taught)

    def _draw(self, number: int, taught: _Taught | None) -> _Drawn:
        self._teach(taught)
        config, rng = self._config, np.random.default_rng([self._seed, number])
        batch = self._replay.sample(config.batch_size, config.horizon, rng, sampler=self._sampler)
        windows = to_windows(batch, self._scale, rng, crops=_CROPS, pairs=_PAIRS)
        mine = rows_of(windows, share(self._across, config.batch_size))
        return mine, batch.pose, batch.step[:, 0].copy()


def train(
    updater: Updater,
    batches: Prefetcher,
    seed: int,
    *,
    budget_s: float,
    max_updates: int,
    clock: Callable[[], float] = time.monotonic,
    on_update: Callable[[int, int], None] = lambda done, planned: None,
    log: TrainingLog | None = None,
    generator: torch.Generator | None = None,
) -> TrainingLog:
    """Update until the budget or the number of updates is used up.

    The learning rate follows the share of planned updates. If `max_updates` is the tighter bound,
    the plan does not depend on the clock and the round can be repeated bit for bit.

    Args:
        updater: Takes the steps.
        batches: Where windows come from.
        seed: Of the losses' randomness.
        budget_s: Seconds of the clock.
        max_updates: Upper bound of optimiser steps.
        clock: What the budget is measured with; `time.process_time` for CPU-seconds.
        on_update: Told the updates done and planned.
        log: Of the updates before, when a training goes on; continued.
        generator: Source of the losses' randomness, when a training goes on or is to.
    """
    log = log or TrainingLog()
    generator = generator or torch.Generator(updater.device).manual_seed(seed)
    planned = max_updates
    began = clock() - log.seconds
    wall_began, cpu_began = time.monotonic() - log.wall_s, time.process_time() - log.cpu_s

    def drawn() -> Windows:
        asked = time.monotonic()
        windows = batches.next()
        log.waited_s += time.monotonic() - asked
        return windows

    while log.num_updates < planned:
        if log.flops_per_update is None:
            # On a real step: the counter looks on, and takes no step of its own.
            with FlopCounterMode(display=False) as counter:
                step = updater.step_of(drawn, generator, log.num_updates / planned)
            log.flops_per_update = float(counter.get_total_flops())
        else:
            step = updater.step_of(drawn, generator, log.num_updates / planned)
        if step.window_error is not None:
            batches.learn(step.window_error)
        log.losses.append(step.losses)
        log.num_updates += 1
        log.seconds = clock() - began
        log.wall_s = time.monotonic() - wall_began
        log.cpu_s = time.process_time() - cpu_began
        if log.num_updates >= _TIMED_UPDATES:
            left_s = max(budget_s - log.seconds, 0.0)
            affordable = log.num_updates + int(left_s / (log.seconds / log.num_updates))
            # One clock counts for all processes, or one would wait for the others for ever.
            planned = int(updater.across.same(torch.tensor(min(max_updates, affordable))))
        on_update(log.num_updates, planned)
    return log
