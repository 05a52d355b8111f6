"""A Gymnasium environment that needs nothing but numpy: a dot on a field."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

HIGH_PX, WIDE_PX = 24, 32


class Dots(gymnasium.Env):
    """A dot that goes left, right, or stays; the episode ends at the right border.

    Args:
        length: Steps after which an episode is cut.
        discrete: Whether it takes a number of 3, or a force of -1 to 1.
        fails_at: Steps of its life at which it raises.
        is_seeded: Whether its noise comes from the seed.
        has_depth: Whether observations hold a depth image.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}

    def __init__(
        self,
        length: int = 10,
        discrete: bool = True,
        fails_at: tuple[int, ...] = (),
        is_seeded: bool = True,
        has_depth: bool = True,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = render_mode
        self.length, self.fails_at, self.is_seeded = length, fails_at, is_seeded
        self.action_space = spaces.Discrete(3) if discrete else spaces.Box(-1, 1, (1,))
        parts: dict[str, spaces.Space[Any]] = {
            "speed": spaces.Box(-1, 1, (1,), np.float32),
            "eye": spaces.Box(0, 255, (HIGH_PX, WIDE_PX, 3), np.uint8),
        }
        if has_depth:
            parts["depth"] = spaces.Box(0, 100, (HIGH_PX, WIDE_PX, 1), np.float32)
        self.observation_space = spaces.Dict(parts)
        self.has_depth = has_depth
        self.lived = 0
        self.closed = 0
        self._eye = np.zeros((HIGH_PX, WIDE_PX, 3), np.uint8)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.x, self.age = int(self.np_random.integers(5, 15)), 0
        return self._look(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.lived += 1
        if self.lived in self.fails_at:
            raise OSError("the simulator lost its window")
        step = int(action) - 1 if isinstance(self.action_space, spaces.Discrete) else action[0]
        self.x = int(np.clip(self.x + np.sign(step), 0, WIDE_PX - 1))
        self.age += 1
        return self._look(), 0.5, self.x == WIDE_PX - 1, self.age >= self.length, {}

    def render(self) -> np.ndarray:
        return np.full((40, 40), 7, np.uint8)

    def close(self) -> None:
        self.closed += 1

    def _look(self) -> dict[str, np.ndarray]:
        noise = self.np_random if self.is_seeded else np.random.default_rng()
        self._eye[:] = noise.integers(0, 50, self._eye.shape)  # the same array every time
        self._eye[:, self.x] = 255
        depth = np.full((HIGH_PX, WIDE_PX, 1), 2.0, np.float32)
        depth[0], depth[1] = 0.0, 50.0
        seen = {"speed": np.zeros(1, np.float32), "eye": self._eye}
        return seen | ({"depth": depth} if self.has_depth else {})


def register() -> str:
    """Make the environment known to Gymnasium and return its id."""
    name = "Dots-v0"
    if name not in gymnasium.registry:
        gymnasium.register(name, entry_point=Dots)
    return name


register()
