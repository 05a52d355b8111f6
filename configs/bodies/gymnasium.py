"""Any Gymnasium environment with images as a body."""

from configs.bodies.base import BodyConfig


class GymnasiumConfig(BodyConfig):
    """Any Gymnasium environment with images as a body."""

    @property
    def place(self) -> str:
        """Where the body is."""
        return "gymnasium"
