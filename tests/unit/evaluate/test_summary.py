import json
from pathlib import Path

import pytest
from rich.console import Console
from unit.evaluate.results import result, results_with_gain, row

from agentd.evaluate.figures import draw
from agentd.evaluate.summary import report, summarise


def _paired(summary: dict, a: str, b: str, metric: str) -> dict:
    return next(p for p in summary["paired"] if (p["a"], p["b"], p["metric"]) == (a, b, metric))


def test_a_gain_from_memory_is_found_with_an_interval_that_excludes_zero() -> None:
    summary = summarise(results_with_gain(0.2), ("reset", "kept"), seed=0)
    gain = _paired(summary, "kept", "reset", "spl")
    assert gain["mean"] == pytest.approx(0.2 * 5 / 6, abs=0.02)
    assert 0 < gain["low"] < gain["mean"] < gain["high"]
    assert gain["num_goals"] == 72


def test_no_gain_is_not_called_one() -> None:
    summary = summarise(results_with_gain(0.0), ("reset", "kept"), seed=0)
    gain = _paired(summary, "kept", "reset", "spl")
    assert gain["low"] < 0 < gain["high"]


def test_the_curve_over_goals_starts_level_and_then_parts() -> None:
    arms = summarise(results_with_gain(0.2), ("reset", "kept"), seed=0)["arms"]
    gaps = [
        kept["mean"] - reset["mean"]
        for kept, reset in zip(
            arms["kept"]["spl_by_goal"], arms["reset"]["spl_by_goal"], strict=True
        )
    ]
    assert abs(gaps[0]) < 0.05
    assert min(gaps[1:]) > 0.1


def test_only_goals_that_both_arms_played_are_compared() -> None:
    results = [*results_with_gain(0.2, num_houses=3), result(99, "kept", [1.0] * 6)]
    summary = summarise(results, ("reset", "kept"), seed=0)
    assert _paired(summary, "kept", "reset", "spl")["num_goals"] == 18
    assert summary["arms"]["kept"]["num_goals"] == 24


def test_failures_and_known_goals_are_counted() -> None:
    summary = summarise([result(1, "kept", [0.0, 0.5, 0.0])], ("kept",), seed=0)["arms"]["kept"]
    assert summary["failures"] == {"never_seen": 2}
    assert summary["num_known"] == 2
    assert summary["spl_known"] == pytest.approx(0.25)
    assert summary["spl_new"] == 0.0
    assert summary["success"]["mean"] == pytest.approx(1 / 3)


def test_the_summary_is_strict_json_even_with_one_house_and_an_end_off_the_map() -> None:
    lost = result(1, "kept", [0.0]).model_copy(update={"goals": (row(0, 0.0, final_m=None),)})
    summary = summarise([lost, result(1, "reset", [0.5])], ("reset", "kept"), seed=0)
    text = json.dumps(summary, allow_nan=False)
    assert json.loads(text)["arms"]["kept"]["spl"] == {"mean": 0.0, "low": None, "high": None}


def test_the_report_shows_arms_differences_and_goals() -> None:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(report(summarise(results_with_gain(0.2), ("reset", "kept"), seed=0)))
    text = capture.get()
    assert "kept - reset" in text
    assert "12 x 6" in text
    assert "SPL by the number of the goal" in text
    assert " *" in text


def test_a_report_of_one_house_claims_no_interval() -> None:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(report(summarise(results_with_gain(0.2, num_houses=1), ("kept",), seed=0)))
    assert "[" not in capture.get()


def test_one_arm_alone_has_no_table_of_differences() -> None:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(report(summarise([result(1, "kept", [0.5])], ("kept",), seed=0)))
    assert "Paired differences" not in capture.get()


def test_figures_are_drawn_as_png(tmp_path: Path) -> None:
    summary = summarise(results_with_gain(0.2), ("reset", "kept"), seed=0)
    paths = draw(summary, tmp_path / "figures")
    assert [p.name for p in paths] == ["spl_by_goal.png", "paired_differences.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in paths)


def test_one_arm_alone_has_no_figure_of_differences(tmp_path: Path) -> None:
    summary = summarise(results_with_gain(0.2, num_houses=1), ("kept",), seed=0)
    assert [p.name for p in draw(summary, tmp_path)] == ["spl_by_goal.png"]
