"""What the settings of every body have in common."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class BodyConfig(BaseModel):
    """Settings of one kind of body.

    Attributes:
        BORN_WITH: Fields that a life cannot change: what it remembers would not fit.
        SIMULATED: Whether nothing can come to harm: the guardian then arms itself.
        GUARDED: Whether the life itself puts a guardian in front of the body. Not where a process
            of its own does so, nor where what happens cannot be helped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    BORN_WITH: ClassVar[tuple[str, ...]] = ()
    SIMULATED: ClassVar[bool] = False
    GUARDED: ClassVar[bool] = True

    @property
    def place(self) -> str:
        """Where the body is, in a few words for people."""
        raise NotImplementedError

    @property
    def missing(self) -> str:
        """What must be set before a life can drive this body, in words; "" for nothing."""
        return ""
