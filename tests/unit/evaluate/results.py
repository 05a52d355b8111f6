"""Results of arms that never played, for tests of what is done with results."""

import numpy as np

from agentd.evaluate.rows import GoalRow, HouseResult


def row(index: int, spl: float, **changes: object) -> GoalRow:
    success = spl > 0
    values = {
        "index": index,
        "label": "chair",
        "success": success,
        "spl": spl,
        "soft_spl": spl,
        "shortest_m": 4.0,
        "path_m": 4.0 / max(spl, 0.1),
        "final_m": 0.0 if success else 3.0,
        "steps": 40,
        "done": success,
        "reason": "",
        "failure": "" if success else "never_seen",
        "known": index > 0,
        "first_seen_step": 3,
        "modes": {"goto": 41},
        "bumps": 1,
        "interventions": 0,
        "act_ms": 2.0,
    }
    return GoalRow.model_validate(values | changes)


def result(house: int, arm: str, spls: list[float]) -> HouseResult:
    goals = tuple(row(index, spl) for index, spl in enumerate(spls))
    return HouseResult(house=house, arm=arm, goals=goals, coverage=0.5, seconds=1.0)


def results_with_gain(gain: float, *, num_houses: int = 12, goals: int = 6) -> list[HouseResult]:
    """`kept` beats `reset` by `gain` SPL in every goal but the first."""
    rng = np.random.default_rng(0)
    found = []
    for house in range(num_houses):
        reset = rng.uniform(0.2, 0.6, goals)
        kept = reset + gain * (np.arange(goals) > 0) + rng.normal(0, 0.02, goals)
        found += [
            result(house, "reset", [float(v) for v in reset]),
            result(house, "kept", [float(v) for v in kept]),
        ]
    return found
