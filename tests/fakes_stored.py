"""A small memory on disk, made by the stores themselves."""

from pathlib import Path

from fakes_memory import SPEC, Box, look_at, make_episode, observe

from memory.config import ObjectConfig, ReplayConfig
from memory.objects.memory import SlotMemory
from memory.replay.store import LanceReplay

BOXES = [
    Box(label="chair", xyz_m=(2.0, -0.8, 0.45), extent_m=(0.5, 0.5, 0.9)),
    Box(label="dining_table", xyz_m=(2.0, 0.8, 0.4), extent_m=(0.9, 0.9, 0.8), rgb=(9, 200, 9)),
]

EPISODES = (20, 12, 8)
"""Rows of each stored episode."""


def store_episodes(folder: Path, lengths: tuple[int, ...] = EPISODES) -> None:
    """Append episodes, one commit each, after what is there."""
    replay = LanceReplay(folder, ReplayConfig())
    for length in lengths:
        first, episode = replay.last_step() + 1, replay.last_episode() + 1
        replay.append(make_episode(first, episode, length))
    replay.close()


def store_objects(folder: Path, steps: int = 8) -> SlotMemory:
    """See two objects from changing places and write what is remembered."""
    memory = SlotMemory(folder, ObjectConfig(), SPEC)
    for step in range(steps):
        eye = (0.0, -1.0 + 2.0 * step / steps)
        memory.update(*observe(BOXES, look_at(eye, (2.0, 0.0)), step * 1_000_000_000), step)
        memory.flush()
    return memory


def furnish(folder: Path) -> None:
    """Make a memory of 40 steps in 3 episodes, and 2 objects with views, vectors and a log."""
    store_episodes(folder)
    store_objects(folder)
