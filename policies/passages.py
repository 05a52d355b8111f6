"""Ways that turned out to be blocked: seen (a closed door) or only felt (a step, a one-way door).

What is seen stands in the map anyway; here it is remembered until when, so that after a while the
body goes and looks again instead of believing for ever that there is no way. What is only felt
becomes a barrier across the passage, which counts for a body on the side it was felt from: the
other direction may be free.

Axis letters: n cells or points, b barriers.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from memory.frames import wrap_rad
from policies.geodesic import Terrain
from policies.occupancy import OccupancyMap

AGAIN_STEPS = 600
"""Steps after which a way that was seen blocked is worth another look."""
BARRIER_STEPS = 3000
"""Steps after which a way that was felt blocked is tried again."""
SAME_M = 0.8
SAME_RAD = 1.0
FELT_TIMES = 2
"""Times that the body must get stuck at one place before it counts as a barrier."""
REACH_M = 0.9
"""A barrier ends at something that stands there, or after so much to either side."""
AHEAD_M = 0.05
"""Of the footprint: where what stops the body must be."""
SEEN_M = 0.6
"""What is newly occupied within this range of the path belongs to what blocks it."""
MIN_CELLS = 6
SHUT_SHARE = 0.5
"""Share of a doorway's cells that are occupied in a shut one."""


@dataclass(slots=True, kw_only=True, eq=False)
class Barrier:
    """A line that the body could not cross in one direction."""

    xy_m: Float64[np.ndarray, "2"]
    yaw_rad: float
    points_m: Float64[np.ndarray, "n 2"]
    step: int
    times: int = 1

    def is_before(self, xy_m: Float64[np.ndarray, "2"]) -> bool:
        """Return whether a point lies on the side from which the way is blocked."""
        ahead = (self.xy_m - xy_m) @ np.array([math.cos(self.yaw_rad), math.sin(self.yaw_rad)])
        return bool(ahead > 0)


@dataclass(slots=True, kw_only=True, eq=False)
class Closed:
    """A way that was free and on which something was seen to stand."""

    xy_m: Float64[np.ndarray, "2"]
    cells: Int64[np.ndarray, "n 2"]
    step: int


class Passages:
    """Blocked ways of the place in hand."""

    def __init__(self, radius_m: float, num_cells: int) -> None:
        self._radius_m = radius_m
        self._doorways = np.zeros((num_cells, num_cells), dtype=np.bool_)
        self._shut_m: Float64[np.ndarray, "n 2"] = np.empty((0, 2))
        self._open_m: Float64[np.ndarray, "n 2"] = np.empty((0, 2))
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.barriers: list[Barrier] = []
        self.closed: list[Closed] = []
        self._doorways[:] = False
        self._shut_m, self._open_m = np.empty((0, 2)), np.empty((0, 2))

    def note_stuck(
        self, pose: Float64[np.ndarray, "3"], occupancy: OccupancyMap, step: int
    ) -> None:
        """Remember that nothing was seen where the body could not go on."""
        yaw = float(pose[2])
        heading = np.array([math.cos(yaw), math.sin(yaw)])
        xy = pose[:2] + (self._radius_m + AHEAD_M) * heading
        for item in self.barriers:
            near = float(np.hypot(*(item.xy_m - xy))) < SAME_M
            if near and abs(wrap_rad(item.yaw_rad - yaw)) < SAME_RAD:
                item.times, item.step = item.times + 1, step
                return
        points = _across(occupancy, xy, heading)
        self.barriers.append(Barrier(xy_m=xy, yaw_rad=yaw, points_m=points, step=step))

    def doubt(self) -> None:
        """Let a new goal try what was felt blocked: stuck there once more, it is closed again.

        A body that wobbles gets stuck in doorways that are open.
        """
        for item in self.barriers:
            item.times = min(item.times, FELT_TIMES - 1)

    def forget_barriers(self, before_step: int) -> bool:
        """Drop what was felt before a step and not since; return whether there was any."""
        kept = [b for b in self.barriers if b.step >= before_step]
        dropped = len(kept) < len(self.barriers)
        self.barriers = kept
        return dropped

    def note_closed(
        self,
        before: Terrain,
        path_m: Float64[np.ndarray, "t 2"],
        body_m: Float64[np.ndarray, "2"],
        occupancy: OccupancyMap,
        step: int,
    ) -> None:
        """Remember what stands on the way ahead where there was free floor when it was planned."""
        near = path_m[np.hypot(*(path_m - body_m).T) < 2 * SEEN_M]
        if len(near) == 0:
            return
        window = occupancy.around(body_m, 3 * SEEN_M)
        cells = np.argwhere(occupancy.occupied(window))
        cells += np.array([window[0].start, window[1].start])
        xy = (cells + 0.5) * occupancy.cell_m + np.array(occupancy.origin_m)
        planning = before.cells(xy)
        inside = before.contains(planning)
        cells, xy, planning = cells[inside], xy[inside], planning[inside]
        is_new = before.free[planning[:, 0], planning[:, 1]]
        gaps = np.linalg.norm(xy[:, None] - near[None], axis=-1).min(axis=1, initial=np.inf)
        is_new &= gaps < SEEN_M
        if np.count_nonzero(is_new) < MIN_CELLS:
            return
        middle = xy[is_new].mean(axis=0)
        self.closed = [c for c in self.closed if np.hypot(*(c.xy_m - middle)) >= SAME_M]
        self.closed.append(Closed(xy_m=middle, cells=cells[is_new], step=step))

    def review(self, occupancy: OccupancyMap, step: int) -> None:
        """Drop what is open again; make unknown what was seen blocked long ago: look again."""
        self.barriers = [b for b in self.barriers if step - b.step < BARRIER_STEPS]
        self.closed = [c for c in self.closed if self._is_closed(c, occupancy, step)]
        self._review_doors(occupancy, step)

    def _review_doors(self, occupancy: OccupancyMap, step: int) -> None:
        """Find what stands in doorways; a doorway is free floor below something that hangs."""
        window = occupancy.window(0)
        odds, doorways = occupancy.log_odds[window], self._doorways[window]
        doorways |= occupancy.lintels[window] & (odds < 0)
        shut = np.argwhere(doorways & (odds > 0)) + np.array([w.start for w in window])
        self._shut_m = (shut + 0.5) * occupancy.cell_m + np.array(occupancy.origin_m)
        free = np.argwhere(doorways & (odds < 0)) + np.array([w.start for w in window])
        self._open_m = (free + 0.5) * occupancy.cell_m + np.array(occupancy.origin_m)
        old = step - occupancy.seen_step[shut[:, 0], shut[:, 1]] >= AGAIN_STEPS
        if old.any():
            occupancy.forget(shut[old])

    def _shut_doors(self) -> list[Float64[np.ndarray, "2"]]:
        """Return the middles of doorways in which so much stands that they are shut.

        An open leaf and the frame stand in a doorway too, beside the way through.
        """
        left, open_m, found = self._shut_m, self._open_m, []
        while len(left):
            near = np.hypot(*(left - left[0]).T) < SAME_M
            num_shut = np.count_nonzero(near)
            num_open = np.count_nonzero(np.hypot(*(open_m - left[near].mean(axis=0)).T) < SAME_M)
            if num_shut >= max(MIN_CELLS, SHUT_SHARE * (num_shut + num_open)):
                found.append(left[near].mean(axis=0))
            left = left[~near]
        return found

    def _is_closed(self, item: Closed, occupancy: OccupancyMap, step: int) -> bool:
        i, j = item.cells.T
        odds = occupancy.log_odds[i, j]
        if (odds < 0).all():
            return False
        stands = odds > 0
        if stands.any():
            # The time counts from when it was last seen so.
            item.step = max(item.step, int(occupancy.seen_step[i, j][stands].max()))
            if step - item.step >= AGAIN_STEPS:
                occupancy.forget(item.cells[stands])
        return True

    def block(self, terrain: Terrain, body_m: Float64[np.ndarray, "2"]) -> None:
        """Close barriers for a body on their side, but not where it stands itself."""
        own = terrain.cells(body_m[None])
        for item in self.active(body_m):
            cells = terrain.cells(item.points_m)
            cells = cells[terrain.contains(cells) & (cells != own).any(axis=1)]
            terrain.passable[cells[:, 0], cells[:, 1]] = False

    def active(self, body_m: Float64[np.ndarray, "2"]) -> list[Barrier]:
        """Return the barriers that count for a body at a place."""
        return [b for b in self.barriers if b.times >= FELT_TIMES and b.is_before(body_m)]

    def why_since(self, step: int) -> str:
        """Return what was felt blocked since a step and what is seen blocked; "" if nothing is."""
        felt = [b for b in self.barriers if b.step >= step and b.times >= FELT_TIMES]
        seen = [c for c in self.closed if c.step >= step - AGAIN_STEPS]
        texts = [f"stuck {b.times} times before ({b.xy_m[0]:.1f}, {b.xy_m[1]:.1f})" for b in felt]
        doors = self._shut_doors()
        seen = [c for c in seen if all(np.hypot(*(c.xy_m - xy)) >= SAME_M for xy in doors)]
        texts += [f"the door at ({x:.1f}, {y:.1f}) is shut" for x, y in doors]
        texts += [f"blocked now at ({c.xy_m[0]:.1f}, {c.xy_m[1]:.1f})" for c in seen]
        return "; ".join(texts)

    def save(self) -> dict[str, np.ndarray]:
        """Return the arrays that `load` takes."""
        heads = [(*b.xy_m, b.yaw_rad, b.step, b.times) for b in self.barriers]
        points = [(k, *p) for k, b in enumerate(self.barriers) for p in b.points_m]
        closed = [(*c.xy_m, c.step) for c in self.closed]
        cells = [(k, *cell) for k, c in enumerate(self.closed) for cell in c.cells]
        return {
            "passage_barriers": np.array(heads, dtype=np.float64).reshape(-1, 5),
            "passage_points": np.array(points, dtype=np.float64).reshape(-1, 3),
            "passage_closed": np.array(closed, dtype=np.float64).reshape(-1, 3),
            "passage_cells": np.array(cells, dtype=np.int64).reshape(-1, 3),
            "passage_doorways": np.flatnonzero(self._doorways),
        }

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over saved passages; states of before there were any have none."""
        self.clear()
        if "passage_barriers" not in arrays:
            return
        self._doorways.ravel()[arrays["passage_doorways"]] = True
        points, cells = arrays["passage_points"], arrays["passage_cells"]
        for k, (x, y, yaw, step, times) in enumerate(arrays["passage_barriers"].tolist()):
            of_it = points[points[:, 0] == k, 1:]
            self.barriers.append(
                Barrier(
                    xy_m=np.array([x, y]),
                    yaw_rad=yaw,
                    points_m=of_it,
                    step=int(step),
                    times=int(times),
                )
            )
        for k, (x, y, step) in enumerate(arrays["passage_closed"].tolist()):
            of_it = cells[cells[:, 0] == k, 1:]
            self.closed.append(Closed(xy_m=np.array([x, y]), cells=of_it, step=int(step)))


def _across(
    occupancy: OccupancyMap, xy_m: Float64[np.ndarray, "2"], heading: Float64[np.ndarray, "2"]
) -> Float64[np.ndarray, "n 2"]:
    """Return points on a strip across the heading, to either side up to what stands there."""
    left = np.array([-heading[1], heading[0]])
    step_m = occupancy.cell_m
    thick = np.array([0.0, step_m, 2 * step_m])[:, None] * heading
    found = []
    for side in (1.0, -1.0):
        for k in range(math.ceil(REACH_M / step_m)):
            at = xy_m + side * k * step_m * left
            cell = occupancy.cells(at[None])[0]
            if not (cell.min() >= 0 and cell.max() < occupancy.num_cells):
                break
            found.append(at + thick)
            if occupancy.log_odds[cell[0], cell[1]] > 0:
                break
    return np.concatenate(found) if found else np.empty((0, 2))
