"""Habitat: scanned houses, rendered by habitat-sim."""

from configs.bodies.base import BodyConfig


class HabitatConfig(BodyConfig):
    """Habitat: scanned houses, rendered by habitat-sim."""

    @property
    def place(self) -> str:
        """Where the body is."""
        return "habitat"
