"""What is known about the place in hand, and swapping it for that of another place.

Axis letters: n points.
"""

import math

import numpy as np
from jaxtyping import Float32, Float64

from memory.records import BodySpec, Observation
from policies.atlas import Arrays, Atlas
from policies.config import PoliciesConfig
from policies.layers import VISIT_CELL_M, Layer
from policies.protocols import LatentModel
from policies.pursuit import Place
from policies.strategies.base import Look

NEW_PLACE = "looking around in a new place"
VISIT_FADE = 0.999


class Regions:
    """Map, visits, views and unreachable places of where the body is; the others lie in an atlas.

    Attributes:
        visits: Where the body has been.
        why_look_around: Why it turns on the spot at first.
    """

    def __init__(self, spec: BodySpec, config: PoliciesConfig, place: Place) -> None:
        self._place = place
        self._atlas = Atlas(place.occupancy.size_m)
        self._model: LatentModel | None = None
        self.visits = Layer(VISIT_CELL_M, config.map.size_m)
        half_fov = math.atan2(spec.width_px / 2, spec.fx_px)
        self._look_around_rad = 2 * math.pi - 1.5 * half_fov
        self.clear()

    @property
    def is_new(self) -> bool:
        """Whether the body has yet to look around here."""
        return self._turned_rad < self._look_around_rad

    def use_model(self, model: LatentModel | None) -> None:
        """Swap the model that encodes kept views."""
        self._model = model
        self._place.keyframes.use_model(model)

    def clear(self) -> None:
        """Forget all places."""
        self._atlas.clear()
        self._begin()

    def note_turn(self, dyaw_rad: float) -> None:
        """Count a turn of the look around."""
        self._turned_rad += abs(dyaw_rad)
        self._is_known |= not self.is_new

    def look_again(self, why: str) -> None:
        """Have the body look around once more."""
        self._turned_rad, self.why_look_around = 0.0, why

    def enter(self, xy_m: Float64[np.ndarray, "2"]) -> bool:
        """Take up the map of where the body is; return whether that is another."""
        occupancy = self._place.occupancy
        origin_m = None if occupancy.is_empty else occupancy.origin_m
        if not self._atlas.is_elsewhere(xy_m, origin_m):
            return False
        known = self._atlas.take(xy_m)
        if self._is_known:
            # A place that was never looked around in is the trace of a pose that was off.
            self._atlas.put(self._save_one())
        if known is None:
            self._begin()
        else:
            self._load_one(known)
        return True

    def take_in(
        self,
        observation: Observation,
        objects: Float32[np.ndarray, "k f"],
        pose: Float64[np.ndarray, "3"],
        step: int,
        surprise: float,
    ) -> None:
        """Fold one observation into all that is known here."""
        place = self._place
        was_empty = place.occupancy.is_empty
        place.occupancy.update(observation, step)
        if was_empty and not place.occupancy.is_empty:
            place.explorer.clear(place.occupancy.origin_m)
            self.visits.clear(place.occupancy.origin_m)
        if observation.bumped:
            place.occupancy.mark_bump(pose, step)
        self.visits.values *= VISIT_FADE
        self.visits.add(pose[:2], 1.0)
        place.explorer.note(
            Look(
                observation=observation,
                objects=objects,
                pose=pose,
                step=step,
                surprise=surprise,
            )
        )
        place.keyframes.note(observation, objects, pose, step)

    def save(self) -> Arrays:
        """Return the arrays of the place in hand under plain names, the others' with a prefix."""
        return {**self._save_one(), **self._atlas.save()}

    def load(self, arrays: Arrays) -> None:
        """Take over what `save` returned.

        Raises:
            ValueError: If an array is missing or does not fit the configuration.
        """
        missing = [k for k in self._save_one() if k not in arrays and not k.startswith("passage")]
        if missing:
            raise ValueError(f"saved policy state lacks {', '.join(missing)}")
        self.clear()
        self._load_one(arrays)
        self._atlas.load(arrays)

    def _begin(self) -> None:
        """Start on an empty map; the next observation says where it lies."""
        self._place.occupancy.clear()
        self._place.keyframes.clear()
        self._place.router.reset()
        self._place.router.passages.clear()
        self.look_again(NEW_PLACE)
        self._is_known = False

    def _save_one(self) -> Arrays:
        return {
            "policy_turned_rad": np.array(self._turned_rad),
            "policy_visits": self.visits.values.copy(),
            **self._place.occupancy.save(),
            **self._place.explorer.save(),
            **self._place.keyframes.save(),
            **self._place.router.passages.save(),
        }

    def _load_one(self, arrays: Arrays) -> None:
        place = self._place
        place.occupancy.load(arrays)
        origin_m = place.occupancy.origin_m
        place.explorer.load(arrays, origin_m)
        place.keyframes.load(arrays)
        place.keyframes.use_model(self._model)
        place.router.reset()
        place.router.passages.load(arrays)
        self.visits.clear(origin_m)
        if arrays["policy_visits"].shape == self.visits.values.shape:
            self.visits.values[:] = arrays["policy_visits"]
        self._turned_rad = float(arrays["policy_turned_rad"])
        self._is_known = True
