"""A recorded log, played back."""

from configs.bodies.base import BodyConfig


class RecordedConfig(BodyConfig):
    """A recorded log, played back."""

    @property
    def place(self) -> str:
        """Where the body is."""
        return "recorded"
