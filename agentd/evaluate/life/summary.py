"""Compares the arms of lives: means, paired differences, and the numbers that were promised.

The unit of resampling is the life: its goals share homes, memory and model.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import combinations
from typing import Any, get_args

import numpy as np

from agentd.evaluate.life.rows import ChangeRow, LifeResult, LifeRow, Vain
from agentd.evaluate.life.scenario import LifeScenario
from agentd.evaluate.plain import as_dict, finite
from agentd.evaluate.statistics import cluster_bootstrap, cluster_ratio, mcnemar_exact

FORMAT = 2

Key = tuple[int, int]
"""Life, and number of the goal in it."""

METRICS: dict[str, Callable[[LifeRow], float]] = {
    "success": lambda row: float(row.goal.success),
    "spl": lambda row: row.goal.spl,
    "soft_spl": lambda row: row.goal.soft_spl,
}

_KNOWN_FROM = 3
"""From the fourth goal in a home a robot should know it."""


def summarise(
    results: Sequence[LifeResult], arms: Sequence[str], scenario: LifeScenario, *, seed: int
) -> dict[str, Any]:
    """Return the comparison as a dict that JSON can hold (NaN becomes None).

    Args:
        results: At most one per life and arm.
        arms: Arms in the order of the table.
        scenario: What was lived.
        seed: Seed of the resampling.
    """
    stats = _Stats(seed)
    by_arm = {arm: [r for r in results if r.arm == arm] for arm in arms}
    by_arm = {arm: lives for arm, lives in by_arm.items() if lives}
    summary = {
        "format": FORMAT,
        "about": scenario.about,
        "phases": _phases(scenario),
        "arms": {arm: _arm(lives, scenario, stats) for arm, lives in by_arm.items()},
        "paired": [
            row
            for later, earlier in ((b, a) for a, b in combinations(by_arm, 2))
            for row in _paired(later, earlier, by_arm, scenario, stats)
        ],
        "lives": [r.model_dump(mode="json", exclude={"rows"}) for r in results],
    }
    plain: dict[str, Any] = finite(summary)
    return plain


class _Stats:
    """Intervals of values per goal, resampling lives."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def of(self, values: dict[Key, float]) -> dict[str, Any]:
        """Return mean, bounds and number; NaN of nothing."""
        if not values:
            return {"mean": math.nan, "low": math.nan, "high": math.nan, "n": 0}
        lives = np.array([life for life, _ in values], dtype=np.int64)
        found = cluster_bootstrap(np.array(list(values.values())), lives, seed=self._seed)
        return {**as_dict(found), "n": len(values)}

    def ratio(self, a: dict[Key, float], b: dict[Key, float]) -> dict[str, Any]:
        """Return the sum of one over the sum of the other over what both have; NaN of nothing."""
        keys = [key for key in a if key in b]
        values, bases = (np.array([side[key] for key in keys]) for side in (a, b))
        if not bases.sum() > 0:
            return {"mean": math.nan, "low": math.nan, "high": math.nan, "n": len(keys)}
        lives = np.array([life for life, _ in keys], dtype=np.int64)
        return {**as_dict(cluster_ratio(values, bases, lives, seed=self._seed)), "n": len(keys)}

    def difference(self, a: dict[Key, float], b: dict[Key, float]) -> dict[str, Any]:
        """Return the paired difference over what both have."""
        return self.of({key: a[key] - b[key] for key in a if key in b})


def _phases(scenario: LifeScenario) -> list[dict[str, Any]]:
    rows, first = [], 0
    for phase in scenario.phases:
        count = phase.goals * phase.repeats
        rows.append(
            {
                "name": phase.name,
                "home": phase.home,
                "first": first,
                "goals": count,
                "changes_place": phase.changes_place,
                "changes_body": phase.changes_body,
            }
        )
        first += count
    return rows


def _rows(lives: Sequence[LifeResult], wanted: Callable[[LifeRow], bool]) -> dict[Key, LifeRow]:
    return {(r.life, row.number): row for r in lives for row in r.rows if wanted(row)}


def _is_vain(why: Vain, row: LifeRow) -> float:
    return float(row.vain == why)


def _is_of(phase: str, row: LifeRow, repeat: int | None = None) -> bool:
    return row.phase == phase and repeat in (None, row.repeat)


def _values(rows: dict[Key, LifeRow], metric: Callable[[LifeRow], float]) -> dict[Key, float]:
    return {key: metric(row) for key, row in rows.items()}


def _scores(rows: dict[Key, LifeRow], stats: _Stats) -> dict[str, Any]:
    return {name: stats.of(_values(rows, metric)) for name, metric in METRICS.items()}


def _arm(lives: Sequence[LifeResult], scenario: LifeScenario, stats: _Stats) -> dict[str, Any]:
    rows = _rows(lives, lambda row: True)
    goals = [row.goal for row in rows.values()]
    numbers = sorted({number for _, number in rows})
    return {
        "num_lives": len(lives),
        "num_goals": len(rows),
        **_scores(rows, stats),
        "phases": {
            phase.name: _phase(_rows(lives, partial(_is_of, phase.name)), stats)
            for phase in scenario.phases
        },
        "by_number": [
            {
                "number": number,
                **stats.of(
                    _values({k: r for k, r in rows.items() if k[1] == number}, METRICS["spl"])
                ),
            }
            for number in numbers
        ],
        "failures": dict(Counter(row.why for row in rows.values() if row.why)),
        "act_ms": float(np.mean([goal.act_ms for goal in goals])),
        "act_ms_by_phase": {
            phase.name: float(
                np.mean([r.goal.act_ms for r in rows.values() if r.phase == phase.name])
            )
            for phase in scenario.phases
            if any(r.phase == phase.name for r in rows.values())
        },
        "bumps_per_100_steps": 100
        * sum(goal.bumps for goal in goals)
        / max(sum(goal.steps for goal in goals), 1),
        "steps": sum(result.steps for result in lives),
        **_promises(lives, scenario, stats),
    }


def _phase(rows: dict[Key, LifeRow], stats: _Stats) -> dict[str, Any]:
    repeats = sorted({row.repeat for row in rows.values()})
    return {
        **_scores(rows, stats),
        "steps": float(np.mean([row.goal.steps for row in rows.values()])) if rows else math.nan,
        "spl_by_repeat": [
            stats.of(_values({k: r for k, r in rows.items() if r.repeat == n}, METRICS["spl"]))
            for n in repeats
        ],
    }


def _promises(lives: Sequence[LifeResult], scenario: LifeScenario, stats: _Stats) -> dict[str, Any]:
    """Return the numbers that the arms are held to."""
    before = set[str]()
    for phase in scenario.phases:
        if phase.changes_place or phase.changes_body:
            break
        before.add(phase.name)
    changed = [p.name for p in scenario.phases if p.changes_place]
    after = {p.name for p in scenario.phases[len(before) :]}
    known = _rows(
        lives,
        lambda r: r.phase in before and r.goal.index >= _KNOWN_FROM and r.seen_before,
    )
    moved = _rows(lives, lambda r: r.phase in after and r.moved)
    first_look = _rows(lives, lambda r: r.phase in changed)
    return {
        "known": _scores(known, stats),
        "moved": _scores(moved, stats),
        "moved_first": _scores({k: r for k, r in moved.items() if r.phase in changed}, stats),
        "stale_aim": stats.of(_values(first_look, lambda r: float(r.stale_aim))),
        "stale_visit": stats.of(_values(first_look, lambda r: float(r.vain != ""))),
        "vain": {
            why: stats.of(_values(first_look, partial(_is_vain, why)))
            for why in get_args(Vain)
            if why
        },
        "stale_visit_after": stats.of(
            _values(_rows(lives, lambda r: r.phase in after), lambda r: float(r.vain != ""))
        ),
        "gone": _changes({r.life: r.gone for r in lives if r.gone is not None}, stats),
        "came": _changes({r.life: r.came for r in lives if r.came is not None}, stats),
        "drift": _drift(lives, scenario, stats),
        "forgetting": _forgetting(lives, scenario, stats),
    }


def _changes(found: dict[int, ChangeRow], stats: _Stats) -> dict[str, Any] | None:
    if not found:
        return None
    facts, claims, true, in_time = (
        {(life, 0): float(getattr(row, name)) for life, row in found.items()}
        for name in ("facts", "claims", "true_claims", "claimed_in_time")
    )
    return {
        "facts": round(sum(facts.values())),
        "claims": round(sum(claims.values())),
        "precision": stats.ratio(true, claims),
        "recall": stats.ratio(in_time, facts),
    }


def _drift(
    lives: Sequence[LifeResult], scenario: LifeScenario, stats: _Stats
) -> dict[str, Any] | None:
    """Return SPL before the body changed, right after and at the end, on the same goals."""
    for phase, before in zip(scenario.phases[1:], scenario.phases, strict=False):
        if not phase.changes_body or before.list != phase.list:
            continue
        was = {
            (r.life, row.goal.index): row.goal.spl
            for r in lives
            for row in r.rows
            if row.phase == before.name and row.repeat == before.repeats - 1
        }
        parts = {}
        for repeat in range(phase.repeats):
            now = {
                (r.life, row.goal.index): row.goal.spl
                for r in lives
                for row in r.rows
                if row.phase == phase.name and row.repeat == repeat
            }
            parts[str(repeat)] = {
                "spl": stats.of(now),
                "change": stats.difference(now, was),
                "of_before": stats.ratio(now, was),
            }
        return {"phase": phase.name, "before": stats.of(was), "repeats": parts}
    return None


def _forgetting(
    lives: Sequence[LifeResult], scenario: LifeScenario, stats: _Stats
) -> dict[str, Any] | None:
    """Return how the error on the first home changed while the life was elsewhere.

    Relative: (error before coming back - error when leaving) / error when leaving. And how the SPL
    of the same goals changed, which holds what the memory gained, too.
    """
    first = scenario.phases[0]
    away = None
    for phase in scenario.phases[1:]:
        if phase.home != first.home:
            away = phase.name
        elif away is not None:
            break
    if away is None:
        return None
    found, learned = {}, {}
    for life in lives:
        errors = {(e.after, e.domain): e for e in life.errors}
        left, back = errors.get((first.name, first.name)), errors.get((away, first.name))
        if left is None or back is None:
            continue
        found[(life.life, 0)] = (back.error - left.error) / left.error
        learned[(life.life, 0)] = (back.error - back.shipped_error) / back.shipped_error
    names = [p.name for p in scenario.phases]
    back_home = scenario.phases[names.index(away) + 1 :]
    again = next((p for p in back_home if p.list == first.list), None)
    if again is not None and any(
        p.changes_body for p in scenario.phases[: names.index(again.name) + 1]
    ):
        again = None
    spl: dict[str, Any] | None = None
    if again is not None:
        then, now = (
            {
                (r.life, row.goal.index): row.goal.spl
                for r in lives
                for row in r.rows
                if row.phase == phase.name
            }
            for phase in (first, again)
        )
        spl = stats.difference(now, then)
    return {
        "domain": first.name,
        "after": away,
        "spl": spl,
        "change": stats.of(found),
        "learned": stats.of(learned),
    }


def _paired(
    a: str,
    b: str,
    by_arm: dict[str, list[LifeResult]],
    scenario: LifeScenario,
    stats: _Stats,
) -> Iterable[dict[str, Any]]:
    """Yield the differences a - b, over the life and per phase.

    Pairs of unlike goals are left out and counted: a list that is drawn late in a life starts
    elsewhere where one of the arms pushed a door or a ball before.
    """
    parts: list[tuple[str, Callable[[LifeRow], bool]]] = [("life", lambda row: True)]
    worn = next((i for i, p in enumerate(scenario.phases) if p.changes_body), None)
    if worn is not None:
        sound = {p.name for p in scenario.phases[:worn]}
        parts.append(("sound body", lambda row: row.phase in sound))
    parts += [(phase.name, partial(_is_of, phase.name)) for phase in scenario.phases]
    for phase in scenario.phases:
        if phase.changes_body and phase.repeats > 1:
            last = phase.repeats - 1
            parts.append((f"{phase.name}, last", partial(_is_of, phase.name, repeat=last)))
    for part, wanted in parts:
        rows_a, rows_b = (_rows(by_arm[arm], wanted) for arm in (a, b))
        both = [key for key in rows_a if key in rows_b]
        keys = [key for key in both if _is_same_goal(rows_a[key], rows_b[key])]
        rows_a, rows_b = ({key: rows[key] for key in keys} for rows in (rows_a, rows_b))
        for name, metric in METRICS.items():
            found = stats.difference(_values(rows_a, metric), _values(rows_b, metric))
            row = {"a": a, "b": b, "part": part, "metric": name, **found}
            row["unlike"] = len(both) - len(keys)
            if name == "success" and keys:
                row["mcnemar_p"] = mcnemar_exact(
                    np.array([rows_a[k].goal.success for k in keys]),
                    np.array([rows_b[k].goal.success for k in keys]),
                )
            yield row


def _is_same_goal(a: LifeRow, b: LifeRow) -> bool:
    """Return whether two arms were asked for the same thing from the same start."""
    return a.goal.label == b.goal.label and math.isclose(a.goal.shortest_m, b.goal.shortest_m)
