"""A life made up by seed: the answers of the control socket, without a life."""

import base64
import itertools
import math
import zlib

import numpy as np

CELL_M = 0.1
_LABELS = ("chair", "table", "sofa", "bed", "plant", "lamp", "cabinet", "tv", "sink", "cup")


class FakeLife:
    """Answers `status`, `map`, `slots` and `events` for a house of rooms explored up to a step."""

    def __init__(self, seed=0, step=3000, num_rounds=6):
        self.rng = np.random.default_rng(seed)
        self.seed = seed
        self.step = step
        self.num_rounds = num_rounds
        self.world, self.rooms = _house(self.rng)
        self.furniture = _furnish(self.world, self.rooms, self.rng)
        self.trail = _drive(self.rooms, step)
        self.cells = _explored(self.world, self.trail)
        _fill(self.cells, self.world, self.furniture)

    def answers(self):
        return {
            "status": self.status(),
            "map": self.map(),
            "slots": self.slots(),
            "events": self.events(),
        }

    def pose(self):
        (x0, y0), (x1, y1) = self.trail[-2], self.trail[-1]
        return {"x_m": x1, "y_m": y1, "yaw_rad": math.atan2(y1 - y0, x1 - x0)}

    def map(self):
        height, width = self.cells.shape
        return {
            "width": width,
            "height": height,
            "cell_m": CELL_M,
            "origin_m": [-2.0, -1.0],
            "cells": base64.b64encode(zlib.compress(self.cells.tobytes())).decode(),
            "trail_m": [list(p) for p in self.trail],
            "path_m": [list(p) for p in _line(self.trail[-1], self.target(), 12)],
            "frontiers_m": _frontiers(self.cells),
            "pose": self.pose(),
            "target_m": list(self.target()),
        }

    def target(self):
        return self.furniture[0][1][:2] if self.furniture else self.trail[0]

    def slots(self):
        slots = []
        for number, (label, xyz) in enumerate(self.furniture):
            row, column = int((xyz[1] + 1) / CELL_M), int((xyz[0] + 2) / CELL_M)
            if self.cells[row, column] == 0:
                continue
            state = ("confirmed", "confirmed", "confirmed", "tentative", "suspect")[number % 5]
            slots.append(
                {
                    "slot_id": number + 1,
                    "label": label,
                    "xyz_m": list(xyz),
                    "extent_m": [0.5, 0.5, 0.8],
                    "state": state,
                    "existence": 0.97 if state == "confirmed" else 0.4,
                    "num_hits": 3 + number,
                    "num_views": 2 + number % 6,
                    "last_seen_step": max(0, self.step - 37 * number),
                    "last_seen_ns": 1_700_000_000_000_000_000,
                }
            )
        return {"slots": slots}

    def events(self):
        texts = [
            ("life", "opened the life, 0 rows"),
            ("mode", "explore: frontier of 3.1 m2 in reach"),
            ("memory", "chair #4 confirmed after 3 views"),
            ("learning", "round 5 accepted: k-step error 0.61 -> 0.52"),
            ("goal", "chair queued by operator"),
            ("mode", "go to chair #4: remembered, seen 120 steps ago"),
            ("safety", "stopped: obstacle at 0.18 m ahead"),
            ("goal", "chair reached and verified in 85 steps"),
        ]
        events = [
            {
                "n": n,
                "step": self.step - 40 * (len(texts) - n),
                "stamp_ns": 1_700_000_000_000_000_000 + n * 10**9,
                "kind": kind,
                "text": text,
            }
            for n, (kind, text) in enumerate(texts)
        ]
        return {"next": len(events), "events": events}

    def status(self):
        known_m2 = float((self.cells > 0).sum() * CELL_M**2)
        history = [
            [int(s), known_m2 * (1 - math.exp(-3 * s / self.step))]
            for s in np.linspace(1, self.step, 40)
        ]
        states = [slot["state"] for slot in self.slots()["slots"]]
        return {
            "format": 1,
            "life": {
                "id": "5f2c",
                "name": "first-life",
                "home": "/home/me/.agentd",
                "pid": 4242,
                "started_ns": 1_700_000_000_000_000_000,
                "uptime_s": self.step / 5,
                "seed": self.seed,
                "world": "house",
                "place": f"house {self.seed}",
                "version": "0.1.0",
            },
            "steps": {
                "total": self.step,
                "this_run": self.step,
                "episode": self.step // 256,
                "per_s": 5.0,
                "pace": "real",
                "tick_p50_ms": 21.4,
                "tick_p99_ms": 48.9,
                "missed_ticks": 0,
                "paused": False,
            },
            "doing": {
                "mode": "navigate",
                "reason": "the memory knows chair #4, seen 120 steps ago; 6.2 m by the map",
                "goal": {"goal_id": "g1", "kind": "object", "label": "chair"},
                "target_m": list(self.target()),
                "slot_id": 1,
                "action": {"v_mps": 0.45, "w_radps": -0.3, "source": "planner"},
                "surprise": 0.8,
            },
            "pose": self.pose(),
            "map": {"explored_m2": known_m2, "history": history},
            "memory": {
                "rows_committed": self.step - 12,
                "rows_queued": 12,
                "version": 88,
                "disk_bytes": 41_300_000,
                "slots": {
                    state: states.count(state)
                    for state in ("tentative", "confirmed", "suspect", "archived")
                },
                "views": 143,
                "encoder": "colour-1",
            },
            "learning": {
                "enabled": True,
                "in_flight": {"since_s": 42.0, "replay_version": 88},
                "checkpoint": "c-0006",
                "trusted": True,
                "freshness_s": 96.0,
                "rounds": [self._round(n) for n in range(self.num_rounds)],
            },
            "goals": [
                {
                    "goal_id": "g1",
                    "kind": "object",
                    "label": "chair",
                    "state": "active",
                    "reason": "",
                    "steps": 31,
                }
            ],
            "health": {
                "rss_mb": 512.0,
                "ray_rss_mb": 1180.0,
                "safety_interventions": 3,
                "dropped_rows": 0,
                "last_error": None,
            },
        }

    def _round(self, n):
        error = 0.3 + 0.9 * math.exp(-n / 2.5)
        return {
            "round": n + 1,
            "checkpoint": f"c-{n + 1:04d}",
            "accepted": n != 2,
            "reason": "k-step error better by 0.05" if n != 2 else "k-step error worse at k = 8",
            "step": 400 * (n + 1),
            "seconds": 61.0,
            "metrics": {"k_step_error": {"1": error * 0.6, "4": error * 0.8, "8": error}},
        }


def _house(rng):
    """Two rows of rooms on both sides of a corridor; cells 1 free, 2 wall; returns room boxes."""
    world = np.zeros((110, 150), dtype=np.uint8)
    world[10:100, 20:140] = 2
    rooms = []
    cuts = [21, *sorted(int(c) for c in rng.integers(50, 110, 2)), 139]
    cuts = [21, min(cuts[1], 70), max(cuts[2], 90), 139]
    world[50:60, 21:139] = 1
    for low, high in ((11, 49), (61, 99)):
        for left, right in itertools.pairwise(cuts):
            world[low:high, left : right - 1] = 1
            door = (left + right) // 2
            wall = 49 if low == 11 else 60
            world[wall - 1 : wall + 2, door - 4 : door + 5] = 1
            rooms.append((left, low, right - 1, high))
    return world, rooms


def _furnish(world, rooms, rng):
    """Put blocks into the rooms; returns (label, xyz_m)."""
    placed = []
    for left, low, right, high in rooms:
        for _ in range(4):
            label = _LABELS[int(rng.integers(len(_LABELS)))]
            x, y = int(rng.integers(left + 2, right - 6)), int(rng.integers(low + 2, high - 6))
            world[y : y + 5, x : x + 5] = 2
            placed.append((label, (x * CELL_M - 2 + 0.25, y * CELL_M - 1 + 0.25, 0.4)))
    return placed


def _metres(column, row):
    return (column * CELL_M - 2.0, row * CELL_M - 1.0)


def _drive(rooms, step):
    """Visit the rooms one after the other through the corridor; one position per 10 steps."""
    stops = [_metres(24, 55)]
    for left, low, right, high in rooms:
        door = (left + right + 1) // 2
        centre_row = (low + high) // 2
        stops += [_metres(door, 55), _metres(door, centre_row), _metres(left + 8, centre_row)]
        stops += [_metres(door, centre_row), _metres(door, 55)]
    points = []
    for start, end in itertools.pairwise(stops):
        points += _line(start, end, 12)
    return points[: max(2, step // 10)]


def _line(start, end, num):
    return [
        (start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t)
        for t in np.linspace(0, 1, num).tolist()
    ]


def _explored(world, trail):
    """Cast rays from the trail and keep what they meet."""
    seen = np.zeros_like(world)
    angles = np.linspace(0, 2 * math.pi, 240, endpoint=False)
    for x_m, y_m in trail[::3]:
        column, row = (x_m + 2) / CELL_M, (y_m + 1) / CELL_M
        is_open = np.ones(angles.shape, dtype=bool)
        for reach in np.arange(0, 40, 0.7):
            columns = (column + reach * np.cos(angles[is_open])).astype(int)
            rows = (row + reach * np.sin(angles[is_open])).astype(int)
            hit = world[rows, columns]
            seen[rows, columns] = hit
            is_open[is_open] = hit == 1
    return seen


def _fill(cells, world, furniture):
    """Show the inside of each block of which a side was seen."""
    for _, (x_m, y_m, _) in furniture:
        column, row = int((x_m + 2) / CELL_M), int((y_m + 1) / CELL_M)
        block = np.s_[row - 3 : row + 4, column - 3 : column + 4]
        if (cells[block] == 2).any():
            cells[block] = world[block]


def _frontiers(cells):
    free = cells == 1
    unknown = np.zeros_like(free)
    unknown[1:-1, 1:-1] = (cells[2:, 1:-1] == 0) | (cells[:-2, 1:-1] == 0)
    unknown[1:-1, 1:-1] |= (cells[1:-1, 2:] == 0) | (cells[1:-1, :-2] == 0)
    found = np.argwhere(free & unknown)[::40]
    return [list(_metres(int(column), int(row))) for row, column in found]


class FakeClient:
    """Answers like a running life; notes what it was asked."""

    def __init__(self, life=None):
        self.life = life or FakeLife(seed=1)
        self.commands = []
        self.problem = None
        self.answers = self.life.answers()

    def call(self, cmd, **args):
        if self.problem is not None:
            raise self.problem
        if cmd == "events":
            events = self.answers["events"]
            new = [e for e in events["events"] if e["n"] >= args["since"]]
            return {"next": events["next"], "events": new}
        if cmd in self.answers:
            return self.answers[cmd]
        self.commands.append((cmd, args))
        return {"checkpoint": "c-0005"} if cmd == "checkpoint.rollback" else {}
