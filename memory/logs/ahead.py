"""Images are made ahead by threads of their own, while what belongs to them is still awaited."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
from jaxtyping import Float32, UInt8

from memory.logs.samples import Picture

_THREADS = 2
"""Decoders let other threads run; more of them than that would wait for the reader."""


class Develops(Protocol):
    """Makes images of a body; `memory.logs.camera.Lens`."""

    def develop(
        self, colour: Picture, depth: Picture | None
    ) -> tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"]]: ...


_Made = tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"]]
_Pair = tuple[Picture, Picture | None]


class DevelopsAhead:
    """Makes images of a body, some before they are asked for. Satisfies `Develops`.

    What was begun and is not asked for costs time, nothing else: what comes out is what the lens
    makes, and its errors are raised where they would be met.

    Args:
        lens: Makes the images; from several threads at once.
    """

    def __init__(self, lens: Develops) -> None:
        self._lens = lens
        self._pool: ThreadPoolExecutor | None = None
        # By identity; the pictures are kept with the result, so that no other takes their place.
        self._begun: dict[tuple[int, int], tuple[_Pair, Future[_Made]]] = {}

    def begin(self, colour: Picture, depth: Picture | None) -> None:
        """Begin to make a pair of images that will be asked for, where that is worth it.

        Quiet when called twice.
        """
        key = id(colour), id(depth)
        pair = (colour,) if depth is None else (colour, depth)
        if key in self._begun or not all(picture.anywhere for picture in pair):
            return
        if not any(picture.packed for picture in pair):
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="decoding")
        made = self._pool.submit(self._lens.develop, colour, depth)
        self._begun[key] = (colour, depth), made

    def develop(
        self, colour: Picture, depth: Picture | None
    ) -> tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"]]:
        """Return colour and depth of the body.

        Raises:
            ImageError: If an image cannot be decoded.
        """
        key = id(colour), id(depth)
        if key not in self._begun:
            return self._lens.develop(colour, depth)
        # Those begun before it belong to images that were passed over.
        for begun in list(self._begun):
            _, made = self._begun.pop(begun)
            if begun == key:
                break
            made.cancel()
        return made.result()

    def forget(self) -> None:
        """Drop what was begun."""
        for _, made in self._begun.values():
            made.cancel()
        self._begun.clear()

    def close(self) -> None:
        """End the threads; quiet when called twice."""
        self.forget()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
