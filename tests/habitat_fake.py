"""Two rooms and a doorway with the calls of the simulator: rays against boxes, paths over a grid.

It stands in for agentd/worlds/habitat/sim.py and is served the same way, by any Python with numpy;
it needs nothing else. Habitat's frame: y up, -z ahead at yaw 0. The feet stand 0.1 m above the
floor, as on a navmesh of habitat-sim.

    x: 0 .. 6        z: 0 .. -4 is one room, -4 .. -8 the other; the doorway is at x 2.4 .. 3.6

Names of scenes may contain `bare` (no annotation), `solid` (no navmesh), and faults for tests of
the connection: `exit`, `abort`, `sleep`, `raise`, `noise` happen at the third `observe`; `absent`
is refused when it is opened. A file `PATH` in `once:PATH` makes a fault happen only once.
"""

from __future__ import annotations

import heapq
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

FEET_M = 0.1
CELL_M = 0.1
SIZE_M = (6.0, 8.0)
BOXES = [  # label, room, x0, x1, y0, y1, z0, z1
    ("wall", "a", -0.1, 0.0, 0.0, 2.5, -8.1, 0.1),
    ("wall", "a", 6.0, 6.1, 0.0, 2.5, -8.1, 0.1),
    ("wall", "a", 0.0, 6.0, 0.0, 2.5, 0.0, 0.1),
    ("wall", "b", 0.0, 6.0, 0.0, 2.5, -8.1, -8.0),
    ("wall", "a", 0.0, 2.4, 0.0, 2.5, -4.1, -4.0),
    ("wall", "a", 3.6, 6.0, 0.0, 2.5, -4.1, -4.0),
    ("chair", "a", 0.6, 1.1, 0.0, 0.9, -1.2, -0.7),
    ("couch", "b", 0.3, 2.1, 0.0, 0.8, -7.7, -6.9),
    ("bed", "b", 4.0, 5.8, 0.0, 0.6, -7.8, -5.8),
    ("toilet", "a", 5.1, 5.6, 0.0, 0.5, -3.9, -3.4),  # behind the wall from b
    ("tv", "b", 3.0, 3.8, 0.6, 1.2, -8.0, -7.9),
]
FLOOR_ID = 99
COLOURS = np.random.default_rng(5).integers(40, 256, (128, 3)).astype(np.uint8)


def open_backend(config: dict[str, Any]) -> FakeBackend:
    return FakeBackend(config)


class FakeBackend:
    def __init__(self, config: dict[str, Any]) -> None:
        if "absent" in config["scene"]:
            raise FileNotFoundError(f"there is no scene {config['scene']}")
        self.config = config
        self.scene = Path(config["scene"]).name
        box = np.array([b[2:] for b in BOXES])
        self.low, self.high = box[:, [0, 2, 4]], box[:, [1, 3, 5]]
        self.rays = self._camera_rays()
        self.grid, self.fields = None, {}
        self.num_seen = 0

    def describe(self, args, arrays):
        bare, solid = "bare" in self.scene, "solid" in self.scene
        rows = [] if bare else list(range(len(BOXES)))
        values = {
            "name": "fake",
            "version": "1",
            "navmesh": "" if solid else "scene",
            "islands": 1,
            "area_m2": SIZE_M[0] * SIZE_M[1],
            "labels": [BOXES[i][0] for i in rows],
            "rooms": [BOXES[i][1] for i in rows],
        }
        return values, {
            "bounds_m": np.array([[0.0, FEET_M, -SIZE_M[1]], [SIZE_M[0], FEET_M, 0.0]]),
            "semantic_ids": np.array([i + 1 for i in rows], dtype=np.int32),
            "centres_m": ((self.low + self.high) / 2)[rows].reshape(-1, 3),
            "sizes_m": (self.high - self.low)[rows].reshape(-1, 3),
            "rotations": np.tile([0.0, 0.0, 0.0, 1.0], (len(rows), 1)),
        }

    def observe(self, args, arrays):
        self.num_seen += 1
        if self.num_seen == 3:
            self._misbehave()
        return {}, self._images(arrays["position_m"], arrays["rotation"])

    def act(self, args, arrays):
        position, rotation = arrays["position_m"], arrays["rotation"]
        yaw = 2 * math.atan2(rotation[1], rotation[3])
        collided = False
        if args["action"] == "move_forward":
            step = self.config["forward_m"] * np.array([-math.sin(yaw), 0.0, -math.cos(yaw)])
            wanted, start = position + step, position
            position = self._try(start, wanted, self.config["sliding"])
            moved = np.linalg.norm(position - start)
            collided = bool(moved < self.config["forward_m"] - 1e-3)
        else:
            yaw += math.radians(self.config["turn_deg"]) * (
                1 if args["action"] == "turn_left" else -1
            )
        rotation = np.array([0.0, math.sin(yaw / 2), 0.0, math.cos(yaw / 2)])
        where = {"position_m": np.array(position, dtype=np.float64), "rotation": rotation}
        return {"collided": collided}, dict(self._images(position, rotation), **where)

    def walk(self, args, arrays):
        path = [np.array(arrays["start_m"], dtype=np.float64)]
        for step in arrays["steps_m"]:
            path.append(self._try(path[-1], path[-1] + step, args["sliding"]))
        return {}, {"path_m": np.array(path)}

    def snap(self, args, arrays):
        free = self._free_cells()
        points = []
        for p in arrays["points_m"]:
            if self._is_free(p):
                points.append([p[0], FEET_M, p[2]])
                continue
            gaps = np.hypot(free[:, 0] - p[0], free[:, 2] - p[2])
            points.append(free[gaps.argmin()] if gaps.min() < 2.0 else [np.nan] * 3)
        return {}, {"points_m": np.array(points, dtype=np.float64).reshape(-1, 3)}

    def navigable(self, args, arrays):
        points = arrays["points_m"]
        level = np.abs(points[:, 1] - FEET_M) <= args["max_dy_m"]
        return {}, {"navigable": self._are_free(points) & level}

    def sample(self, args, arrays):
        free = self._free_cells()
        rng = np.random.default_rng(args["seed"])
        points = free[rng.integers(len(free), size=args["count"])]
        islands = np.full(len(points), 5.0)
        points[0], islands[0] = (4.9, 0.7, -6.8), 0.9  # on the bed, as in habitat-sim
        return {}, {"points_m": points, "islands_m": islands}

    def geodesics(self, args, arrays):
        starts, ends = arrays["starts_m"], arrays["ends_m"]
        lengths, nearest = np.full(len(starts), np.inf), np.full(len(starts), -1, dtype=np.int32)
        usable = [i for i, end in enumerate(ends) if self._is_free(end)]
        for i, start in enumerate(starts):
            if not self._is_free(start):
                continue
            for k in usable:
                pair = (start, ends[k]) if len(starts) <= len(usable) else (ends[k], start)
                length = self._length(*pair)
                if length < lengths[i]:
                    lengths[i], nearest[i] = length, k
        return {}, {"lengths_m": lengths, "nearest": nearest}

    def close(self):
        pass

    def _misbehave(self):
        if "once" in self.scene:
            mark = Path(self.config["scene"] + ".happened")
            if mark.exists():
                return
            mark.touch()
        if "exit" in self.scene:
            print("unable to find CUDA device 0 among 1 EGL devices", file=sys.stderr, flush=True)
            os._exit(1)
        if "abort" in self.scene:
            os.abort()
        if "sleep" in self.scene:
            time.sleep(600)
        if "raise" in self.scene:
            raise AssertionError("ESP_CHECK failed: no such sensor")
        if "noise" in self.scene:
            raise TypeError(os.environ["AGENTD_TEST_UNSET"])

    # -------------------------------------------------------------- floor
    def _are_free(self, points):
        r = self.config["agent_radius_m"]
        x, z = points[:, 0], points[:, 2]
        free = (x >= r) & (x <= SIZE_M[0] - r) & (z <= -r) & (z >= r - SIZE_M[1])
        for low, high in zip(self.low, self.high):  # noqa: B905 - Python 3.9 has no `strict`
            dx = np.maximum(np.maximum(low[0] - x, x - high[0]), 0)
            dz = np.maximum(np.maximum(low[2] - z, z - high[2]), 0)
            free &= np.hypot(dx, dz) >= r
        return free

    def _is_free(self, point):
        return bool(self._are_free(np.array(point, dtype=np.float64)[None])[0])

    def _is_clear(self, a, b):
        count = max(math.ceil(np.linalg.norm(b - a) / 0.02), 1)
        return bool(self._are_free(a + np.linspace(0, 1, count + 1)[:, None] * (b - a)).all())

    def _try(self, start, wanted, sliding):
        """Return where feet get: all the way, as far as it is free, or along the wall."""
        steps = max(math.ceil(np.linalg.norm(wanted - start) / 0.005), 1)
        part, at = (wanted - start) / steps, np.array(start, dtype=np.float64)
        for _ in range(steps):
            moves = [part]
            if sliding:
                moves += [part * np.array([1.0, 0, 0]), part * np.array([0, 0, 1.0])]
            move = next((m for m in moves if self._is_free(at + m)), None)
            if move is None:
                break
            at = at + move
        return at

    def _free_cells(self):
        x = np.arange(CELL_M / 2, SIZE_M[0], CELL_M)
        z = -np.arange(CELL_M / 2, SIZE_M[1], CELL_M)
        X, Z = np.meshgrid(x, z, indexing="ij")
        points = np.stack([X.ravel(), np.full(X.size, FEET_M), Z.ravel()], axis=-1)
        if self.grid is None:
            self.grid = self._are_free(points).reshape(X.shape)
        return points[self.grid.ravel()]

    def _length(self, start, end):
        """Return the straight length where it is free, else that over the grid's centres."""
        a, b = np.array(start, dtype=np.float64), np.array(end, dtype=np.float64)
        a[1] = b[1] = FEET_M
        if self._is_clear(a, b):
            return float(np.linalg.norm(b - a))
        self._free_cells()
        here, there = ((int(p[0] / CELL_M), int(-p[2] / CELL_M)) for p in (a, b))
        if here not in self.fields:
            self.fields[here] = self._field(here)
        return self.fields[here].get(there, np.inf)

    def _field(self, start):
        """Return the length of the way from a cell to every other that it reaches."""
        queue, done = [(0.0, start)], {}
        best = {start: 0.0}
        while queue:
            length, cell = heapq.heappop(queue)
            if cell in done:
                continue
            done[cell] = length
            for i in (-1, 0, 1):
                for j in (-1, 0, 1):
                    nxt = (cell[0] + i, cell[1] + j)
                    inside = 0 <= nxt[0] < self.grid.shape[0] and 0 <= nxt[1] < self.grid.shape[1]
                    if not inside or not self.grid[nxt] or nxt in done:
                        continue
                    further = length + CELL_M * math.hypot(i, j)
                    if further < best.get(nxt, np.inf):
                        best[nxt] = further
                        heapq.heappush(queue, (further, nxt))
        return done

    # -------------------------------------------------------------- camera
    def _camera_rays(self):
        w, h = self.config["width_px"], self.config["height_px"]
        f = w / 2 / math.tan(math.radians(self.config["hfov_deg"]) / 2)
        u = (np.arange(w) + 0.5 - w / 2) / f
        v = (np.arange(h) + 0.5 - h / 2) / f
        U, V = np.meshgrid(u, v)
        p = -math.radians(self.config["camera_pitch_deg"])
        y, z = -V, -np.ones_like(V)
        c, s = math.cos(p), math.sin(p)
        return np.stack([U, y * c - z * s, y * s + z * c], axis=-1)

    def _images(self, position, rotation):
        yaw = 2 * math.atan2(rotation[1], rotation[3])
        c, s = math.cos(yaw), math.sin(yaw)
        R = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        eye = np.add(position, [0, self.config["camera_height_m"], 0])
        rays = self.rays @ R.T + 1e-12  # of unit length along the optical axis: t is the depth
        depth = np.where(rays[..., 1] < 0, -eye[1] / np.minimum(rays[..., 1], -1e-9), np.inf)
        owner = np.where(np.isfinite(depth), FLOOR_ID, 0)
        for i, (low, high) in enumerate(zip(self.low, self.high)):  # noqa: B905
            near = np.minimum((low - eye) / rays, (high - eye) / rays).max(-1)
            far = np.maximum((low - eye) / rays, (high - eye) / rays).min(-1)
            hit = (near <= far) & (near > 1e-6) & (near < depth)
            depth, owner = np.where(hit, near, depth), np.where(hit, i + 1, owner)
        fade = np.clip(1.2 - depth / 12, 0.3, 1.0)
        images = {
            "rgb": (COLOURS[owner] * np.where(owner > 0, fade, 0)[..., None]).astype(np.uint8),
            "depth_m": np.where(np.isfinite(depth), depth, 0).astype(np.float32),
        }
        if self.config["semantics"]:
            seen = np.where(owner == FLOOR_ID, 0, owner)
            images["semantic"] = (seen * ("bare" not in self.scene)).astype(np.int32)
        return images
