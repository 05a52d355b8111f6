"""A guardian's settings for one robot: its topics are called as the robot's own settings say."""

import hashlib

from configs.bodies.ros2 import Ros2Config
from configs.guardian import GuardianConfig, TopicConfig


def settings_for(robot: Ros2Config, config: GuardianConfig) -> GuardianConfig:
    """Return settings in which nothing is left open that the robot's own settings tell.

    A depth topic that is compressed stays out: the guardian reads raw images alone.
    """
    own, told = config.topics, robot.topics
    names = {
        "command": told.command,
        "odom": told.odom,
        "battery": told.battery,
        "bumper": told.bumper,
        "rgb": "" if _is_compressed(told.rgb) else told.rgb,
    }
    if not _is_compressed(told.depth) and told.camera_info:
        names |= {"depth": told.depth, "depth_info": told.camera_info}
    left_open = {
        name: topic
        for name, topic in names.items()
        if getattr(own, name) == TopicConfig.model_fields[name].default
    }
    footprint = config.footprint.model_copy(
        update={
            "radius_m": config.footprint.radius_m or robot.radius_m,
            "height_m": config.footprint.height_m or robot.height_m,
        }
    )
    return config.model_copy(
        update={"topics": own.model_copy(update=left_open), "footprint": footprint}
    )


def bounded_by(robot: Ros2Config, config: GuardianConfig) -> Ros2Config:
    """Return the robot with the speeds that its guardian allows: nobody plans beyond them."""
    limit = config.limit
    return robot.model_copy(
        update={
            "v_max_mps": min(robot.v_max_mps, limit.v_fwd_mps),
            "w_max_radps": min(robot.w_max_radps, limit.w_radps),
        }
    )


def fingerprint(robot: Ros2Config, config: GuardianConfig) -> str:
    """Return a fingerprint of all that a guardian of this robot goes by."""
    text = settings_for(robot, config).model_dump_json() + robot.model_dump_json()
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_compressed(topic: str) -> bool:
    return "compressed" in topic.rpartition("/")[2]
