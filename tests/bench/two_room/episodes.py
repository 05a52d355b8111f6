"""What all learners are given, and the fixed pairs of start and goal that they are judged on.

Axis letters: n frames or steps of all episodes one after the other, b batch, t time, e episodes.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from bench.two_room.peer import Rooms

SUCCESS_PX = 16.0
MAX_STEPS = 400
WINDOW = 4
"""Frames: a history of three and the one after."""
BLOCK = 5
"""Environment steps from one frame of a window to the next."""
PX = 64
WALL_PX = 112.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Episodes:
    """Recorded episodes, one after the other.

    Attributes:
        places: Agent's position in px of 224, for scoring alone: no learner reads it.
        actions: What led from a frame to the next; zero at the last frame of an episode.
        ends: Index one past the last frame of each episode.
        frames: Pictures, none for episodes that only give pairs.
    """

    places: np.ndarray
    actions: np.ndarray
    ends: np.ndarray
    frames: np.ndarray | None = None

    @property
    def starts(self) -> np.ndarray:
        """Index of the first frame of each episode."""
        return np.concatenate([[0], self.ends[:-1]])

    def window_starts(self, window: int = WINDOW) -> np.ndarray:
        """Return every frame from which a window stays within its episode."""
        span = (window - 1) * BLOCK
        return np.concatenate(
            [np.arange(a, b - span) for a, b in zip(self.starts, self.ends, strict=True)]
        )

    def blocks(self, first: np.ndarray) -> np.ndarray:
        """Return the actions of the block that starts at each frame, (... BLOCK 2)."""
        return self.actions[first[..., None] + np.arange(BLOCK)]


def record(rooms: "Rooms", number: int, seed: int, *, pictures: bool) -> Episodes:
    """Return episodes of the noisy expert between random places.

    Args:
        rooms: Environment.
        number: Episodes; those whose start is its goal are left out.
        seed: Draws places and noise.
        pictures: Whether to render every frame.
    """
    expert = rooms.expert(seed)
    places: list[np.ndarray] = []
    actions: list[np.ndarray] = []
    frames: list[np.ndarray] = []
    ends = []
    for episode in range(number):
        rooms.env.reset(seed=seed + episode)
        expert.begin()
        done = bool(np.linalg.norm(rooms.place - rooms.goal) < SUCCESS_PX)
        if done:
            continue
        for _ in range(MAX_STEPS):
            places.append(rooms.place)
            frames.extend([small(rooms.image())] if pictures else [])
            actions.append(expert.act())
            if rooms.step(actions[-1]):
                break
        places.append(rooms.place)
        frames.extend([small(rooms.image())] if pictures else [])
        actions.append(np.zeros(2, dtype=np.float32))
        ends.append(len(places))
    return Episodes(
        places=np.stack(places).astype(np.float32),
        actions=np.stack(actions).astype(np.float32),
        ends=np.array(ends),
        frames=np.stack(frames) if pictures else None,
    )


def small(picture: np.ndarray) -> np.ndarray:
    """Return the picture that learners see, (PX PX 3)."""
    return np.asarray(Image.fromarray(picture).resize((PX, PX), Image.Resampling.BOX))


def save(path: Path, episodes: Episodes) -> str:
    """Write episodes; return the SHA-256 of what they hold."""
    arrays = {
        name: getattr(episodes, name)
        for name in ("places", "actions", "ends", "frames")
        if getattr(episodes, name) is not None
    }
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **arrays)
    part.replace(path)
    return fingerprint(episodes)


def load(path: Path) -> Episodes:
    """Return what `save` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return Episodes(**{name: arrays[name] for name in arrays.files})


def fingerprint(episodes: Episodes) -> str:
    """Return the SHA-256 of places, actions and frames."""
    digest = hashlib.sha256()
    for array in (episodes.places, episodes.actions, episodes.ends, episodes.frames):
        digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Pair:
    """A start and a goal, in px of 224."""

    start: tuple[float, float]
    goal: tuple[float, float]

    @property
    def crosses(self) -> bool:
        """Whether the wall is between them."""
        return (self.start[0] > WALL_PX) != (self.goal[0] > WALL_PX)


def draw_pairs(episodes: Episodes, offset: int, number: int, seed: int) -> list[Pair]:
    """Return pairs of places that an episode passed `offset` steps apart, not solved at the start.

    Pairs come from as many episodes as there are before one gives a second.

    Raises:
        ValueError: If the episodes have fewer.
    """
    rng = np.random.default_rng([seed, offset])
    pairs: list[Pair] = []
    seen: set[int] = set()
    spans = list(zip(episodes.starts, episodes.ends, strict=True))
    for _ in range(50):
        for which in rng.permutation(len(spans)):
            first, end = spans[which]
            if end - first <= offset:
                continue
            at = int(rng.integers(first, end - offset))
            start, goal = episodes.places[at], episodes.places[at + offset]
            if at in seen or np.linalg.norm(start - goal) < SUCCESS_PX:
                continue
            seen.add(at)
            pairs.append(Pair(tuple(map(float, start)), tuple(map(float, goal))))
            if len(pairs) == number:
                return pairs
    raise ValueError(
        f"{number} pairs {offset} steps apart are wanted, the episodes have {len(pairs)}"
    )


def save_pairs(path: Path, pairs: Sequence[Pair]) -> None:
    """Write pairs as JSON."""
    path.write_text(json.dumps([[p.start, p.goal] for p in pairs]) + "\n")


def load_pairs(path: Path) -> list[Pair]:
    """Return what `save_pairs` wrote."""
    return [Pair(tuple(start), tuple(goal)) for start, goal in json.loads(path.read_text())]


Act = Callable[[np.ndarray], np.ndarray]
"""From the picture now to the actions until the next look, (steps 2), in [-1, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an episode ended: the steps it took, None if the goal was not reached, and the path."""

    steps: int | None
    path_px: float


def play(rooms: "Rooms", pair: Pair, budget: int, act: Act) -> Outcome:
    """Run one episode; success is to come within `SUCCESS_PX` at any time."""
    rooms.begin(np.array(pair.start, np.float32), np.array(pair.goal, np.float32))
    taken, path_px, before = 0, 0.0, rooms.place
    while True:
        for action in act(small(rooms.image())):
            done = rooms.step(np.clip(action, -1, 1).astype(np.float32))
            taken += 1
            path_px += float(np.linalg.norm(rooms.place - before))
            before = rooms.place
            if done or taken == budget:
                return Outcome(steps=taken if done else None, path_px=path_px)
