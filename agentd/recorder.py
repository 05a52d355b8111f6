"""The recorder thread: the only writer of the tables.

The control loop hands rows over and goes on. What is lost on a power cut is at most what was handed
over in the last `flush_s` seconds; what `rows_committed` has counted is on disk.

A row that the store refuses (a pose that is no number, a clock that went back) is dropped and
counted, so that it does not hold up the good ones behind it, and the episode is cut.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

from memory.config import ReplayConfig
from memory.errors import RefusedRowError
from memory.records import Transition


class Replay(Protocol):
    """The part of a replay store that the recorder writes."""

    def append(self, transitions: list[Transition]) -> int: ...


class SlotTables(Protocol):
    """The part of an object memory that the recorder writes."""

    def flush(self) -> int: ...


_LAST_TRIES_S = 0.1
"""Between two tries to write what is left when the life ends."""


class Recorder:
    """Batches transitions into the replay store and lets the slot tables follow."""

    def __init__(
        self,
        replay: Replay,
        slots: SlotTables,
        config: ReplayConfig,
        on_error: Callable[[str], None],
    ) -> None:
        self._replay, self._slots, self._config = replay, slots, config
        self._on_error = on_error
        self._queue: queue.Queue[Transition] = queue.Queue(maxsize=config.queue_rows)
        self._stop = threading.Event()
        self._pause = threading.Event()
        self._hurry = threading.Event()
        self._pending: list[Transition] = []
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self.rows_committed = 0
        self.version = 0
        self._num_unqueued = 0
        self._num_refused = 0
        self._cut = threading.Event()
        self._errors: dict[str, str] = {}

    @property
    def rows_queued(self) -> int:
        """Rows handed over but not yet on disk."""
        return self._queue.qsize() + len(self._pending)

    @property
    def dropped_rows(self) -> int:
        """Rows that no queue had room for or that the store refused."""
        return self._num_unqueued + self._num_refused

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, transition: Transition, *, wait_s: float = 0.0) -> bool:
        """Hand over one row.

        Args:
            transition: The row.
            wait_s: How long to wait for a full queue: 0 on a real body, where the tick goes first.

        Returns:
            False if this row was dropped or one before it was refused by the store; the caller
            then starts a new episode, so that none has a hole.
        """
        try:
            if wait_s > 0:
                self._queue.put(transition, timeout=wait_s)
            else:
                self._queue.put_nowait(transition)
        except queue.Full:
            self._num_unqueued += 1
            return False
        if self._cut.is_set():
            self._cut.clear()
            return False
        return True

    def hurry(self) -> None:
        """Write what is queued now, not when a batch is full."""
        self._hurry.set()

    def close(self, timeout_s: float) -> bool:
        """Write what is queued and end the thread; return whether everything was written."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive() and self.rows_queued == 0

    def _run(self) -> None:
        last_flush = time.monotonic()
        while True:
            self._take(last_flush)
            stopping = self._stop.is_set() and self._queue.empty()
            due = self._hurry.is_set() or time.monotonic() - last_flush >= self._config.flush_s
            if self._pending and (len(self._pending) >= self._config.batch_rows or due or stopping):
                written = self._commit()
                if not written and stopping:
                    return
            if due or stopping:
                self._hurry.clear()
                last_flush = time.monotonic()
                self._guard("object memory", self._slots.flush)
            if stopping and not self._pending:
                return

    def _take(self, last_flush: float) -> None:
        room = self._config.batch_rows - len(self._pending)
        left_s = max(0.01, last_flush + self._config.flush_s - time.monotonic())
        left_s = 0.01 if self._hurry.is_set() else left_s
        try:
            if room > 0:
                self._pending.append(self._queue.get(timeout=min(left_s, 0.2)))
            for _ in range(room - 1):
                self._pending.append(self._queue.get_nowait())
        except queue.Empty:
            return

    def _commit(self) -> bool:
        if not self._guard("replay store", self._append):
            if not self._stop.wait(0.5):
                return False
            self._pause.wait(_LAST_TRIES_S)  # the event is set: it alone would not wait
            return False
        self.rows_committed += len(self._pending)
        self._pending = []
        return True

    def _append(self) -> None:
        while self._pending:
            try:
                self.version = self._replay.append(self._pending)
                return
            except RefusedRowError as error:
                self._refuse(error)

    def _refuse(self, error: RefusedRowError) -> None:
        """Drop a row for good; tell the first, the second, the fourth, the eighth and so on."""
        # the last one of that step: of two rows with one number the first is the good one
        at = max(i for i, row in enumerate(self._pending) if row.step == error.step)
        del self._pending[at]
        self._num_refused += 1
        self._cut.set()
        if self._num_refused.bit_count() == 1:
            self._on_error(f"replay store: {error}; rows refused so far: {self._num_refused}")

    def _guard(self, what: str, call: Callable[[], object]) -> bool:
        """Run a write; a failure (full disk, damaged table) is told once and tried again later."""
        try:
            call()
        except Exception as error:
            text = f"{what}: {error}"
            if text != self._errors.get(what):
                self._on_error(text)
            self._errors[what] = text
            return False
        self._errors.pop(what, None)
        return True
