"""The body's own instance mask, taken as it is."""

from memory.records import BodySpec, Detection, Observation
from policies.config import PerceptionConfig
from policies.detectors.lifting import Lifter


class InstanceDetector:
    """Turns the body's own instance mask into detections. Satisfies `Detector`."""

    def __init__(self, spec: BodySpec, config: PerceptionConfig) -> None:
        self._lifter = Lifter(spec, config.min_px)

    def detect(self, observation: Observation) -> list[Detection]:
        """Return what is seen, the largest first; nothing without an instance mask."""
        if observation.instances is None:
            return []
        labels = observation.labels
        return self._lifter.lift(
            observation, observation.instances, len(labels), lambda number: (labels[number], 1.0)
        )
