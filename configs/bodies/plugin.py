"""A body that another package brings."""

from typing import ClassVar

from pydantic import Field, JsonValue

from configs.bodies.base import BodyConfig


class PluginConfig(BodyConfig):
    """A body that another package brings: whatever a function of it returns."""

    BORN_WITH: ClassVar[tuple[str, ...]] = ("factory",)

    factory: str = Field("", pattern=r"^([A-Za-z_][\w.]*:[A-Za-z_][\w.]*)?$")
    """`package.module:callable`; what it returns must satisfy `agentd.worlds.contract`."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of the call."""
    simulated: bool = False
    """Whether nothing can come to harm: the guardian then arms itself, with the body's limits."""

    @property
    def place(self) -> str:
        """Which factory the body comes from."""
        return self.factory
