"""What an environment lets a body see: colour, depth, and where it is.

Axis letters: h w image.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from PIL import Image

from agentd.exit_codes import UsageError
from configs.bodies.gymnasium import GymnasiumConfig
from memory.frames import camera_mount
from memory.records import BodySpec

DEPTH_MAX_M = 10.0
_SMALLEST_PX = 16
"""Smaller observations are tables of symbols, not pictures."""


class Sight:
    """Takes pictures from observations, or has the environment draw them.

    Attributes:
        source: Where images come from: `observation`, `render` or a key.
        has_depth: Whether depth is measured.
    """

    def __init__(self, env: Any, config: GymnasiumConfig) -> None:
        """Find out what there is to see.

        Raises:
            UsageError: If there are no images, or not those that are set.
        """
        self._env, self._px = env, config.image_px
        images = _images(env)
        if config.image == "auto" and not images:
            raise UsageError(
                f"world.gymnasium.id = {config.id!r} has no images: its observations are "
                f"{_short(env.observation_space)} and it cannot render rgb_array; accepted: "
                f"environments with images of at least {_SMALLEST_PX} pixels a side"
            )
        if config.image != "auto" and config.image not in images:
            raise UsageError(
                f"world.gymnasium.image = {config.image!r}; accepted: auto"
                + "".join(f", {name}" for name in images)
            )
        self.source = next(iter(images)) if config.image == "auto" else config.image
        self._depth = _depth_source(env, config)
        if config.explore == "policy" and not self.has_depth:
            raise UsageError(
                f"world.gymnasium.explore = 'policy': {config.id} measures no depth "
                f"to navigate by; accepted: auto, random"
            )
        self.size_px = images[self.source]

    @property
    def has_depth(self) -> bool:
        """Whether depth is measured."""
        return self._depth != "none"

    def look(
        self, observation: Any
    ) -> tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"]]:
        """Return colour and depth of now; arrays of their own, whatever the environment reuses.

        Raises:
            ValueError: If the environment gives something else than it promised.
        """
        if self.source == "render":
            image = self._env.render()
        else:
            image = observation if self.source == "observation" else observation[self.source]
        return _square(image, self._px), self._depth_m(observation)

    def _depth_m(self, observation: Any) -> Float32[np.ndarray, "h w"]:
        if self._depth == "none":
            return np.full((self._px, self._px), np.nan, dtype=np.float32)
        if self._depth == "render":
            found = self._env.unwrapped.render_depth()
        else:
            found = observation[self._depth]
        depth = np.asarray(found, dtype=np.float32)
        depth = depth[..., 0] if depth.ndim == 3 else depth
        rows, columns = (
            ((np.arange(self._px) + 0.5) * n / self._px).astype(np.intp) for n in depth.shape
        )
        depth = depth[rows[:, None], columns]
        return np.where((depth > 0) & (depth <= DEPTH_MAX_M), depth, np.float32(np.nan))


def body_spec(
    env: Any, config: GymnasiumConfig, sight: Sight, v_max_mps: float, w_max_radps: float
) -> BodySpec:
    """Return the body: MiniWorld's agent as it is, else one of 0.2 m radius with a level camera."""
    agent: Any = getattr(env.unwrapped, "agent", None)
    height_px, width_px = sight.size_px if sight.size_px is not None else (1, 1)
    if hasattr(agent, "cam_fov_y"):
        focal = height_px / 2 / math.tan(math.radians(float(agent.cam_fov_y)) / 2)
        mount = camera_mount(
            float(agent.cam_fwd_disp), float(agent.cam_height), -math.radians(agent.cam_pitch)
        )
        radius_m, tall_m = float(agent.radius), float(agent.height)
    else:
        focal = width_px / 2 / math.tan(math.radians(config.hfov_deg) / 2)
        mount, radius_m, tall_m = camera_mount(0.0, 0.5), 0.2, 0.6
    px = config.image_px
    return BodySpec(
        name=config.id,
        width_px=px,
        height_px=px,
        fx_px=focal * px / width_px,
        fy_px=focal * px / height_px,
        cx_px=px / 2,
        cy_px=px / 2,
        T_body_camera=mount,
        radius_m=radius_m,
        height_m=tall_m,
        v_max_mps=v_max_mps,
        w_max_radps=w_max_radps,
        tick_s=config.tick_s,
        depth_max_m=DEPTH_MAX_M,
    )


def pose_of(env: Any) -> Float64[np.ndarray, "3"] | None:
    """Return x_m, y_m, yaw_rad as MiniWorld or MiniGrid know it, None where no pose is known."""
    inner = env.unwrapped
    agent = getattr(inner, "agent", None)
    position, direction = getattr(agent, "pos", None), getattr(agent, "dir", None)
    if position is not None and direction is not None and len(position) == 3:
        # MiniWorld: y is up, and a turn to the left counts up.
        return np.array([position[0], -position[2], direction], dtype=np.float64)
    position, direction = getattr(inner, "agent_pos", None), getattr(inner, "agent_dir", None)
    if position is not None and direction is not None and len(position) == 2:
        # MiniGrid: y points down the picture, and a quarter turn to the right counts up.
        turn = -direction * math.pi / 2
        return np.array([position[0], -position[1], turn], dtype=np.float64)
    return None


def _images(env: Any) -> dict[str, tuple[int, int] | None]:
    """Return the sources of images and their height and width, None where it shows later."""
    from gymnasium import spaces

    space: Any = env.observation_space
    found: dict[str, tuple[int, int] | None] = {}
    if _is_image(space):
        found["observation"] = _size(space)
    elif isinstance(space, spaces.Dict):
        found = {key: _size(part) for key, part in space.items() if _is_image(part)}
    if env.render_mode == "rgb_array":
        found["render"] = None
    return found


def _size(space: Any) -> tuple[int, int]:
    height, width = space.shape[:2]
    return int(height), int(width)


def _is_image(space: Any) -> bool:
    """Return whether a space holds colour or grey images of bytes."""
    shape = getattr(space, "shape", None)
    if shape is None or space.dtype != np.uint8 or len(shape) not in (2, 3):
        return False
    return min(shape[:2]) >= _SMALLEST_PX and (len(shape) == 2 or shape[2] in (1, 3))


def _depth_source(env: Any, config: GymnasiumConfig) -> str:
    from gymnasium import spaces

    space = env.observation_space
    found = ["render"] if hasattr(env.unwrapped, "render_depth") else []
    if isinstance(space, spaces.Dict):
        # Depth under its own name comes first.
        found = (
            sorted((k for k, part in space.items() if _is_depth(part)), key="depth".__ne__) + found
        )
    if config.depth == "auto":
        return next((name for name in found if name in ("depth", "render")), "none")
    if config.depth not in (*found, "none"):
        raise UsageError(
            f"world.gymnasium.depth = {config.depth!r}; accepted: auto, none"
            + "".join(f", {name}" for name in found)
        )
    return config.depth


def _is_depth(space: Any) -> bool:
    shape = getattr(space, "shape", None)
    if shape is None or not np.issubdtype(space.dtype, np.floating):
        return False
    is_flat = len(shape) == 2 or (len(shape) == 3 and shape[2] == 1)
    return is_flat and min(shape[:2]) >= _SMALLEST_PX


def _square(image: Any, px: int) -> UInt8[np.ndarray, "h w 3"]:
    found = np.asarray(image)
    is_image = found.dtype == np.uint8 and found.ndim in (2, 3) and found.size > 0
    if not is_image or (found.ndim == 3 and found.shape[2] not in (1, 3)):
        raise ValueError(
            f"the image is {found.dtype} of shape {found.shape}; accepted: uint8, h w, h w 1 or "
            f"h w 3"
        )
    if found.ndim == 2 or found.shape[2] == 1:
        found = np.repeat(found.reshape(*found.shape[:2], 1), 3, axis=2)
    picture = Image.fromarray(np.ascontiguousarray(found))
    return np.array(picture.resize((px, px), Image.Resampling.BOX), dtype=np.uint8)


def _short(thing: object) -> str:
    text = " ".join(str(thing).split())
    return text if len(text) <= 120 else f"{text[:117]}..."
