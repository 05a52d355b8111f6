"""The arms of a life: what each may keep, and what each may learn."""

from dataclasses import dataclass
from typing import Literal

from agentd.exit_codes import UsageError
from policies.config import PoliciesConfig

Learning = Literal["nothing", "gated", "ungated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeArm:
    """One way of living the same life.

    Attributes:
        name: Name in tables and on the command line.
        about: One line for the table.
        remembers: Map and slots are kept; without, each goal begins with nothing.
        perfect_masks: The detector errs never, whatever the settings say.
        nearest_frontier: Explore by the nearest frontier alone.
        uses_model: A learned checkpoint steers the next metres.
        learns: What becomes of the checkpoint during the life.
        adapts: Whether the body's motion model goes on learning.
    """

    name: str
    about: str
    remembers: bool = True
    perfect_masks: bool = False
    nearest_frontier: bool = False
    uses_model: bool = False
    learns: Learning = "nothing"
    adapts: bool = False

    def policies(self, base: PoliciesConfig) -> PoliciesConfig:
        """Return the settings of the policies with this arm's differences."""
        goals, explore, perception = base.goals, base.explore, base.perception
        if not self.remembers:
            goals = goals.model_copy(update={"use_memory": False, "verify_views": 0})
        if self.nearest_frontier:
            explore = explore.model_copy(update={"strategy": "nearest_frontier"})
        if self.perfect_masks:
            perception = perception.model_copy(update={"detector": "instances"})
        planner = base.planner.model_copy(update={"enabled": self.uses_model})
        return base.model_copy(
            update={
                "goals": goals,
                "explore": explore,
                "perception": perception,
                "planner": planner,
                "drive": base.drive.model_copy(update={"adapt": self.adapts}),
            }
        )


LIFE_ARMS = {
    arm.name: arm
    for arm in (
        LifeArm(
            name="floor",
            about="nearest frontier, perfect masks, no memory",
            remembers=False,
            perfect_masks=True,
            nearest_frontier=True,
        ),
        LifeArm(name="memory", about="map and slots kept, nothing learned"),
        LifeArm(
            name="frozen",
            about="memory, and the shipped model steers; nothing learns",
            uses_model=True,
        ),
        LifeArm(
            name="learning",
            about="as frozen, and body model and world model go on learning, through the gate",
            uses_model=True,
            learns="gated",
            adapts=True,
        ),
        LifeArm(
            name="ungated",
            about="as learning, every candidate acts",
            uses_model=True,
            learns="ungated",
            adapts=True,
        ),
        LifeArm(
            name="adapting",
            about="memory, and the body's motion model goes on learning",
            adapts=True,
        ),
    )
}
"""Every arm by name."""


def life_arms_named(names: tuple[str, ...]) -> tuple[LifeArm, ...]:
    """Return the arms of the given names.

    Raises:
        UsageError: If there is no arm of a name.
    """
    for name in names:
        if name not in LIFE_ARMS:
            raise UsageError(f"there is no arm {name!r}; there are {', '.join(LIFE_ARMS)}")
    return tuple(LIFE_ARMS[name] for name in names)
