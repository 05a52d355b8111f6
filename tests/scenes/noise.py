"""What a detector and a depth camera get wrong, at three levels, by a seed.

Errors are made where they arise: in the mask, the labels, the depth and the pose of an observation.
Detections then come from the real detector, so that mask, box and points agree as they would.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from memory.frames import body_pose, inverse, se3_from_pose
from memory.records import BodySpec, Observation

SPLIT_MIN_PX = 48
PHANTOM_PX = (5, 14)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How much goes wrong.

    Attributes:
        miss: Chance that an object in view is not detected in a frame.
        phantom: Chance of a false detection in a frame.
        label: Chance that a detection bears another label.
        shift_px: Standard deviation by which a mask is displaced, along each axis.
        split: Chance that an object is detected as two.
        join: Chance that two neighbours of a kind are detected as one.
        depth_rel: Standard deviation of depth, relative.
        dropout: Share of pixels without depth.
        position_m: Standard deviation of the body's position, along each axis.
        heading_rad: Standard deviation of its heading.
    """

    miss: float = 0.0
    phantom: float = 0.0
    label: float = 0.0
    shift_px: float = 0.0
    split: float = 0.0
    join: float = 0.0
    depth_rel: float = 0.0
    dropout: float = 0.0
    position_m: float = 0.0
    heading_rad: float = 0.0


LEVELS = {
    "perfect": Noise(),
    "mild": Noise(
        miss=0.1,
        phantom=0.03,
        label=0.02,
        shift_px=0.3,
        split=0.02,
        join=0.02,
        depth_rel=0.01,
        dropout=0.01,
        position_m=0.01,
        heading_rad=0.005,
    ),
    "hard": Noise(
        miss=0.3,
        phantom=0.2,
        label=0.1,
        shift_px=0.8,
        split=0.1,
        join=0.1,
        depth_rel=0.03,
        dropout=0.05,
        position_m=0.03,
        heading_rad=0.017,
    ),
}


class Spoiler:
    """Makes observations worse.

    Args:
        noise: How much.
        spec: Body that carries the camera.
        labels: Labels that a confused detector may give.
        seed: Of the errors.
    """

    def __init__(self, noise: Noise, spec: BodySpec, labels: Sequence[str], seed: int) -> None:
        self._noise = noise
        self._spec = spec
        self._labels = sorted(set(labels))
        self._rng = np.random.default_rng([seed, 77])

    def spoil(
        self, observation: Observation, objects: dict[int, int]
    ) -> tuple[Observation, dict[int, int | None]]:
        """Return a worse observation, and the object behind each of its instances.

        Args:
            observation: With a mask.
            objects: True object of each instance in view.

        Returns:
            None stands for a phantom, or for several objects in one.
        """
        assert observation.instances is not None
        frame = _Frame(observation.instances, observation.labels, objects)
        for pair in _neighbours(frame.mask, frame.labels, objects):
            if self._chance(self._noise.join):
                frame.join(*pair)
        for number in sorted(frame.objects):
            self._spoil_instance(frame, number)
        if self._chance(self._noise.phantom):
            frame.paint_phantom(self._rng, self._label())
        return replace(
            observation,
            instances=frame.mask,
            labels=tuple(frame.labels),
            depth_m=self._depth_m(observation),
            T_world_camera=self._pose(observation),
        ), frame.objects

    def _spoil_instance(self, frame: "_Frame", number: int) -> None:
        if self._chance(self._noise.miss):
            frame.erase(number)
            return
        if self._chance(self._noise.label):
            frame.labels[number] = self._label(frame.labels[number])
        if self._noise.shift_px > 0:
            shift = np.rint(self._rng.normal(0, self._noise.shift_px, 2)).astype(int)
            frame.shift(number, int(shift[0]), int(shift[1]))
        if self._chance(self._noise.split):
            frame.split(number)

    def _depth_m(self, observation: Observation) -> np.ndarray:
        depth_m, noise = observation.depth_m, self._noise
        if noise.depth_rel == 0 and noise.dropout == 0:
            return depth_m
        factor = 1 + self._rng.normal(0, noise.depth_rel, depth_m.shape)
        lost = self._rng.random(depth_m.shape) < noise.dropout
        return np.where(lost, np.nan, depth_m * factor).astype(np.float32)

    def _pose(self, observation: Observation) -> np.ndarray:
        noise = self._noise
        if noise.position_m == 0 and noise.heading_rad == 0:
            return observation.T_world_camera
        pose = body_pose(observation.T_world_camera, self._spec).astype(np.float64)
        scale = (noise.position_m, noise.position_m, noise.heading_rad)
        off = se3_from_pose(pose + self._rng.normal(0, scale))
        return off @ inverse(se3_from_pose(pose)) @ observation.T_world_camera

    def _chance(self, p: float) -> bool:
        return p > 0 and bool(self._rng.random() < p)

    def _label(self, other_than: str = "") -> str:
        return str(self._rng.choice([label for label in self._labels if label != other_than]))


class _Frame:
    """A mask that is being spoilt."""

    def __init__(self, mask: np.ndarray, labels: Sequence[str], objects: dict[int, int]) -> None:
        self.mask = mask.copy()
        self.labels = list(labels)
        self.objects: dict[int, int | None] = dict(objects)

    def add(self, label: str, object_id: int | None) -> int:
        self.labels.append(label)
        number = len(self.labels) - 1
        self.objects[number] = object_id
        return number

    def join(self, a: int, b: int) -> None:
        self.mask[self.mask == b] = a
        self.objects[a] = None
        self.objects.pop(b, None)

    def erase(self, number: int) -> None:
        self.mask[self.mask == number] = 0
        del self.objects[number]

    def shift(self, number: int, dv: int, du: int) -> None:
        v, u = np.nonzero(self.mask == number)
        height, width = self.mask.shape
        self.mask[v, u] = 0
        v, u = v + dv, u + du
        inside = (v >= 0) & (v < height) & (u >= 0) & (u < width)
        self.mask[v[inside], u[inside]] = number

    def split(self, number: int) -> None:
        v, u = np.nonzero(self.mask == number)
        if len(v) < SPLIT_MIN_PX:
            return
        along = v if np.ptp(v) > np.ptp(u) else u
        far = along > np.median(along)
        other = self.add(self.labels[number], self.objects[number])
        self.mask[v[far], u[far]] = other

    def paint_phantom(self, rng: np.random.Generator, label: str) -> None:
        height, width = self.mask.shape
        tall, wide = rng.integers(*PHANTOM_PX, 2)
        v, u = rng.integers(0, height - tall), rng.integers(0, width - wide)
        patch = self.mask[v : v + tall, u : u + wide]
        patch[patch == 0] = self.add(label, None)


def _neighbours(
    mask: np.ndarray, labels: Sequence[str], objects: dict[int, int]
) -> list[tuple[int, int]]:
    """Return disjoint pairs of instances of one label whose masks touch."""
    sides = [(mask[:, :-1], mask[:, 1:]), (mask[:-1], mask[1:])]
    pairs: set[tuple[int, int]] = set()
    for left, right in sides:
        border = (left != right) & (left > 0) & (right > 0)
        pairs |= {
            (min(p), max(p)) for p in np.stack([left[border], right[border]], axis=1).tolist()
        }
    chosen: list[tuple[int, int]] = []
    for a, b in sorted(pairs):
        free = all(number not in pair for pair in chosen for number in (a, b))
        if free and a in objects and b in objects and labels[a] == labels[b]:
            chosen.append((a, b))
    return chosen
