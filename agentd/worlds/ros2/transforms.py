"""Where the frames of a robot are: what `/tf` and `/tf_static` say, and poses between two times."""

import threading
from bisect import bisect_left, insort
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from agentd.worlds.ros2.link import LinkError
from agentd.worlds.ros2.messages import Link3D
from memory.frames import inverse

_KEPT_NS = 10_000_000_000
_MOST = 1000


class NoTransformError(LinkError):
    """Two frames are not connected, or were not at that time."""


class Poses:
    """The same transform at several times.

    Args:
        gap_ns: Poses further apart are not interpolated between.
    """

    def __init__(self, gap_ns: int) -> None:
        self._gap_ns = gap_ns
        self._items: list[tuple[int, Float64[np.ndarray, "4 4"]]] = []

    def __len__(self) -> int:
        return len(self._items)

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the newest, None where there is none."""
        return self._items[-1][0] if self._items else None

    def add(self, stamp_ns: int, T: Float64[np.ndarray, "4 4"]) -> None:
        """Keep a transform; a second one of the same time is dropped."""
        k = bisect_left(self._items, stamp_ns, key=_stamp)
        if k < len(self._items) and self._items[k][0] == stamp_ns:
            return
        insort(self._items, (stamp_ns, T), key=_stamp)
        oldest_ns = self._items[-1][0] - _KEPT_NS
        while len(self._items) > _MOST or self._items[0][0] < oldest_ns:
            del self._items[0]

    def clear(self) -> None:
        """Forget all of them: the clock was set."""
        self._items.clear()

    def at(self, stamp_ns: int) -> Float64[np.ndarray, "4 4"] | None:
        """Return the transform at a time, interpolated; None outside of what is known."""
        k = bisect_left(self._items, stamp_ns, key=_stamp)
        if k < len(self._items) and self._items[k][0] == stamp_ns:
            return self._items[k][1]
        if k == 0 or k == len(self._items):
            return None
        (a_ns, A), (b_ns, B) = self._items[k - 1 : k + 1]
        if b_ns - a_ns > self._gap_ns:
            return None
        return between(A, B, (stamp_ns - a_ns) / (b_ns - a_ns))

    def last(self) -> Float64[np.ndarray, "4 4"] | None:
        """Return the newest transform."""
        return self._items[-1][1] if self._items else None


class Transforms:
    """The tree of frames; written by a thread of the link, read by another.

    Args:
        gap_ns: Transforms further apart are not interpolated between.
    """

    def __init__(self, gap_ns: int) -> None:
        self._gap_ns = gap_ns
        self._parent: dict[str, str] = {}
        self._fixed: dict[str, Float64[np.ndarray, "4 4"]] = {}
        self._moving: dict[str, Poses] = {}
        self._lock = threading.Lock()

    def add(self, links: Iterable[Link3D], *, is_static: bool) -> None:
        """Take over what one message says."""
        with self._lock:
            for link in links:
                self._parent[link.child] = link.parent
                if is_static:
                    self._fixed[link.child] = link.T_parent_child
                else:
                    poses = self._moving.setdefault(link.child, Poses(self._gap_ns))
                    poses.add(link.stamp_ns, link.T_parent_child)

    def clear_moving(self) -> None:
        """Forget what belongs to a time: the robot's clock was set."""
        with self._lock:
            self._moving.clear()

    def frames(self) -> list[str]:
        """Return the names of all frames."""
        with self._lock:
            return sorted({*self._parent, *self._parent.values()})

    def lookup(
        self, target: str, source: str, stamp_ns: int | None = None
    ) -> Float64[np.ndarray, "4 4"]:
        """Return `T_target_source`.

        Args:
            target: Frame that points are mapped into.
            source: Frame that they are in.
            stamp_ns: When; None takes the newest of each.

        Raises:
            NoTransformError: If the frames are not connected, or not known at that time.
        """
        with self._lock:
            up_source, up_target = self._up(source), self._up(target)
            common = next((name for name in up_source if name in up_target), None)
            if common is None:
                known = ", ".join(sorted({*self._parent, *self._parent.values()})) or "none"
                raise NoTransformError(
                    f"no transform from {source!r} to {target!r}; known frames: {known}"
                )
            T_common_source = self._chain(up_source, common, stamp_ns)
            T_common_target = self._chain(up_target, common, stamp_ns)
        return inverse(T_common_target) @ T_common_source

    def _up(self, frame: str) -> list[str]:
        """Return the frame and those above it."""
        names = [frame]
        while names[-1] in self._parent and self._parent[names[-1]] not in names:
            names.append(self._parent[names[-1]])
        return names

    def _chain(
        self, names: list[str], top: str, stamp_ns: int | None
    ) -> Float64[np.ndarray, "4 4"]:
        T = np.eye(4)
        for name in names[: names.index(top)]:
            T = self._step(name, stamp_ns) @ T
        return T

    def _step(self, child: str, stamp_ns: int | None) -> Float64[np.ndarray, "4 4"]:
        if child in self._fixed:
            return self._fixed[child]
        poses = self._moving.get(child)
        T = None if poses is None else poses.last() if stamp_ns is None else poses.at(stamp_ns)
        if T is None:
            raise NoTransformError(
                f"the transform from {child!r} to {self._parent[child]!r} is not known at "
                f"{stamp_ns} ns of the robot's clock"
            )
        return T


def between(
    A: Float64[np.ndarray, "4 4"], B: Float64[np.ndarray, "4 4"], share: float
) -> Float64[np.ndarray, "4 4"]:
    """Return the transform at a share of the way from A to B, turning at a constant rate."""
    turn = Rotation.from_matrix(A[:3, :3].T @ B[:3, :3]).as_rotvec()
    T = np.eye(4)
    T[:3, :3] = A[:3, :3] @ Rotation.from_rotvec(share * turn).as_matrix()
    T[:3, 3] = (1 - share) * A[:3, 3] + share * B[:3, 3]
    return T


def _stamp(item: tuple[int, Float64[np.ndarray, "4 4"]]) -> int:
    return item[0]
