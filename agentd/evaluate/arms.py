"""The arms of an evaluation: what differs between them, and nothing else."""

from dataclasses import dataclass

from agentd.exit_codes import UsageError
from policies.config import PoliciesConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way of playing the same goals.

    Attributes:
        name: Name in tables and on the command line.
        about: One line for the table.
        wipes: Map and slots are emptied at each goal.
        use_slots: There is an object memory; without one nothing of an object outlives its view.
        nearest_frontier: Explore by the nearest frontier alone.
        verify: Look at the goal from close by before STOP.
        use_model: A learned checkpoint steers the next metres.
        explores: The house is explored before the first goal.
    """

    name: str
    about: str
    wipes: bool
    use_slots: bool = True
    nearest_frontier: bool = False
    verify: bool = True
    use_model: bool = False
    explores: bool = False

    def policies(self, base: PoliciesConfig) -> PoliciesConfig:
        """Return the settings of the policies with this arm's differences."""
        goals = base.goals.model_copy(
            update={
                "use_memory": self.use_slots and base.goals.use_memory,
                "verify_views": base.goals.verify_views if self.verify else 0,
            }
        )
        explore = base.explore.model_copy(
            update={"nearest_only": self.nearest_frontier or base.explore.nearest_only}
        )
        planner = base.planner.model_copy(update={"enabled": self.use_model})
        return base.model_copy(update={"goals": goals, "explore": explore, "planner": planner})


ARMS = {
    arm.name: arm
    for arm in (
        Arm(
            name="floor",
            about="nearest frontier, no memory",
            wipes=True,
            use_slots=False,
            nearest_frontier=True,
            verify=False,
        ),
        Arm(name="reset", about="full policy, map and slots wiped at each goal", wipes=True),
        Arm(name="kept", about="full policy, map and slots kept in a house", wipes=False),
        Arm(
            name="kept_model",
            about="kept, a learned checkpoint steers",
            wipes=False,
            use_model=True,
        ),
        Arm(name="lived", about="kept, after exploring the house", wipes=False, explores=True),
    )
}
"""Every arm by name."""


def arms_named(names: tuple[str, ...]) -> tuple[Arm, ...]:
    """Return the arms of the given names.

    Raises:
        UsageError: If there is no arm of a name.
    """
    for name in names:
        if name not in ARMS:
            raise UsageError(f"there is no arm {name!r}; there are {', '.join(ARMS)}")
    return tuple(ARMS[name] for name in names)
