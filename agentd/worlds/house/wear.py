"""What is worn out, dirty or in the way of the body, and what it does to a command.

A command goes through delay, inertia and motors (`Wheels.turn`), then over the floor
(`Wheels.roll`).
"""

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from agentd.worlds.house.plan import ROBOT_RADIUS_M

CONTROL_S = 0.02
"""Time between two updates of the motors; the delay line holds one command each."""
LONGEST_DELAY_S = 1.0
_PIPE_LENGTH = round(LONGEST_DELAY_S / CONTROL_S)
TRACK_M = 1.6 * ROBOT_RADIUS_M
"""Between the two driven wheels."""

SIDES = ("left", "right")


@dataclass(slots=True)
class Wear:
    """What is worn out or dirty.

    Attributes:
        carpet: Share of speed and turn rate lost on the floor of each room.
        slip: Share of the speed lost between wheel and floor, everywhere.
        drift_radpm: Turn per metre that nobody asked for.
        gain: Share of the wanted speed that the left and the right motor reach.
        delay_s: Time from a command to the motors.
        lag_s: Time constant with which the body takes a speed on: inertia of a payload.
        camera_noise: Relative noise that comes on top of the configured one.
        tilt_rad: Pitch of the camera, downwards, that the body's mount does not know.
    """

    carpet: Float64[np.ndarray, "r"]
    slip: float = 0.0
    drift_radpm: float = 0.0
    gain: Float64[np.ndarray, "2"] = field(default_factory=lambda: np.ones(2))
    delay_s: float = 0.0
    lag_s: float = 0.0
    camera_noise: float = 0.0
    tilt_rad: float = 0.0

    def pack(self) -> Float64[np.ndarray, "n"]:
        """Return everything as one array."""
        single = [self.slip, self.drift_radpm, self.camera_noise, self.delay_s, self.lag_s]
        return np.array([*single, self.tilt_rad, *self.gain, *self.carpet])

    def unpack(self, values: Float64[np.ndarray, "n"]) -> None:
        """Take over what `pack` returned."""
        single = (float(v) for v in values[:6])
        self.slip, self.drift_radpm, self.camera_noise, self.delay_s, self.lag_s, tilt = single
        self.tilt_rad = tilt
        self.gain[:], self.carpet[:] = values[6:8], values[8:]


class Wheels:
    """Delay line, inertia and motors of a base with two driven wheels."""

    def __init__(self, wear: Wear) -> None:
        self.wear = wear
        self._pipe = np.zeros((_PIPE_LENGTH + 1, 2))
        self._turning = np.zeros(2)

    def clear(self) -> None:
        """Stand still: nothing is on its way to the motors."""
        self._pipe[:], self._turning[:] = 0.0, 0.0

    def stop(self) -> None:
        """Take the forward speed off the wheels: the body ran against something."""
        self._turning[0] = 0.0

    def turn(self, v_mps: float, w_radps: float) -> tuple[float, float]:
        """Return speed and turn rate that the motors reach in the next `CONTROL_S`.

        Args:
            v_mps: Speed that is told now.
            w_radps: Turn rate that is told now.
        """
        wear = self.wear
        self._pipe[1:] = self._pipe[:-1].copy()
        self._pipe[0] = v_mps, w_radps
        v, w = (float(u) for u in self._pipe[round(wear.delay_s / CONTROL_S)])
        if wear.lag_s > 0:
            share = -math.expm1(-CONTROL_S / wear.lag_s)
            v = float(self._turning[0]) + share * (v - float(self._turning[0]))
            w = float(self._turning[1]) + share * (w - float(self._turning[1]))
        self._turning[:] = v, w
        left, right = (float(g) for g in wear.gain)
        if (left, right) != (1.0, 1.0):
            half = 0.5 * w * TRACK_M
            a, b = left * (v - half), right * (v + half)
            v, w = 0.5 * (a + b), (b - a) / TRACK_M
        return v, w

    def roll(self, v_mps: float, w_radps: float, room: int) -> tuple[float, float]:
        """Return how the floor of a room (-1: none) lets turning wheels move the body."""
        wear = self.wear
        lost = float(wear.carpet[room]) if room >= 0 else 0.0
        v = v_mps * (1 - wear.slip) * (1 - lost)
        return v, (w_radps + v_mps * wear.drift_radpm) * (1 - lost)

    def pack(self) -> Float64[np.ndarray, "n 2"]:
        """Return what is on its way to the motors and how they turn."""
        return np.concatenate([self._pipe, self._turning[None]])

    def unpack(self, values: Float64[np.ndarray, "n 2"]) -> None:
        """Take over what `pack` returned."""
        self._pipe[:], self._turning[:] = values[:-1], values[-1]


def set_wear(wear: Wear, what: str, target: str, value: float) -> str:
    """Change what a scenario event of the wheels or the camera names; return a line about it."""
    match what:
        case "wheel_slip":
            wear.slip = value
            return f"wheels lose {value:.0%} of their speed"
        case "wheel_drift":
            wear.drift_radpm = value
            return f"wheels drift by {value:g} rad/m"
        case "motor_gain":
            wear.gain[[SIDES.index(target)] if target else [0, 1]] = value
            return f"{target or 'both'} motors at {value:.0%}"
        case "actuation_delay":
            wear.delay_s = value
            return f"commands act {value:g} s late"
        case "payload":
            wear.lag_s = value
            return f"payload: speeds are taken on with a time constant of {value:g} s"
        case "camera_tilt":
            wear.tilt_rad = value
            return f"camera pitched by {value:g} rad"
        case "camera_noise":
            wear.camera_noise = value
            return f"camera noise at {value:g}"
    raise ValueError(f'nothing of the body is called "{what}"')
