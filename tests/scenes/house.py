"""The embedded house as a place for scripts: real furniture, real occlusion, several rooms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scenes.script import Drive, Phase

from agentd.worlds.house.scenario import find_spot
from agentd.worlds.house.truth import HouseOracle
from agentd.worlds.house.world import HouseWorld
from agentd.worlds.oracle import TrueObject
from configs.worlds import HouseConfig
from memory.frames import pixel_rays
from memory.records import Action, Observation

STAY = Action(v_mps=0.0, w_radps=0.0, duration_s=0.2)

ON_M = 0.12
"""Seen points lie this near to the box of the object that they belong to."""


@dataclass(frozen=True)
class Carry:
    """Carry an object to another free place, drawn by a seed."""

    object_id: int
    seed: int


@dataclass(frozen=True)
class TakeAway:
    """Take an object out of the house."""

    object_id: int


class HousePlace:
    """A house. Satisfies `Place`.

    Args:
        seed: Which house.
    """

    def __init__(self, seed: int) -> None:
        self.world = HouseWorld(HouseConfig(seed=seed, num_rooms=5))
        self.oracle = HouseOracle(self.world)
        self.spec = self.world.spec
        self._rays = pixel_rays(self.spec)

    def observe(self, pose: np.ndarray, step: int) -> tuple[Observation, dict[int, int]]:
        """Return what is seen from a pose, and the object of each instance in it."""
        self.world.place(pose)
        observation = self.world.step(STAY).observation
        assert observation.instances is not None
        T = observation.T_world_camera
        points = (self._rays * observation.depth_m[..., None]) @ T[:3, :3].T + T[:3, 3]
        truth, objects = self.truth(), {}
        for number in np.unique(observation.instances).tolist():
            seen = points[observation.instances == number]
            behind = self._behind(truth, observation.labels[number], seen)
            if number > 0 and behind is not None:
                objects[number] = behind
        return observation, objects

    def truth(self) -> list[TrueObject]:
        """Return the objects that are there."""
        return self.oracle.objects()

    def change(self, what: object) -> None:
        """Carry an object elsewhere or take it away."""
        stage = self.world.stage
        if isinstance(what, TakeAway):
            stage.remove_object(what.object_id)
        else:
            assert isinstance(what, Carry)
            rng = np.random.default_rng(what.seed)
            spot = find_spot(stage, stage.placed(what.object_id).piece, rng, leave=what.object_id)
            assert spot is not None
            stage.move_object(what.object_id, spot.x, spot.y, spot.yaw_rad)

    def unique(self, labels: Sequence[str]) -> list[int]:
        """Return the objects with one of some labels that are the only ones of their kind."""
        kinds = [thing.label for thing in self.truth()]
        return [
            t.object_id for t in self.truth() if t.label in labels and kinds.count(t.label) == 1
        ]

    @staticmethod
    def _behind(truth: Sequence[TrueObject], label: str, seen: np.ndarray) -> int | None:
        """Return the object of a label whose box holds most of some points, if it holds half."""
        alike = [thing for thing in truth if thing.label == label]
        held = [
            float((np.abs(seen - t.xyz_m) <= t.extent_m / 2 + ON_M).all(axis=1).mean())
            for t in alike
        ]
        best = max(range(len(alike)), key=lambda i: held[i], default=-1)
        return alike[best].object_id if best >= 0 and held[best] >= 0.5 else None


def tour(place: HousePlace, seed: int, stations: int = 14, headings: int = 8) -> list[np.ndarray]:
    """Return poses that turn once at every one of some places spread over the house."""
    truth = place.oracle.true_map()
    cells = np.argwhere(truth.navigable)
    spots = (cells + 0.5) * truth.cell_m + np.array(truth.origin_m)
    rng = np.random.default_rng([seed, 5])
    chosen = [spots[rng.integers(len(spots))]]
    apart = np.full(len(spots), np.inf)
    while len(chosen) < stations:
        apart = np.minimum(apart, np.linalg.norm(spots - chosen[-1], axis=1))
        chosen.append(spots[apart.argmax()])
    angles = rng.uniform(0, 2 * math.pi) + 2 * math.pi * np.arange(headings) / headings
    return [np.array([*spot, angle]) for spot in chosen for angle in angles]


def around(place: HousePlace, object_id: int, looks: int = 8) -> list[np.ndarray]:
    """Return poses from which the place of an object is looked at, one to two metres away."""
    thing = next(t for t in place.truth() if t.object_id == object_id)
    truth = place.oracle.true_map()
    spots = (np.argwhere(truth.navigable) + 0.5) * truth.cell_m + np.array(truth.origin_m)
    to_thing = thing.xyz_m[:2] - spots
    apart = np.linalg.norm(to_thing, axis=1)
    near = np.flatnonzero((apart >= 1.0) & (apart <= 2.0))
    bearing = np.arctan2(to_thing[near, 1], to_thing[near, 0])
    chosen = near[np.argsort(bearing)][np.linspace(0, len(near) - 1, looks).astype(int)]
    return [np.array([*spots[i], math.atan2(to_thing[i, 1], to_thing[i, 0])]) for i in chosen]


def upheaval(place: HousePlace, seed: int) -> list[Phase]:
    """Two tours; one thing is taken away and one is carried elsewhere; a look, and two tours."""
    gone, carried = place.unique(["lamp", "plant", "trashcan", "nightstand", "table", "bed"])[:2]
    return [
        Drive(poses=tour(place, seed)),
        Drive(poses=tour(place, seed + 1)),
        TakeAway(gone),
        Carry(carried, seed),
        Drive(poses=[*around(place, gone), *around(place, carried)]),
        Drive(poses=tour(place, seed + 2)),
        Drive(poses=tour(place, seed + 3)),
    ]
