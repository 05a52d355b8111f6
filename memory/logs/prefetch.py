"""Has a thread work ahead of the one that asks."""

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Prefetched(Generic[Item]):
    """An iterator whose items are made in a thread of its own, a few ahead.

    Args:
        items: Made in the thread; its errors are raised where they would be met.
        ahead: Items that may wait.
    """

    def __init__(self, items: Iterator[Item], ahead: int = 16) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(ahead)
        self._closed = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="reading ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> "Prefetched[Item]":
        return self

    def __next__(self) -> Item:
        """Return the next item; it is waited for. What was raised once is raised again."""
        if self._error is not None:
            raise self._error
        if self._closed.is_set():
            raise StopIteration
        item, self._error = self._queue.get()
        if self._error is not None:
            self._closed.set()
            self._thread.join()
            raise self._error
        assert item is not None
        return item

    def close(self) -> None:
        """End the thread; quiet when called twice."""
        self._closed.set()
        while self._thread.is_alive():
            try:
                self._queue.get_nowait()
            except queue.Empty:
                self._thread.join(0.01)

    def _work(self) -> None:
        error: BaseException = StopIteration()
        try:
            for item in self._items:
                if not self._put((item, None)):
                    return
        except Exception as caught:
            error = caught
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
        self._put((None, error))

    def _put(self, entry: tuple[Item | None, BaseException | None]) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(entry, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
