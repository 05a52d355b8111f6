"""What a network finds when it is asked for words: boxes in the colour image, lifted by depth.

The network is behind a Protocol, so that this package stays free of torch.

Axis letters: h w image.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32, UInt8

from memory.records import BodySpec, Detection, NamedBox, Observation
from policies.config import OpenVocabularyConfig, PerceptionConfig
from policies.detectors.lifting import Lifter

CORE = 0.5
"""Share of a box's sides around its middle in which the depth of the thing is measured."""


@runtime_checkable
class BoxFinder(Protocol):
    """Finds what it was told to look for. `learners.zero_shot.ZeroShotBoxes` satisfies it."""

    def find(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Sequence[NamedBox]:
        """Return boxes with their scores, in any order."""
        ...


class OpenVocabularyDetector:
    """Boxes of a network, with the pixels at the depth of what is in them. Satisfies `Detector`.

    A box holds what stands behind the thing, too. What belongs to it is near the median depth of
    the middle of its box.

    Args:
        spec: Body that carries the camera.
        config: Settings.
        finder: The network; kept as an attribute.
    """

    def __init__(self, spec: BodySpec, config: PerceptionConfig, finder: BoxFinder) -> None:
        self._config: OpenVocabularyConfig = config.open_vocabulary
        self._lifter = Lifter(spec, config.min_px, trim=True)
        self.finder = finder

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """What it is asked to look for; it never finds anything else."""
        return tuple(label.strip() for label in self._config.labels if label.strip())

    def detect(self, observation: Observation) -> list[Detection]:
        """Return what is found, the largest first; nothing where there is no depth."""
        found = [b for b in self.finder.find(observation.rgb) if _is_sound(b)]
        boxes = self._chosen(found)
        mask = np.zeros(observation.depth_m.shape, dtype=np.int32)
        # The largest first: what is smaller stands in front or upon.
        order = sorted(range(len(boxes)), key=lambda i: -_area(boxes[i]))
        for number in order:
            self._paint(mask, observation, boxes[number], number + 1)
        return self._lifter.lift(
            observation,
            mask,
            len(boxes) + 1,
            lambda number: (boxes[number - 1].label, min(1.0, boxes[number - 1].score)),
        )

    def _chosen(self, boxes: Sequence[NamedBox]) -> list[NamedBox]:
        """Return the sure ones, without those that overlap a surer one too much."""
        kept: list[NamedBox] = []
        for box in sorted(boxes, key=lambda b: -b.score):
            if box.score < self._config.threshold:
                break
            if all(_overlap(box, other) <= self._config.max_overlap for other in kept):
                kept.append(box)
        return kept

    def _paint(
        self, mask: Int32[np.ndarray, "h w"], observation: Observation, box: NamedBox, number: int
    ) -> None:
        height, width = mask.shape
        x0, y0, x1, y1 = box.box_px
        rows = slice(max(0, round(y0)), min(height, round(y1)))
        columns = slice(max(0, round(x0)), min(width, round(x1)))
        depth_m = observation.depth_m[rows, columns]
        v, u = (round(side * (1 - CORE) / 2) for side in depth_m.shape)
        core = depth_m[v : depth_m.shape[0] - v, u : depth_m.shape[1] - u]
        core = core[np.isfinite(core) & (core > 0)]
        if len(core) == 0:
            return
        middle_m = float(np.median(core))
        band_m = self._config.band_m + self._config.band_rel * middle_m
        with np.errstate(invalid="ignore"):
            mask[rows, columns][np.abs(depth_m - middle_m) <= band_m] = number


def _is_sound(box: NamedBox) -> bool:
    numbers = np.array((*box.box_px, box.score))
    return bool(np.isfinite(numbers).all()) and _area(box) > 0


def _area(box: NamedBox) -> float:
    x0, y0, x1, y1 = box.box_px
    return max(0.0, x1 - x0) * max(0.0, y1 - y0)


def _overlap(a: NamedBox, b: NamedBox) -> float:
    """Return the shared area over the union's."""
    low = np.maximum(a.box_px[:2], b.box_px[:2])
    high = np.minimum(a.box_px[2:], b.box_px[2:])
    shared = float(np.prod(np.maximum(high - low, 0.0)))
    return shared / (_area(a) + _area(b) - shared)
