"""What a detector gets wrong: a seeded noise model on top of the body's instance mask.

Errors are made in the mask and its labels, so that box, points and mask of a detection agree as
they would. The model sees what a detector sees: numbers that mean nothing beyond their frame. An
error lasts: what decides it is drawn per thing and stretch of time, and a thing is known by its
label and the square metre where it is seen.

Axis letters: h w image.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int32

from memory.frames import inverse, project
from memory.records import BodySpec, Detection, Observation
from policies.config import NoiseConfig, PerceptionConfig
from policies.detectors.lifting import Lifter

SPLIT_MIN_PX = 48
"""Smaller masks are not taken for two."""
PHANTOM_PX = (5, 14)
"""Sides of a false mask when it first appears."""
RIGHT_SCORES, WRONG_SCORES = (0.5, 0.95), (0.35, 0.8)
"""Between what the confidence of right and of wrong detections is even."""
PLACE_M = 1.0
"""Side of the square in which things of a label share their errors."""
PHANTOM_SLACK_M = 0.3
"""A false detection shows where the depth is within this of where it first appeared."""
TOUCH_M = 1.0
"""Neighbours whose median depths differ by more are never taken for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoilt:
    """An observation with a worse mask.

    Attributes:
        observation: With the mask and the labels as a detector would have them.
        sources: Numbers in the original mask behind each number in the new one: none for a false
            detection, several for things taken for one.
        scores: Confidence in each of them.
    """

    observation: Observation
    sources: dict[int, tuple[int, ...]]
    scores: dict[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phantom:
    """A false detection that goes on for a while."""

    label: str
    xyz_m: Float64[np.ndarray, "3"]
    size_m: tuple[float, float]
    until_ns: int


class MaskNoise:
    """Makes masks worse. The same seed and the same observations give the same errors.

    Args:
        spec: Body that carries the camera.
        config: How much.
        seed: Of the errors.
        labels: Labels that a confused detector may give; None: those it saw so far.
    """

    def __init__(
        self,
        spec: BodySpec,
        config: NoiseConfig,
        seed: int,
        labels: Sequence[str] | None = None,
    ) -> None:
        self._spec = spec
        self._config = config
        self._seed = seed
        self._lifter = Lifter(spec, 1)
        self._labels = sorted(set(labels or ()) - {""})
        self._learns_labels = labels is None
        self._phantom: _Phantom | None = None
        self._num_frames = 0

    def spoil(self, observation: Observation) -> Spoilt:
        """Return the observation with a worse mask; without one it stays as it is."""
        if observation.instances is None:
            return Spoilt(observation=observation, sources={}, scores={})
        self._num_frames += 1
        if self._learns_labels:
            self._labels = sorted({*self._labels, *observation.labels} - {""})
        frame = _Frame(observation.instances, observation.labels)
        things = self._lifter.lift(
            observation,
            observation.instances,
            len(observation.labels),
            lambda number: (observation.labels[number], 1.0),
        )
        draws = _Draws(self._seed, self._config, observation.stamp_ns, self._num_frames)
        present = {d.instance: d for d in things}
        for a, b in _neighbours(frame.mask, present):
            if draws.happens(self._config.join, "join", _key(present[a])):
                frame.join(a, b)
        for number in sorted(present):
            if number in frame.sources:
                self._spoil_thing(frame, present[number], draws)
        self._add_phantom(frame, observation, draws)
        worse = replace(observation, instances=frame.mask, labels=tuple(frame.labels))
        scores = {
            number: self._score(number, frame, observation.labels, draws)
            for number in frame.sources
        }
        return Spoilt(observation=worse, sources=frame.sources, scores=scores)

    def _score(self, number: int, frame: "_Frame", labels: Sequence[str], draws: "_Draws") -> float:
        """Return a confidence: lower where it is wrong, but not so that a threshold could tell."""
        sources = frame.sources[number]
        right = bool(sources) and labels[sources[0]] == frame.labels[number]
        low, high = RIGHT_SCORES if right else WRONG_SCORES
        return low + (high - low) * draws.even("score", str(number))

    def _spoil_thing(self, frame: "_Frame", thing: Detection, draws: "_Draws") -> None:
        config, number, key = self._config, thing.instance, _key(thing)
        seen = (1 - config.miss) * thing.num_px / (thing.num_px + config.miss_px)
        if draws.happens(1 - seen * math.exp(-config.miss_per_m * thing.range_m), "miss", key):
            frame.erase(number)
            return
        if draws.happens(config.label, "label", key, lasts=True):
            others = [label for label in self._labels if label != thing.label]
            if others:
                pick = draws.even("which", key, lasts=True)
                frame.labels[number] = others[int(pick * len(others))]
        if config.shift_px > 0:
            rng = draws.rng("shift", key)
            dv, du = np.rint(rng.normal(0, config.shift_px, 2)).astype(int).tolist()
            frame.shift(number, dv, du)
        if draws.happens(config.split, "split", key):
            frame.split(number)

    def _add_phantom(self, frame: "_Frame", observation: Observation, draws: "_Draws") -> None:
        now, config = observation.stamp_ns, self._config
        lasts_ns = round(config.lasts_s * 1e9)
        if self._phantom is not None and not now < self._phantom.until_ns <= now + lasts_ns:
            self._phantom = None
        if self._phantom is None:
            begins = config.phantom / max(1.0, config.lasts_s / self._spec.tick_s)
            if draws.even("phantom", "") >= begins or not self._labels:
                return
            self._phantom = self._new_phantom(frame, observation, draws.rng("phantom", "where"))
        if self._phantom is not None:
            frame.paint(self._patch(self._phantom, observation), self._phantom.label)

    def _new_phantom(
        self, frame: "_Frame", observation: Observation, rng: np.random.Generator
    ) -> _Phantom | None:
        height, width = frame.mask.shape
        tall, wide = rng.integers(*PHANTOM_PX, 2)
        v, u = int(rng.integers(0, height - tall)), int(rng.integers(0, width - wide))
        middle = (v + int(tall) // 2) * width + u + int(wide) // 2
        xyz_m = self._lifter.world_m(observation)[middle]
        if not np.isfinite(xyz_m).all():
            return None
        depth = float(observation.depth_m.ravel()[middle])
        return _Phantom(
            label=str(rng.choice(self._labels)),
            xyz_m=xyz_m,
            size_m=(int(tall) * depth / self._spec.fy_px, int(wide) * depth / self._spec.fx_px),
            until_ns=observation.stamp_ns + max(1, round(self._config.lasts_s * 1e9)),
        )

    def _patch(self, phantom: _Phantom, observation: Observation) -> tuple[slice, slice]:
        """Return where a false detection is in the image: nowhere if something hides its place."""
        T = inverse(observation.T_world_camera)
        uv, z = project((T[:3, :3] @ phantom.xyz_m + T[:3, 3])[None], self._spec)
        height, width = observation.depth_m.shape
        nowhere = (slice(0, 0), slice(0, 0))
        if z[0] < 0.1 or not (0 <= uv[0, 0] < width and 0 <= uv[0, 1] < height):
            return nowhere
        u, v, depth = int(uv[0, 0]), int(uv[0, 1]), float(z[0])
        if not abs(float(observation.depth_m[v, u]) - depth) < PHANTOM_SLACK_M:
            return nowhere
        half_v = phantom.size_m[0] * self._spec.fy_px / depth / 2
        half_u = phantom.size_m[1] * self._spec.fx_px / depth / 2
        return (
            slice(max(0, round(v - half_v)), min(height, round(v + half_v))),
            slice(max(0, round(u - half_u)), min(width, round(u + half_u))),
        )


class NoisyDetector:
    """The body's instance mask, with the errors of a real detector. Satisfies `Detector`.

    Args:
        spec: Body that carries the camera.
        config: Settings, the noise's among them.
        seed: Of the errors.
    """

    def __init__(self, spec: BodySpec, config: PerceptionConfig, seed: int) -> None:
        self._noise = MaskNoise(spec, config.noise, seed)
        self._lifter = Lifter(spec, config.min_px, trim=True)

    def detect(self, observation: Observation) -> list[Detection]:
        """Return what is seen, the largest first; nothing without an instance mask."""
        spoilt = self._noise.spoil(observation)
        mask, labels = spoilt.observation.instances, spoilt.observation.labels
        if mask is None:
            return []
        return self._lifter.lift(
            observation, mask, len(labels), lambda n: (labels[n], spoilt.scores.get(n, 0.5))
        )


class _Draws:
    """Even numbers by seed, thing and time: new ones in each frame, or lasting ones."""

    def __init__(self, seed: int, config: NoiseConfig, stamp_ns: int, frame: int) -> None:
        self._seed = seed
        self._config = config
        self._stamp_ns = stamp_ns
        self._frame = frame

    def even(self, what: str, key: str, *, lasts: bool = False) -> float:
        """Return a number in [0, 1)."""
        return int.from_bytes(self._digest(what, key, lasts), "little") / 2**64

    def happens(self, chance: float, what: str, key: str, *, lasts: bool = False) -> bool:
        """Return whether an error is made; a share of the errors lasts."""
        if chance <= 0:
            return False
        lasts = lasts or self.even(what + "?", key) < self._config.lasting
        return self.even(what, key, lasts=lasts) < chance

    def rng(self, what: str, key: str) -> np.random.Generator:
        """Return a generator for this frame."""
        return np.random.default_rng(int.from_bytes(self._digest(what, key, False), "little"))

    def _digest(self, what: str, key: str, lasts: bool) -> bytes:
        when = f"frame {self._frame}"
        if lasts and self._config.lasts_s > 0:
            # Each thing's stretches begin at another moment.
            begin = int.from_bytes(_hash(f"{self._seed}|{key}"), "little") / 2**64
            when = str(int(self._stamp_ns / 1e9 / self._config.lasts_s + begin))
        return _hash(f"{self._seed}|{what}|{key}|{when}")


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _key(thing: Detection) -> str:
    """Return what a thing is known by, as long as it stays where it is."""
    x, y = np.floor(thing.xyz_m[:2] / PLACE_M).astype(int).tolist()
    return f"{thing.label}|{x}|{y}"


class _Frame:
    """A mask that is being spoilt."""

    def __init__(self, mask: Int32[np.ndarray, "h w"], labels: Sequence[str]) -> None:
        self.mask = mask.copy()
        self.labels = list(labels)
        numbers = np.unique(mask).tolist()
        self.sources: dict[int, tuple[int, ...]] = {n: (n,) for n in numbers if 0 < n < len(labels)}

    def join(self, a: int, b: int) -> None:
        self.mask[self.mask == b] = a
        self.sources[a] = self.sources[a] + self.sources.pop(b)

    def erase(self, number: int) -> None:
        self.mask[self.mask == number] = 0
        del self.sources[number]

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
        self.mask[v[far], u[far]] = self._add(self.labels[number], self.sources[number])

    def paint(self, where: tuple[slice, slice], label: str) -> None:
        patch = self.mask[where]
        if (patch == 0).any():
            patch[patch == 0] = self._add(label, ())

    def _add(self, label: str, sources: tuple[int, ...]) -> int:
        self.labels.append(label)
        self.sources[len(self.labels) - 1] = sources
        return len(self.labels) - 1


def _neighbours(
    mask: Int32[np.ndarray, "h w"], present: dict[int, Detection]
) -> list[tuple[int, int]]:
    """Return disjoint pairs of things of one label whose masks touch, about equally far away."""
    pairs: set[tuple[int, int]] = set()
    for left, right in ((mask[:, :-1], mask[:, 1:]), (mask[:-1], mask[1:])):
        border = (left != right) & (left > 0) & (right > 0)
        found = np.stack([left[border], right[border]], axis=1).tolist()
        pairs |= {(min(pair), max(pair)) for pair in found}
    chosen: list[tuple[int, int]] = []
    taken: set[int] = set()
    for a, b in sorted(pairs):
        if a not in present or b not in present or {a, b} & taken:
            continue
        alike = present[a].label == present[b].label
        if alike and abs(present[a].range_m - present[b].range_m) < TOUCH_M:
            chosen.append((a, b))
            taken |= {a, b}
    return chosen
