"""Any Gymnasium environment with images as a body."""

from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from configs.bodies.base import BodyConfig


class GymnasiumConfig(BodyConfig):
    """Any Gymnasium environment with images as a body."""

    BORN_WITH: ClassVar[tuple[str, ...]] = (
        "id",
        "make",
        "wrappers",
        "image",
        "image_px",
        "actions",
        "tick_s",
    )

    SIMULATED: ClassVar[bool] = True
    GUARDED: ClassVar[bool] = False

    id: str = ""
    """Id of the environment; `module:id` imports the module first."""
    make: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of `gymnasium.make`."""
    wrappers: tuple[str, ...] = ()
    """`package.module:callable` each, applied to the environment one after the other."""
    image: str = "auto"
    """What is seen: `observation`, `render`, or a key of the observation. auto: the observation, or
    the first image in it, of at least 16 pixels a side; else what is rendered."""
    image_px: int = Field(64, ge=16, le=512)
    """Images are resized to squares of this side."""
    depth: str = "auto"
    """Depth in metres: `none`, `render` (the method `render_depth`), or a key of the observation.
    auto: the key `depth`, else `render_depth` where there is one, else none."""
    hfov_deg: float = Field(60.0, gt=10, lt=150)
    """Field of view, where the environment does not tell; matters with depth alone."""
    actions: tuple[str, ...] = ()
    """Of discrete actions: `v,w` each, the speeds in m/s and rad/s that stand for it, no two the
    same; an empty text leaves an action out. Of continuous ones: what drives each number, v, w, -v
    or -w over its whole range, v+, v-, w+ or w- from 0 to its end for one direction. Unset: by
    their names, else distinct speeds on a circle; v and w of two continuous ones, w of one."""
    tick_s: float = Field(1.0, gt=0, le=5)
    """What one step counts as; speeds are per second of it."""
    explore: Literal["auto", "random", "policy"] = "auto"
    """`policy` navigates, which takes depth and a pose; `random` draws actions and goes for no
    goal. auto: policy where there is depth."""
    hold_steps: int = Field(1, ge=1)
    """Steps for which a random action is held."""

    @property
    def place(self) -> str:
        """Which environment."""
        return self.id
