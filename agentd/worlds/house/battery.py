"""The battery of the simulated body: it empties by driving, and charges at rest at its dock."""

import math

import numpy as np
from jaxtyping import Float64

from configs.worlds import BatteryConfig

_REST_SHARE = 0.25
_RESTS_M, _RESTS_RAD = 1e-3, 1e-3


class Battery:
    """One battery.

    Attributes:
        charge: 0 to 1; NaN where there is none.
        dock_m: Where it charges.
    """

    def __init__(self, config: BatteryConfig) -> None:
        self._config = config
        self.charge = math.nan if config.drive_s is None else config.begins
        self.dock_m = np.zeros(2)

    @property
    def is_there(self) -> bool:
        """Whether the body has one."""
        return self._config.drive_s is not None

    def spend(
        self,
        pose: Float64[np.ndarray, "3"],
        egomotion: Float64[np.ndarray, "3"],
        duration_s: float,
    ) -> None:
        """Let some time pass at a pose that was reached by a motion."""
        if self._config.drive_s is None:
            return
        rests = math.hypot(*egomotion[:2]) < _RESTS_M and abs(egomotion[2]) < _RESTS_RAD
        share = duration_s / self._config.drive_s * (_REST_SHARE if rests else 1.0)
        if rests and math.dist(pose[:2], self.dock_m) <= self._config.dock_m:
            share = -duration_s / self._config.charge_s
        self.charge = min(max(self.charge - share, 0.0), 1.0)

    def pack(self) -> Float64[np.ndarray, "3"]:
        """Return its state."""
        return np.array([self.charge, *self.dock_m])

    def unpack(self, state: Float64[np.ndarray, "3"]) -> None:
        """Take up what `pack` returned."""
        self.charge, self.dock_m = float(state[0]), state[1:].copy()
