"""Places where the body has been, the ways between them, and the rooms that they fall into.

Nothing here is recorded: it is derived from the poses of the replay store, and what is kept on disk
only saves the time to derive it again. A place is a square of the floor that the body has been in,
and stands at the mean of its poses there; two places are neighbours where the body moved from one
to the other. Rooms are sets of places. Known doorways cut the ways that pass through them; without
any, places are split where few ways lead from one part to the other.

Axis letters: t poses, p places, e ways, m points.

References:
    Shi and Malik 2000, "Normalized cuts and image segmentation", PAMI, Eq. (5) to (11): the split.
"""

import io
import math
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh
from scipy.spatial import cKDTree

from memory.files import write_atomic
from memory.schema import TRANSITIONS
from memory.tables import naming, open_table

PLACE_M = 0.5
"""Side of the square of a place."""

JUMP_M = 1.0
"""A longer way between two steps is a jump (the body was carried), not a way."""

DOOR_M = 0.4
"""A way that passes a doorway's middle within this distance leads through it."""

NARROW = 0.04
"""Share of ways of the smaller part that lead to the other one, below which they are two rooms."""

ROOM_PLACES = 8
"""Fewest places of a room that is split off."""

REACH_M = 3.0
"""A point further than this from every place is in no room."""

PLACES_FILE = "places.npz"

_NONE = np.empty(0, dtype=np.int64)


class PlaceGraph:
    """Places and ways; grows with the poses that it is told. Places are numbered from 0."""

    def __init__(self) -> None:
        self.last_step = -1
        self.doorways_m: Float64[np.ndarray, "m 2"] = np.empty((0, 2))
        self._cells: Int64[np.ndarray, "p 2"] = np.empty((0, 2), dtype=np.int64)
        self._sums: Float64[np.ndarray, "p 2"] = np.empty((0, 2))
        self._counts: Int64[np.ndarray, "p"] = _NONE
        self._ways: Int64[np.ndarray, "e 2"] = np.empty((0, 2), dtype=np.int64)
        self._last: tuple[float, float, int] | None = None
        self._room: Int64[np.ndarray, "p"] | None = None
        self._tree: cKDTree | None = None

    def __len__(self) -> int:
        return len(self._cells)

    def note(self, pose: Float[np.ndarray, "3"], step: int) -> None:
        """Take in where the body is: x_m, y_m, yaw_rad, world frame.

        Raises:
            ValueError: If the pose is not finite, or the step does not follow.
        """
        if not np.isfinite(pose).all():
            raise ValueError(f"pose {np.asarray(pose).tolist()} of step {step} is not finite")
        if step <= self.last_step:
            raise ValueError(f"step {step} does not follow step {self.last_step}")
        self.note_all(np.asarray(pose)[None], np.array([step]))

    def note_all(self, poses: Float[np.ndarray, "t 3"], steps: Int64[np.ndarray, "t"]) -> None:
        """Take in many poses, in the order of their steps; those that are not finite are left out.

        Steps up to the last one that was taken in are left out, too.
        """
        good = np.isfinite(poses[:, :2]).all(axis=1) & (steps > self.last_step)
        xy, steps = poses[good, :2].astype(np.float64), steps[good]
        if len(xy) == 0:
            return
        at = self._places_of_cells(np.floor(xy / PLACE_M).astype(np.int64))
        np.add.at(self._sums, at, xy)
        np.add.at(self._counts, at, 1)
        if self._last is not None:
            x, y, place = self._last
            xy, steps = np.vstack([[x, y], xy]), np.concatenate([[self.last_step], steps])
            at = np.concatenate([[place], at])
        moved = (np.diff(steps) == 1) & (at[1:] != at[:-1])
        moved &= np.linalg.norm(np.diff(xy, axis=0), axis=1) <= JUMP_M
        new = np.sort(np.stack([at[:-1], at[1:]], axis=1)[moved], axis=1)
        self._ways = np.unique(np.concatenate([self._ways, new]), axis=0)
        self._last, self.last_step = (
            (float(xy[-1, 0]), float(xy[-1, 1]), int(at[-1])),
            int(steps[-1]),
        )
        self._room = self._tree = None

    def xy_m(self) -> Float64[np.ndarray, "p 2"]:
        """Return where the places are."""
        return self._sums / np.maximum(self._counts, 1)[:, None]

    def place_of(self, xy_m: tuple[float, float]) -> int | None:
        """Return the place next to a point, None if none is within `REACH_M`."""
        place = int(self._nearest(np.array([xy_m], dtype=np.float64))[0])
        return None if place < 0 else place

    def neighbours(self, place: int) -> list[int]:
        """Return the places to which the body moved from a place, or the other way round."""
        touching = self._ways[(self._ways == place).any(axis=1)]
        return sorted(int(i) for i in touching.ravel() if i != place)

    def room_of(self, xy_m: tuple[float, float]) -> int:
        """Return the room of a point, 0 if no place is near."""
        return int(self.rooms_of(np.array([xy_m], dtype=np.float64))[0])

    def rooms_of(self, xy_m: Float64[np.ndarray, "m 2"]) -> Int64[np.ndarray, "m"]:
        """Return the room of points on the floor: that of the next place; 0 for none."""
        places = self._nearest(xy_m)
        rooms = np.concatenate([self._rooms(), [0]])
        return rooms[places]

    def rooms(self) -> list[int]:
        """Return the numbers of the rooms, each 1 + the number of its first place.

        So a room keeps its number while it grows.
        """
        return [int(room) for room in np.unique(self._rooms())]

    def set_doorways(self, xy_m: Float64[np.ndarray, "m 2"]) -> None:
        """Say where doorways are; their middles, world frame."""
        self.doorways_m = np.asarray(xy_m, dtype=np.float64).reshape(-1, 2)
        self._room = None

    def state(self) -> dict[str, np.ndarray]:
        """Return everything as arrays, for `from_state`."""
        x, y, place = self._last or (0.0, 0.0, -1)
        return {
            "cells": self._cells,
            "sums": self._sums,
            "counts": self._counts,
            "ways": self._ways,
            "doorways_m": self.doorways_m,
            "last_xy_m": np.array([x, y]),
            "last": np.array([self.last_step, place]),
        }

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> "PlaceGraph":
        """Return the graph of `state`.

        Raises:
            KeyError: If an array is missing.
            ValueError: If they do not fit together.
        """
        graph = cls()
        graph._cells, graph._sums = state["cells"], state["sums"]
        graph._counts, graph._ways = state["counts"], state["ways"]
        graph.doorways_m = state["doorways_m"]
        graph.last_step, place = (int(i) for i in state["last"])
        if place >= 0:
            x, y = (float(v) for v in state["last_xy_m"])
            graph._last = (x, y, place)
        num = len(graph._cells)
        if not num == len(graph._sums) == len(graph._counts) or (graph._ways >= num).any():
            raise ValueError("the arrays of a place graph do not fit together")
        return graph

    def _places_of_cells(self, cells: Int64[np.ndarray, "t 2"]) -> Int64[np.ndarray, "t"]:
        """Return the place of each square; new ones are numbered as they come."""
        known = len(self._cells)
        both = np.concatenate([self._cells, cells])
        _, first, which = np.unique(both, axis=0, return_index=True, return_inverse=True)
        which = which.reshape(-1)
        number = np.empty(len(first), dtype=np.int64)
        order = np.argsort(first, kind="stable")
        number[order] = np.arange(len(first))
        fresh = len(first) - known
        self._cells = both[first[order]]
        self._sums = np.concatenate([self._sums, np.zeros((fresh, 2))])
        self._counts = np.concatenate([self._counts, np.zeros(fresh, dtype=np.int64)])
        return number[which[known:]]

    def _nearest(self, xy_m: Float64[np.ndarray, "m 2"]) -> Int64[np.ndarray, "m"]:
        if len(self) == 0 or len(xy_m) == 0:
            return np.full(len(xy_m), -1, dtype=np.int64)
        if self._tree is None:
            self._tree = cKDTree(self.xy_m())
        distance, place = self._tree.query(xy_m)
        return np.where(distance <= REACH_M, place, -1)

    def _rooms(self) -> Int64[np.ndarray, "p"]:
        if self._room is None:
            self._room = split_rooms(self.xy_m(), self._ways, self.doorways_m)
        return self._room


def split_rooms(
    xy_m: Float64[np.ndarray, "p 2"],
    ways: Int64[np.ndarray, "e 2"],
    doorways_m: Float64[np.ndarray, "m 2"],
) -> Int64[np.ndarray, "p"]:
    """Return the room of each place: 1 + its first place."""
    open_ways = ways[~_through_doors(xy_m, ways, doorways_m)] if len(doorways_m) else ways
    part = _parts(len(xy_m), open_ways)
    part = _join_scraps(part, ways) if len(doorways_m) else _split_narrow(part, ways)
    _, first, which = np.unique(part, return_index=True, return_inverse=True)
    return first[which.reshape(-1)].astype(np.int64) + 1


def _parts(num: int, ways: Int64[np.ndarray, "e 2"]) -> Int64[np.ndarray, "p"]:
    return connected_components(_adjacency(num, ways), directed=False)[1].astype(np.int64)


def _adjacency(num: int, ways: Int64[np.ndarray, "e 2"]) -> sparse.csr_matrix:
    ones = np.ones(len(ways))
    half = sparse.csr_matrix((ones, (ways[:, 0], ways[:, 1])), shape=(num, num))
    return half + half.T


def _through_doors(
    xy_m: Float64[np.ndarray, "p 2"],
    ways: Int64[np.ndarray, "e 2"],
    doorways_m: Float64[np.ndarray, "m 2"],
) -> Bool[np.ndarray, "e"]:
    """Return which ways pass a doorway: its middle is beside them and near."""
    a, b = xy_m[ways[:, 0]], xy_m[ways[:, 1]]
    along = b - a
    length2 = np.maximum((along**2).sum(axis=1), 1e-9)
    passes = np.zeros(len(ways), dtype=np.bool_)
    for door in doorways_m:
        share = ((door - a) * along).sum(axis=1) / length2
        foot = a + share[:, None] * along
        near = np.linalg.norm(door - foot, axis=1) <= DOOR_M
        passes |= near & (share >= 0) & (share <= 1)
    return passes


def _join_scraps(
    part: Int64[np.ndarray, "p"], ways: Int64[np.ndarray, "e 2"]
) -> Int64[np.ndarray, "p"]:
    """Give the few places in the middle of a doorway to one of the rooms beside it."""
    part = part.copy()
    for scrap in np.flatnonzero(np.bincount(part) < ROOM_PLACES // 2):
        inside = part[ways] == scrap
        across = inside[:, 0] != inside[:, 1]
        if across.any():
            beside = part[ways[across]][~inside[across]]
            part[part == scrap] = np.bincount(beside).argmax()
    return part


def _split_narrow(
    part: Int64[np.ndarray, "p"], ways: Int64[np.ndarray, "e 2"]
) -> Int64[np.ndarray, "p"]:
    """Split parts again and again where few ways lead from one side to the other."""
    part = part.copy()
    to_look_at = [int(i) for i in np.unique(part)]
    next_part = int(part.max(initial=-1)) + 1
    while to_look_at:
        places = np.flatnonzero(part == to_look_at[-1])
        side = _narrowest(places, ways)
        if side is None:
            to_look_at.pop()
            continue
        part[places[side]] = next_part
        to_look_at.append(next_part)
        next_part += 1
    return part


def _narrowest(
    places: Int64[np.ndarray, "p"], ways: Int64[np.ndarray, "e 2"]
) -> Bool[np.ndarray, "p"] | None:
    """Return one side of the narrowest way through some connected places, None if it is wide."""
    num = len(places)
    if num < 2 * ROOM_PLACES:
        return None
    own = np.searchsorted(places, ways[np.isin(ways, places).all(axis=1)])
    adjacency = _adjacency(num, own)
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    root = sparse.diags(1 / np.sqrt(degree))
    laplacian = sparse.identity(num) - root @ adjacency @ root
    start = np.random.default_rng(0).normal(size=num)
    _, vectors = eigsh(laplacian.tocsc(), k=2, sigma=-1e-3, v0=start)
    order = np.argsort(vectors[:, 1 if _is_flat(vectors[:, 0], degree) else 0] / np.sqrt(degree))
    position = np.argsort(order)
    ends = np.sort(position[own], axis=1)
    steps = np.bincount(ends[:, 0], minlength=num) - np.bincount(ends[:, 1], minlength=num)
    cut, volume = np.cumsum(steps)[:-1], np.cumsum(degree[order])[:-1]
    share = cut / np.minimum(volume, degree.sum() - volume)
    share[: ROOM_PLACES - 1] = share[num - ROOM_PLACES :] = math.inf
    best = int(share.argmin())
    return position <= best if share[best] < NARROW else None


def _is_flat(vector: Float64[np.ndarray, "p"], degree: Float64[np.ndarray, "p"]) -> bool:
    """Return whether an eigenvector is the trivial one."""
    flat = np.sqrt(degree / degree.sum())
    return abs(float(vector @ flat)) > 0.5


def read_places(folder: Path) -> PlaceGraph:
    """Return the places of a life, up to the newest step of its replay store.

    Raises:
        DamagedTableError: If the replay store cannot be read.
    """
    graph = _kept(folder / PLACES_FILE)
    table = open_table(folder, TRANSITIONS)
    if table is not None:
        with naming(folder, TRANSITIONS):
            asked = table.search().where(f"step > {graph.last_step}").select(["step", "pose"])
            rows = asked.to_arrow()
        steps = rows["step"].to_numpy()
        flat = [chunk.flatten().to_numpy() for chunk in rows["pose"].chunks]
        poses = np.concatenate([*flat, np.empty(0)]).reshape(-1, 3)
        order = np.argsort(steps, kind="stable")
        graph.note_all(poses[order], steps[order])
    return graph


def write_places(folder: Path, graph: PlaceGraph) -> None:
    """Keep a graph, so that the next `read_places` only reads newer steps."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **graph.state())  # type: ignore[arg-type]
    write_atomic(folder / PLACES_FILE, buffer.getvalue())


def _kept(path: Path) -> PlaceGraph:
    """Return the kept graph; an unreadable one is derived again, since it is no more than that."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return PlaceGraph.from_state(dict(arrays))
    except (OSError, ValueError, KeyError, EOFError):
        return PlaceGraph()
