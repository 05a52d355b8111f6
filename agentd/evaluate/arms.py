"""The arms of an evaluation: what differs between them, and nothing else."""

import math
from dataclasses import dataclass

from agentd.exit_codes import UsageError
from policies.config import GoalTerm, PlannerConfig, PoliciesConfig


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
        perfect_masks: The body's own instance mask, whatever detector the others have.
        always_plans: The model steers everywhere, not only where the follower is at risk.
        goal_term: What plans count as left to the target; None: as configured.
        forgets_visits: Plans do not avoid places that were often visited.
    """

    name: str
    about: str
    wipes: bool
    use_slots: bool = True
    nearest_frontier: bool = False
    verify: bool = True
    use_model: bool = False
    explores: bool = False
    perfect_masks: bool = False
    always_plans: bool = False
    goal_term: GoalTerm | None = None
    forgets_visits: bool = False

    def policies(self, base: PoliciesConfig) -> PoliciesConfig:
        """Return the settings of the policies with this arm's differences."""
        goals = base.goals.model_copy(
            update={
                "use_memory": self.use_slots and base.goals.use_memory,
                "verify_views": base.goals.verify_views if self.verify else 0,
            }
        )
        explore = base.explore
        if self.nearest_frontier:
            explore = explore.model_copy(update={"strategy": "nearest_frontier"})
        planner = self._planner(base.planner)
        masks = {"detector": "instances"} if self.perfect_masks else {}
        return base.model_copy(
            update={
                "goals": goals,
                "explore": explore,
                "planner": planner,
                "perception": base.perception.model_copy(update=masks),
            }
        )

    def _planner(self, base: PlannerConfig) -> PlannerConfig:
        cost = base.cost
        if self.goal_term is not None:
            cost = cost.model_copy(update={"goal_term": self.goal_term})
        if self.forgets_visits:
            cost = cost.model_copy(update={"novelty": 0.0})
        open_m = math.inf if self.always_plans else base.open_m
        return base.model_copy(update={"enabled": self.use_model, "open_m": open_m, "cost": cost})


_MPC: tuple[tuple[str, str, GoalTerm, bool], ...] = (
    ("mpc_euclid", "kept, the model always plans along the straight line", "line", False),
    ("mpc_qd", "kept, the model always plans by the quasi-distance", "quasi", False),
    ("mpc_qd_novisits", "as mpc_qd, and visits cost nothing", "quasi", True),
)

ARMS = {
    arm.name: arm
    for arm in (
        Arm(
            name="floor",
            about="nearest frontier, perfect masks, no memory",
            wipes=True,
            use_slots=False,
            nearest_frontier=True,
            verify=False,
            perfect_masks=True,
        ),
        Arm(name="reset", about="full policy, map and slots wiped at each goal", wipes=True),
        Arm(name="kept", about="full policy, map and slots kept in a house", wipes=False),
        Arm(
            name="kept_model",
            about="kept, a learned checkpoint steers",
            wipes=False,
            use_model=True,
        ),
        Arm(name="fmm", about="kept, geodesic following alone", wipes=False),
        *(
            Arm(
                name=name,
                about=about,
                wipes=False,
                use_model=True,
                always_plans=True,
                goal_term=term,
                forgets_visits=forgets,
            )
            for name, about, term, forgets in _MPC
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
