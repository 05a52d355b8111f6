"""From the speeds that a policy wants to the action of an environment, and back."""

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float64

from agentd.exit_codes import UsageError
from configs.bodies.gymnasium import GymnasiumConfig

_NAMED = {
    "left": (0.0, 1.0),
    "turn_left": (0.0, 1.0),
    "right": (0.0, -1.0),
    "turn_right": (0.0, -1.0),
    "forward": (1.0, 0.0),
    "move_forward": (1.0, 0.0),
    "back": (-1.0, 0.0),
    "move_back": (-1.0, 0.0),
}
"""What actions with these names do, in units of one step forward and one turn to the left."""
_OWED_STEPS = 2.0
"""A wish is not made up for beyond this many steps: by then it is another."""
_KEY = "world.gymnasium.actions"


class Order(NamedTuple):
    """What the environment is told, None if it is to wait, and the speeds that stand for it."""

    action: Any
    v_mps: float
    w_radps: float


class Commands(Protocol):
    """How a body is told what to do.

    Attributes:
        v_max_mps: Fastest it can go.
        w_max_radps: Fastest it can turn.
        primitives: Speeds of all that it can do; empty where any speed goes.
        owed: What was wanted and not done yet, in units of the fastest.
    """

    v_max_mps: float
    w_max_radps: float
    primitives: tuple[tuple[float, float], ...]
    owed: tuple[float, float]

    def choose(self, v_mps: float, w_radps: float) -> Order:
        """Return what to do to move as wanted, over several steps where one cannot."""
        ...


def commands_of(env: Any, config: GymnasiumConfig) -> Commands:
    """Return the commands of an environment.

    Raises:
        UsageError: If its actions are no commands of two speeds, or the settings do not fit.
    """
    from gymnasium import spaces

    space = env.action_space
    if isinstance(space, spaces.Discrete):
        return Primitives(int(space.start), _speeds(env, int(space.n), config))
    if isinstance(space, spaces.Box) and space.shape is not None and len(space.shape) == 1:
        return Axes(space, _drives(space.shape[0], config))
    raise UsageError(
        f"world.gymnasium.id = {config.id!r}: its actions are {space}; accepted: Discrete, or Box "
        f"of one axis (a wrapper of yours may translate: world.gymnasium.wrappers)"
    )


class Primitives:
    """Discrete actions, each standing for one pair of speeds.

    What one step cannot give is owed and made up for in the next ones, so that a slow turn is one
    full turn now and then. With nothing wanted the body waits, as it does while it owes too little.
    """

    def __init__(self, start: int, speeds: list[tuple[float, float] | None]) -> None:
        """Take the first number of the actions, and the speeds of each, None for those left out."""
        chosen = [(start + k, speed) for k, speed in enumerate(speeds) if speed is not None]
        self._numbers = [number for number, _ in chosen]
        self.primitives = tuple(speed for _, speed in chosen)
        self.v_max_mps = max(abs(v) for v, _ in self.primitives) or 1.0
        self.w_max_radps = max(abs(w) for _, w in self.primitives) or 1.0
        self._unit = np.array([self.v_max_mps, self.w_max_radps])
        can = np.array([*self.primitives, (0.0, 0.0)]) / self._unit
        self._can: Float64[np.ndarray, "k 2"] = can
        self.owed = (0.0, 0.0)

    def choose(self, v_mps: float, w_radps: float) -> Order:
        """Return the action that brings the body nearest to what was wanted up to now."""
        wanted = np.clip(np.array([v_mps, w_radps]) / self._unit, -1.0, 1.0)
        owed = wanted + (self.owed if wanted.any() else 0.0)  # a stop is a stop
        k = int(np.argmin(np.square(self._can - owed).sum(axis=1)))
        left_v, left_w = np.clip(owed - self._can[k], -_OWED_STEPS, _OWED_STEPS).tolist()
        self.owed = (left_v, left_w)
        if k == len(self.primitives):
            return Order(None, 0.0, 0.0)
        return Order(self._numbers[k], *self.primitives[k])


class Axes:
    """Continuous actions: each number is driven by one of the speeds."""

    def __init__(self, space: Any, drives: tuple[str, ...]) -> None:
        """Take the space and what drives each of its numbers.

        Raises:
            UsageError: If a number has no bounds.
        """
        self._low, self._high = space.low.astype(np.float64), space.high.astype(np.float64)
        if not (np.isfinite(self._low).all() and np.isfinite(self._high).all()):
            raise UsageError(f"actions without bounds: {space}; accepted: Box with finite bounds")
        self._dtype, self._drives = space.dtype, drives
        self.primitives: tuple[tuple[float, float], ...] = ()
        self.v_max_mps = self.w_max_radps = 1.0
        self.owed = (0.0, 0.0)

    def choose(self, v_mps: float, w_radps: float) -> Order:
        """Return the numbers that stand for the speeds, clipped to what there is."""
        speeds = {"v": min(max(v_mps, -1.0), 1.0), "w": min(max(w_radps, -1.0), 1.0)}
        numbers = [
            self._number(drive, speeds, low, high)
            for drive, low, high in zip(self._drives, self._low, self._high, strict=True)
        ]
        return Order(np.array(numbers, dtype=self._dtype), speeds["v"], speeds["w"])

    def _number(self, drive: str, speeds: dict[str, float], low: float, high: float) -> float:
        speed = speeds[drive.strip("+-")]
        if drive.endswith("+") or drive.endswith("-"):
            share = max(speed if drive.endswith("+") else -speed, 0.0)
            return max(low, 0.0) + share * (high - max(low, 0.0))
        share = -speed if drive.startswith("-") else speed
        return low + (share + 1.0) / 2.0 * (high - low)


def _speeds(env: Any, count: int, config: GymnasiumConfig) -> list[tuple[float, float] | None]:
    if config.actions:
        return _table(config.actions, count)
    unit = _unit_motion(env, config.tick_s)
    names = _names(env, count)
    known = [_NAMED.get(name) for name in names]
    if any(known):
        return [None if k is None else (k[0] * unit[0], k[1] * unit[1]) for k in known]
    angles = [2 * math.pi * k / count for k in range(count)]
    return [(round(math.cos(a), 6), round(math.sin(a), 6)) for a in angles]


def _names(env: Any, count: int) -> list[str]:
    """Return the names of the actions, where the environment has an enumeration of them."""
    try:
        return [item.name for item in list(env.unwrapped.actions)[:count]]
    except (AttributeError, TypeError):
        return []


def _unit_motion(env: Any, tick_s: float) -> tuple[float, float]:
    """Return the speeds of one step forward and one turn: MiniWorld tells, else a cell and 90 deg.

    Where its motions are drawn at random, these are the middle ones; what became of each shows in
    the egomotion.
    """
    params = getattr(env.unwrapped, "params", None)
    try:
        forward_m = float(params.sample(None, "forward_step"))  # type: ignore[union-attr]
        turn_rad = math.radians(float(params.sample(None, "turn_step")))  # type: ignore[union-attr]
    except (AttributeError, KeyError, TypeError):
        forward_m, turn_rad = 1.0, math.pi / 2
    return forward_m / tick_s, turn_rad / tick_s


def _table(texts: tuple[str, ...], count: int) -> list[tuple[float, float] | None]:
    if len(texts) != count:
        raise UsageError(
            f"{_KEY} has {len(texts)} entries; accepted: {count}, one for each discrete action "
            f"('' leaves one out)"
        )
    speeds = [_speed(text) for text in texts]
    given = [speed for speed in speeds if speed is not None]
    if not given:
        raise UsageError(f"{_KEY} leaves out all actions")
    twice = next((speed for speed in given if given.count(speed) > 1), None)
    if twice is not None:
        raise UsageError(
            f"{_KEY} gives two actions the speeds {twice[0]:g},{twice[1]:g}; accepted: a pair of "
            f"its own for each, or the log could not tell them apart"
        )
    return speeds


def _speed(text: str) -> tuple[float, float] | None:
    if not text.strip():
        return None
    try:
        v, w = (float(part) for part in text.split(","))
    except ValueError:
        v = w = math.nan
    if not (math.isfinite(v) and math.isfinite(w)):
        raise UsageError(f"{_KEY}: {text!r}; accepted: v,w in m/s and rad/s, as in '0.5,0'")
    return v, w


def _drives(count: int, config: GymnasiumConfig) -> tuple[str, ...]:
    accepted = [f"{sign}{name}" for name in "vw" for sign in ("", "-")]
    accepted += [f"{name}{sign}" for name in "vw" for sign in "+-"]
    if not config.actions and count in (1, 2):
        return ("v", "w") if count == 2 else ("w",)
    if len(config.actions) != count:
        raise UsageError(
            f"{config.id} takes {count} numbers and {_KEY} has {len(config.actions)} entries; "
            f"accepted: for each number one of {', '.join(accepted)}"
        )
    wrong = next((drive for drive in config.actions if drive not in accepted), None)
    if wrong is not None:
        raise UsageError(f"{_KEY}: {wrong!r}; accepted: {', '.join(accepted)}")
    return config.actions
