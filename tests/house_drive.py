"""Short random drives through the embedded house, with what is in view known without a memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from memory.config import ReplayConfig
from memory.records import (
    NUM_OBJECTS,
    OBJECT_FEATURES,
    Action,
    BodySpec,
    Observation,
    Transition,
)
from memory.replay.ram import RamReplay

_TURN_EVERY = 4
_MIN_PX = 24
_STOP = Action(v_mps=0.0, w_radps=0.0, duration_s=0.0)


@dataclass(frozen=True)
class HouseDrive:
    """A replay of the drives.

    Attributes:
        replay: Slots stand for categories: an object's slot is that of its category.
        kind_of: Category of each slot.
        rects_m: x0, y0, x1, y1 of the rooms.
        spec: Of the body.
    """

    replay: RamReplay
    kind_of: dict[int, str]
    rects_m: np.ndarray
    spec: BodySpec

    def rooms(self, xy_m: np.ndarray) -> np.ndarray:
        """Return the number of the room of each position, -1 inside a wall."""
        return rooms_at(self.rects_m, xy_m)


def rooms_at(rects_m: np.ndarray, xy_m: np.ndarray) -> np.ndarray:
    """Return the number of the room of each position, -1 inside a wall."""
    x, y = xy_m[..., 0, None], xy_m[..., 1, None]
    x0, y0, x1, y1 = rects_m.T
    inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    return np.where(inside.any(-1), inside.argmax(-1), -1)


def drive_house(house: int, num_episodes: int, steps: int, seed: int) -> HouseDrive:
    """Drive from random poses, turning at random and at every bump."""
    world = HouseWorld(HouseConfig(seed=house, num_rooms=5))
    rng = np.random.default_rng(seed)
    slots: dict[str, int] = {}
    replay = RamReplay(ReplayConfig(probe_every=4))
    for episode in range(num_episodes):
        replay.append(list(_episode(world, episode, steps, rng, slots)))
    rooms = world.stage.scene.house.rooms
    world.close()
    return HouseDrive(
        replay=replay,
        kind_of={slot: label for label, slot in slots.items()},
        rects_m=np.array([room.rect for room in rooms]),
        spec=world.spec,
    )


def _episode(
    world: HouseWorld, episode: int, steps: int, rng: np.random.Generator, slots: dict[str, int]
) -> Iterator[Transition]:
    seen = world.reset(seed=int(rng.integers(1 << 30)))
    x_m, y_m, yaw_rad = _pose(seen)
    v_mps, w_radps = 0.0, 0.0
    for i in range(steps):
        if i % _TURN_EVERY == 0 or seen.bumped:
            v_mps, w_radps = float(rng.uniform(0, 0.75)), float(rng.uniform(-1.5, 1.5))
        objects, object_slots = _objects(seen, slots)
        last = i == steps - 1
        step = None if last else world.step(Action(v_mps=v_mps, w_radps=w_radps, duration_s=0.2))
        yield Transition(
            step=episode * steps + i,
            episode_id=episode,
            observation=seen,
            action=_STOP if step is None else step.applied,
            pose=np.array([x_m, y_m, yaw_rad], dtype=np.float32),
            objects=objects,
            object_slots=object_slots,
            is_first=i == 0,
            is_last=last,
            is_terminal=False,
            surprise=float("nan"),
            checkpoint_id="",
        )
        if step is not None:
            seen = step.observation
            x_m, y_m, yaw_rad = _pose(seen)


def _pose(seen: Observation) -> tuple[float, float, float]:
    """Return where the body is; the camera sits a little ahead of its middle."""
    forward = seen.T_world_camera[:3, 2]
    x_m, y_m = seen.T_world_camera[:2, 3]
    return float(x_m), float(y_m), float(np.arctan2(forward[1], forward[0]))


def _objects(seen: Observation, slots: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    rows = np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32)
    object_slots = np.zeros(NUM_OBJECTS, dtype=np.int32)
    assert seen.instances is not None
    numbers, counts = np.unique(seen.instances[seen.instances > 0], return_counts=True)
    order = [n for n in np.argsort(-counts)[:NUM_OBJECTS] if counts[n] >= _MIN_PX]
    for row, number in enumerate(order):
        label = seen.labels[numbers[number]]
        rows[row, 0] = 1.0
        object_slots[row] = slots.setdefault(label, len(slots) + 1)
    return rows, object_slots
