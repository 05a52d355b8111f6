"""A robot that speaks ROS 2."""

from configs.bodies.base import BodyConfig


class Ros2Config(BodyConfig):
    """A robot that speaks ROS 2."""

    @property
    def place(self) -> str:
        """Where the body is."""
        return "ros2"
