"""A body that another package brings."""

from configs.bodies.base import BodyConfig


class PluginConfig(BodyConfig):
    """A body that another package brings."""

    @property
    def place(self) -> str:
        """Where the body is."""
        return "plugin"
