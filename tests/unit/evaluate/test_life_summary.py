import json
from pathlib import Path

import pytest
from rich.console import Console
from unit.evaluate.life_results import SCENARIO, life

from agentd.evaluate.life.figures import draw
from agentd.evaluate.life.summary import summarise
from agentd.evaluate.life.tables import report


def summary(num_lives: int = 5) -> dict:
    results = [life(n, "memory", 0.6, late=(0.2, 0.2)) for n in range(num_lives)]
    results += [life(n, "learning", 0.8, late=(0.4, 0.8)) for n in range(num_lives)]
    return summarise(results, ("memory", "learning"), SCENARIO, seed=0)


def test_differences_are_paired_per_goal_and_told_per_phase() -> None:
    found = {(p["part"], p["metric"]): p for p in summary()["paired"]}
    a = found["A", "spl"]
    assert (a["a"], a["b"]) == ("learning", "memory")
    assert a["mean"] == pytest.approx(0.2)
    assert a["low"] == pytest.approx(a["high"])
    assert a["n"] == 5 * 4
    assert found["A late, last", "spl"]["mean"] == pytest.approx(0.6)


def test_goals_that_are_not_the_same_are_no_pair() -> None:
    memory, learning = life(0, "memory", 0.6), life(0, "learning", 0.8)
    first, *others = learning.rows
    goal = first.goal.model_copy(update={"shortest_m": first.goal.shortest_m + 0.1, "spl": 0.0})
    learning = learning.model_copy(
        update={"rows": (first.model_copy(update={"goal": goal}), *others)}
    )
    found = summarise([memory, learning], ("memory", "learning"), SCENARIO, seed=0)
    of = {(p["part"], p["metric"]): p for p in found["paired"]}
    assert of["A", "spl"]["mean"] == pytest.approx(0.2)
    assert (of["A", "spl"]["n"], of["A", "spl"]["unlike"]) == (3, 1)
    assert of["B", "spl"]["unlike"] == 0
    console = Console(width=160, record=True)
    console.print(report(found))
    assert "1 pairs of unlike goals left out" in " ".join(console.export_text().split())


def test_the_drift_is_told_as_a_share_of_the_same_goals_before_it() -> None:
    drift = summary()["arms"]["learning"]["drift"]
    assert drift["repeats"]["0"]["of_before"]["mean"] == pytest.approx(0.5)
    assert drift["repeats"]["1"]["of_before"]["mean"] == pytest.approx(1.0)
    assert drift["repeats"]["1"]["change"]["mean"] == pytest.approx(0.0)


def test_what_was_promised_is_counted_where_it_was_promised() -> None:
    found = summary()["arms"]["memory"]
    assert found["known"]["spl"]["n"] == 5  # the fourth goal of A alone
    assert found["moved_first"]["success"]["n"] == 5
    assert found["stale_aim"]["mean"] == pytest.approx(0.5)
    assert found["gone"]["precision"]["mean"] == pytest.approx(6 / 8)
    assert found["gone"]["recall"]["mean"] == pytest.approx(0.5)
    assert found["came"]["precision"]["mean"] == pytest.approx(1 / 4)
    assert found["forgetting"]["change"]["mean"] == pytest.approx(0.2)
    assert found["forgetting"]["learned"]["mean"] == pytest.approx(-0.25)


def test_one_life_has_no_interval_and_still_a_table(tmp_path: Path) -> None:
    found = summary(1)
    assert found["arms"]["memory"]["spl"]["low"] is None
    console = Console(width=160, record=True)
    console.print(report(found))
    text = console.export_text()
    assert "A moved" in text
    assert "pass 2" in text
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [path.stat().st_size > 0 for path in draw(found, tmp_path)] == [True]


def test_an_arm_that_was_not_lived_yet_is_left_out() -> None:
    found = summarise([life(0, "memory", 0.5)], ("floor", "memory"), SCENARIO, seed=0)
    assert list(found["arms"]) == ["memory"]
    assert found["paired"] == []
