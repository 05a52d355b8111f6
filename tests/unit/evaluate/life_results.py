"""Lives that nobody lived, for tests of what is done with results."""

from unit.evaluate.results import row

from agentd.evaluate.life.rows import ChangeRow, DomainError, LifeResult, LifeRow
from agentd.evaluate.life.scenario import LifeScenario

SCENARIO = LifeScenario.model_validate(
    {
        "about": "home A, home B, A moved, A late",
        "phases": [
            {"name": "A", "home": 0, "list": "first", "goals": 4},
            {"name": "B", "home": 1, "list": "B", "goals": 1},
            {"name": "A moved", "home": 0, "list": "moved", "goals": 2, "share_changed": 0.3},
            {
                "name": "A late",
                "home": 0,
                "list": "moved",
                "goals": 2,
                "repeats": 2,
                "events": [{"at_step": 0, "action": "actuation_delay", "value": 0.4}],
            },
        ],
    }
)


def life(
    number: int, arm: str, spl: float, *, late: tuple[float, float] = (0.5, 0.5)
) -> LifeResult:
    """Return a life in which every goal has one SPL, but for the passes after the drift."""
    rows: list[LifeRow] = []
    for phase in SCENARIO.phases:
        for repeat in range(phase.repeats):
            for index in range(phase.goals):
                value = late[repeat] if phase.changes_body else spl
                goal = row(index, value)
                rows.append(
                    LifeRow(
                        number=len(rows),
                        phase=phase.name,
                        repeat=repeat,
                        begun_step=40 * len(rows),
                        goal=goal,
                        why="" if goal.success else "never_seen",
                        seen_before=index > 0,
                        moved=phase.name != "A" and index == 0,
                        stale_aim=phase.changes_place and index == 0,
                        vain="",
                        checkpoint="",
                    )
                )
    errors = [
        DomainError(after=after, domain="A", checkpoint="c", error=error, shipped_error=0.8)
        for after, error in (("A", 0.5), ("B", 0.6))
    ]
    return LifeResult(
        life=number,
        arm=arm,
        learner_seed=0,
        houses=(10_000 + number, 10_001 + number),
        rows=tuple(rows),
        events=("A moved: moved chair 3",),
        gone=ChangeRow(facts=10, claims=8, true_claims=6, claimed_in_time=5),
        came=ChangeRow(facts=4, claims=4, true_claims=1, claimed_in_time=1),
        errors=tuple(errors),
        steps=40 * len(rows),
        seconds=1.0,
    )
