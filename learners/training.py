"""The loop of a learning round: draw, update, stop in time."""

import queue
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
import torch

from learners.batch import Scale, Windows, to_windows
from learners.config import RoundConfig
from learners.pose_graph import PoseGraph
from learners.update import Updater
from memory.protocols import ReplayStore
from memory.records import Batch

_TIMED_UPDATES = 6
_CROPS = 48
_PAIRS = 1024
_AHEAD = 2


@dataclass(slots=True, kw_only=True)
class TrainingLog:
    """What the loop did.

    Attributes:
        num_updates: Optimiser steps.
        seconds: Wall time of the loop.
        waited_s: Part of it in which no batch was ready.
        losses: Every loss of every step.
    """

    num_updates: int = 0
    seconds: float = 0.0
    waited_s: float = 0.0
    losses: list[dict[str, float]] = field(default_factory=list)

    def mean_losses(self, last: int = 50) -> dict[str, float]:
        """Return the means over the last steps."""
        tail = self.losses[-last:]
        return {name: float(np.mean([x[name] for x in tail])) for name in tail[0]} if tail else {}


class Prefetcher:
    """Draws batches in a thread; their order depends on the seed alone."""

    def __init__(
        self, replay: ReplayStore, config: RoundConfig, scale: Scale, graph: PoseGraph, seed: int
    ) -> None:
        self._replay, self._config, self._scale, self._graph = replay, config, scale, graph
        self._rng = np.random.default_rng(seed)
        self._ready: queue.Queue[tuple[Windows, Batch] | Exception] = queue.Queue(maxsize=_AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)

    def __enter__(self) -> "Prefetcher":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        while self._thread.is_alive():
            # The thread may wait for room.
            try:
                self._ready.get(timeout=0.05)
            except queue.Empty:
                continue

    def next(self) -> Windows:
        """Return the next batch.

        Raises:
            Exception: Whatever drawing it raised.
        """
        item = self._ready.get()
        if isinstance(item, Exception):
            raise item
        windows, batch = item
        # Not in the thread: it runs ahead by a number of batches that depends on the clock.
        self._graph.add(batch.pose)
        return windows

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                item: tuple[Windows, Batch] | Exception = self._draw()
            except Exception as error:  # handed over to the caller of `next`
                item = error
            self._ready.put(item)
            if isinstance(item, Exception):
                return

    def _draw(self) -> tuple[Windows, Batch]:
        config = self._config
        batch = self._replay.sample(
            config.batch_size, config.horizon, self._rng, recent=config.recent
        )
        return to_windows(batch, self._scale, self._rng, crops=_CROPS, pairs=_PAIRS), batch


def train(updater: Updater, batches: Prefetcher, config: RoundConfig, seed: int) -> TrainingLog:
    """Update until the budget or the number of updates is used up.

    The learning rate follows the share of planned updates. If `max_updates` is the tighter bound,
    the plan does not depend on the clock and the round can be repeated bit for bit.
    """
    log = TrainingLog()
    generator = torch.Generator().manual_seed(seed)
    planned = config.max_updates
    began = time.monotonic()
    while log.num_updates < planned:
        asked = time.monotonic()
        windows = batches.next()
        log.waited_s += time.monotonic() - asked
        progress = log.num_updates / planned
        log.losses.append(updater.step(windows, generator, progress))
        log.num_updates += 1
        log.seconds = time.monotonic() - began
        if log.num_updates >= _TIMED_UPDATES:
            left_s = max(config.budget_s - log.seconds, 0.0)
            affordable = log.num_updates + int(left_s / (log.seconds / log.num_updates))
            planned = min(config.max_updates, affordable)
    return log
