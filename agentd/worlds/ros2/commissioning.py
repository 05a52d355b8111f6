"""What a robot said at first: whether it is complete, and the body that it describes."""

import math

import numpy as np
from jaxtyping import Float64

from agentd.worlds.ros2.messages import Lens
from agentd.worlds.ros2.optics import Optics
from agentd.worlds.ros2.sync import Intake
from agentd.worlds.ros2.topics import Subscribing
from agentd.worlds.ros2.transforms import NoTransformError
from configs.bodies.ros2 import Ros2Config
from memory.frames import camera_mount
from memory.records import BodySpec


def lacking(config: Ros2Config, intake: Intake, subscribing: Subscribing) -> list[str]:
    """Return in words what the robot has not said yet; nothing when it is complete."""
    told = subscribing.lacking(set(intake.heard) - set(intake.wrong))
    if told or intake.wrong:
        return [*told, *intake.wrong.values()]
    if lens_of(config, intake) is None:
        return ["neither topics.camera_info nor lens.width_px and lens.height_px are set"]
    try:
        mount_of(config, intake)
        odometry = intake.odometry
        if odometry is not None and config.pose == "odometry":
            intake.transforms.lookup(odometry.child, config.frames.base)
        elif config.pose == "tf":
            intake.transforms.lookup(config.frames.world, config.frames.base)
    except NoTransformError as error:
        return [str(error)]
    return [] if intake.newest(-1, -1) is not None else [intake.why_incomplete(-1)]


def lens_of(config: Ros2Config, intake: Intake) -> Lens | None:
    """Return the colour camera: as it says, or as the settings do where it has no topic."""
    own = config.lens
    if config.topics.camera_info:
        return intake.lens
    if not own.width_px or not own.height_px:
        return None
    focal_px = own.width_px / 2 / math.tan(math.radians(own.hfov_deg) / 2)
    return Lens(
        width_px=own.width_px,
        height_px=own.height_px,
        fx_px=focal_px,
        fy_px=focal_px,
        cx_px=(own.width_px - 1) / 2,
        cy_px=(own.height_px - 1) / 2,
    )


def mount_of(config: Ros2Config, intake: Intake) -> Float64[np.ndarray, "4 4"]:
    """Return `T_body_camera`: from the settings, else from the robot's transforms.

    Raises:
        NoTransformError: If the robot does not tell it.
    """
    own = config.lens
    if own.has_mount:
        T = camera_mount(own.forward_m, own.height_m, own.pitch_rad)
        T[1, 3] = own.left_m
        return T
    camera = config.frames.camera or intake.camera_frame()
    return intake.transforms.lookup(config.frames.base, camera)


def spec_of(config: Ros2Config, optics: Optics, mount: Float64[np.ndarray, "4 4"]) -> BodySpec:
    """Return the body that the agent lives in."""
    side = config.image_px
    return BodySpec(
        name=config.place,
        width_px=side,
        height_px=side,
        fx_px=optics.focal_px,
        fy_px=optics.focal_px,
        cx_px=side / 2,
        cy_px=side / 2,
        T_body_camera=mount,
        radius_m=config.radius_m,
        height_m=config.height_m,
        v_max_mps=config.v_max_mps,
        w_max_radps=config.w_max_radps,
        tick_s=config.tick_s,
        depth_max_m=config.depth_max_m,
    )
