"""Message types that robots use and no ROS distribution brings."""

from collections.abc import Container

from rosbags.interfaces.typing import Typesdict
from rosbags.typesys import get_types_from_msg

_HAZARD = """
uint8 BACKUP_LIMIT=0
uint8 BUMP=1
uint8 CLIFF=2
uint8 STALL=3
uint8 WHEEL_DROP=4
uint8 OBJECT_PROXIMITY=5
std_msgs/Header header
uint8 type
"""
_HAZARDS = """
std_msgs/Header header
irobot_create_msgs/HazardDetection[] detections
"""
_KOBUKI_BUMPER = """
uint8 LEFT=0
uint8 CENTER=1
uint8 RIGHT=2
uint8 RELEASED=0
uint8 PRESSED=1
uint8 bumper
uint8 state
"""
_TF_MESSAGE = """
geometry_msgs/TransformStamped[] transforms
"""
_DEFINITIONS = {
    "irobot_create_msgs/msg/HazardDetection": _HAZARD,
    "irobot_create_msgs/msg/HazardDetectionVector": _HAZARDS,
    "kobuki_ros_interfaces/msg/BumperEvent": _KOBUKI_BUMPER,
    "tf2_msgs/msg/TFMessage": _TF_MESSAGE,
}


def extra_types(known: Container[str]) -> Typesdict:
    """Return the definitions that a store of types lacks.

    Args:
        known: What the distribution brings.
    """
    types: Typesdict = {}
    for name, text in _DEFINITIONS.items():
        if name not in known:
            types.update(get_types_from_msg(text, name))
    return types
