"""A furnished room of boxes, and the scripts that are played in it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from fakes_memory import SPEC, Box, observe
from scenes.script import Drive, Phase, Restart

from agentd.worlds.oracle import TrueObject
from memory.records import Observation

WALLS = [Box(label="", xyz_m=(0.0, y, 1.5), extent_m=(8.4, 0.2, 3.0)) for y in (-3.6, 3.6)] + [
    Box(label="", xyz_m=(x, 0.0, 1.5), extent_m=(0.2, 7.4, 3.0)) for x in (-4.2, 4.2)
]

LAP_M = 1.7
"""Radius of the drive around the table."""

FURNITURE: dict[str, tuple[str, tuple[float, float], tuple[float, float, float]]] = {
    "table": ("table", (0.0, 0.0), (1.4, 0.8, 0.75)),
    "chair west": ("chair", (-0.65, 2.7), (0.45, 0.45, 0.9)),
    "chair mid": ("chair", (0.0, 2.7), (0.45, 0.45, 0.9)),
    "chair east": ("chair", (0.65, 2.7), (0.45, 0.45, 0.9)),
    "sofa": ("sofa", (-3.4, 0.0), (0.9, 1.8, 0.8)),
    "bed": ("bed", (2.6, -2.6), (1.9, 1.4, 0.5)),
    "shelf": ("shelf", (3.7, 1.4), (0.4, 1.2, 1.8)),
    "plant": ("plant", (-3.3, 2.7), (0.5, 0.5, 1.0)),
    "ball": ("ball", (2.5, 0.2), (0.35, 0.35, 0.35)),
    "bin": ("bin", (-1.2, -2.8), (0.5, 0.5, 0.7)),
    "stool": ("stool", (-2.4, 1.7), (0.45, 0.45, 0.5)),
    "lamp": ("lamp", (-3.3, -2.7), (0.35, 0.35, 1.6)),
}
"""Label, place and size by name; the chairs are equal, the rest is one of its kind."""

SCREEN = Box(label="", xyz_m=(-2.5, 0.0, 0.9), extent_m=(0.1, 2.4, 1.8))
"""Hides the sofa from the lap."""


@dataclass(frozen=True, kw_only=True)
class Put:
    """Put a thing into the room, or elsewhere in it; without a box, take it away."""

    name: str
    box: Box | None


class RayRoom:
    """A room of boxes. Satisfies `Place`.

    Args:
        seed: Draws colours and shifts every thing by up to a decimetre.
    """

    spec = SPEC

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 1])
        self._names: list[str] = []
        self.boxes: dict[str, Box] = {}
        chair_rgb = _colour(rng)
        for name, (label, (x, y), size) in FURNITURE.items():
            dx, dy = rng.uniform(-0.05 if label == "chair" else -0.1, 0.05, 2)
            rgb = chair_rgb if label == "chair" else _colour(rng)
            at = (x + dx, y + dy, size[2] / 2)
            self.boxes[name] = Box(label=label, xyz_m=at, extent_m=size, rgb=rgb)

    def observe(self, pose: np.ndarray, step: int) -> tuple[Observation, dict[int, int]]:
        """Return what is seen from a pose, and the object of each instance in it."""
        names = list(self.boxes)
        observation, _ = observe([*self.boxes.values(), *WALLS], pose, step)
        assert observation.instances is not None
        in_view = np.unique(observation.instances).tolist()
        return observation, {n: self._id(names[n - 1]) for n in in_view if n > 0}

    def truth(self) -> list[TrueObject]:
        """Return the objects that are there: everything with a label."""
        return [
            TrueObject(
                object_id=self._id(name),
                label=box.label,
                xyz_m=np.array(box.xyz_m),
                extent_m=np.array(box.extent_m),
                room="room",
            )
            for name, box in self.boxes.items()
            if box.label
        ]

    def change(self, what: object) -> None:
        """Put something somewhere."""
        assert isinstance(what, Put)
        if what.box is None:
            self.boxes.pop(what.name, None)
        else:
            self.boxes[what.name] = what.box

    def moved(self, name: str, x: float, y: float) -> Put:
        """Return the change that moves a thing."""
        box = self.boxes[name]
        return Put(name=name, box=replace(box, xyz_m=(x, y, box.xyz_m[2])))

    def _id(self, name: str) -> int:
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name) + 1


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    r, g, b = (int(v) for v in rng.integers(20, 236, 3))
    return (r, g, b)


def lap(seed: int, frames: int = 60, turns: int = 4) -> list[np.ndarray]:
    """Return poses once around the table, turning in place `turns` times on the way."""
    start, heading = np.random.default_rng([seed, 2]).uniform(-math.pi, math.pi, 2)
    share = np.arange(frames) / frames
    angle, yaw = start + 2 * math.pi * share, heading + 2 * math.pi * turns * share
    return [
        np.array([LAP_M * math.cos(a), LAP_M * math.sin(a), h])
        for a, h in zip(angle, yaw, strict=True)
    ]


def walker(num: int) -> Callable[[int], Put]:
    """Return a body without a label that crosses the room between two walls, again and again."""

    def at(i: int) -> Put:
        swing = math.sin(2 * math.pi * i / num * 3)
        angle = 2 * math.pi * i / num
        x, y = 2.1 * math.cos(angle) * swing, 2.1 * math.sin(angle)
        return Put(name="walker", box=Box(label="", xyz_m=(x, y, 0.85), extent_m=(0.45, 0.45, 1.7)))

    return at


Script = Callable[[RayRoom, int], list[Phase]]


def still(room: RayRoom, seed: int) -> list[Phase]:
    """Nothing changes."""
    return [Drive(poses=lap(seed)), Drive(poses=lap(seed + 1))]


def removed(room: RayRoom, seed: int) -> list[Phase]:
    """One that is unique and one of three equal ones are taken away."""
    return [
        *still(room, seed),
        Put(name="stool", box=None),
        Put(name="chair mid", box=None),
        *still(room, seed + 2),
    ]


def moved(room: RayRoom, seed: int) -> list[Phase]:
    """Two that are unique stand elsewhere."""
    return [
        *still(room, seed),
        room.moved("plant", 3.4, -0.8),
        room.moved("bin", -2.8, -1.6),
        *still(room, seed + 2),
    ]


def added(room: RayRoom, seed: int) -> list[Phase]:
    """A thing of a new kind, and one more of a known kind."""
    rgb = _colour(np.random.default_rng([seed, 3]))
    chair = room.boxes["chair mid"]
    return [
        *still(room, seed),
        Put(
            name="crate",
            box=Box(label="crate", xyz_m=(1.9, 2.8, 0.25), extent_m=(0.5,) * 3, rgb=rgb),
        ),
        Put(name="chair south", box=replace(chair, xyz_m=(0.2, -2.9, chair.xyz_m[2]))),
        *still(room, seed + 2),
    ]


def occluded(room: RayRoom, seed: int) -> list[Phase]:
    """A screen stands in front of the sofa for two laps."""
    return [
        *still(room, seed),
        Put(name="screen", box=SCREEN),
        *still(room, seed + 2),
        Put(name="screen", box=None),
        Drive(poses=lap(seed + 4)),
    ]


def passing(room: RayRoom, seed: int) -> list[Phase]:
    """Somebody walks through the room all the time."""
    poses = lap(seed + 1, frames=120, turns=8)
    return [
        Drive(poses=lap(seed)),
        Drive(poses=poses, passing=walker(len(poses))),
        Put(name="walker", box=None),
    ]


def busy(room: RayRoom, seed: int) -> list[Phase]:
    """Moved, removed, added and occluded at once."""
    return [
        *still(room, seed),
        Put(name="screen", box=SCREEN),
        room.moved("plant", 3.4, -0.8),
        Put(name="stool", box=None),
        Put(name="chair east", box=None),
        Put(name="crate", box=Box(label="crate", xyz_m=(1.9, 2.8, 0.25), extent_m=(0.5,) * 3)),
        *still(room, seed + 2),
        Put(name="screen", box=None),
        *still(room, seed + 4),
    ]


def restarted(phases: list[Phase]) -> list[Phase]:
    """Return a script with a restart of the memory after every phase."""
    return [phase for each in phases for phase in (each, Restart())]


SCRIPTS: dict[str, Script] = {
    "still": still,
    "removed": removed,
    "moved": moved,
    "added": added,
    "occluded": occluded,
    "passing": passing,
    "busy": busy,
}
