import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from unit.evaluate.results import result

from agentd.evaluate import command
from agentd.evaluate.command import EvalRequest, run
from agentd.evaluate.errors import EvaluationError
from agentd.evaluate.rows import HouseResult
from agentd.evaluate.stage import HouseJob
from agentd.exit_codes import ExitCode, UsageError

ARMS = ("reset", "kept")


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Replace playing by results out of thin air; return what was asked for."""
    asked: list[tuple[int, str]] = []

    def play(job: HouseJob) -> HouseResult:
        asked.append((job.house, job.arm))
        gain = 0.2 if job.arm == "kept" else 0.0
        return result(job.house, job.arm, [0.4 + gain] * job.num_goals)

    monkeypatch.setattr(command, "play_job", play)
    return asked


def test_every_house_is_played_by_every_arm_and_compared(played: list) -> None:
    summary = run(EvalRequest(houses=3, goals=2, arms=ARMS, workers=1))
    assert sorted(played) == [(h, a) for h in (10_000, 10_001, 10_002) for a in ("kept", "reset")]
    assert summary["arms"]["kept"]["num_goals"] == 6
    assert summary["request"]["goals"] == 2
    json.dumps(summary, allow_nan=False)


def test_what_was_played_is_not_played_again(played: list, tmp_path: Path) -> None:
    first = run(EvalRequest(houses=2, goals=2, arms=ARMS, workers=1, out=tmp_path))
    assert len(played) == 4
    again = run(EvalRequest(houses=2, goals=2, arms=ARMS, workers=1, out=tmp_path))
    assert len(played) == 4
    assert again["arms"] == first["arms"]
    run(EvalRequest(houses=3, goals=2, arms=("reset", "kept", "floor"), workers=1, out=tmp_path))
    assert len(played) == 9
    assert json.loads((tmp_path / "result.json").read_text())["arms"].keys() == {*ARMS, "floor"}


def test_a_crash_keeps_the_houses_that_were_finished(
    played: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = command.play_job

    def crash(job: HouseJob) -> HouseResult:
        if job.house == 10_001:
            raise RuntimeError("power cut")
        return play(job)

    monkeypatch.setattr(command, "play_job", crash)
    request = EvalRequest(houses=2, goals=2, arms=ARMS, workers=1, out=tmp_path)
    with pytest.raises(RuntimeError, match="power cut"):
        run(request)
    monkeypatch.setattr(command, "play_job", play)
    run(request)
    assert played.count((10_000, "kept")) == 1
    assert played.count((10_001, "kept")) == 1


def test_other_settings_do_not_mix_with_what_is_there(played: list, tmp_path: Path) -> None:
    run(EvalRequest(houses=1, goals=2, arms=ARMS, workers=1, out=tmp_path))
    with pytest.raises(UsageError, match="budget_steps = 400, not 200"):
        run(EvalRequest(houses=1, goals=2, arms=ARMS, workers=1, out=tmp_path, budget_steps=200))


def test_named_houses_are_played_instead_of_the_held_out_ones(played: list) -> None:
    run(EvalRequest(goals=2, arms=("kept",), workers=1, house_seeds=(7,)))
    assert played == [(7, "kept")]


def test_an_unknown_arm_is_wrong_usage(played: list) -> None:
    with pytest.raises(UsageError, match="no arm 'all'"):
        run(EvalRequest(arms=("all",), workers=1))
    assert played == []


def test_a_model_arm_without_a_life_is_not_possible_yet(played: list, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="arm kept_model needs a checkpoint"):
        run(EvalRequest(arms=("kept_model",), workers=1))
    with pytest.raises(EvaluationError, match="no checkpoint is promoted"):
        run(EvalRequest(arms=("kept_model",), workers=1, checkpoints=tmp_path))
    assert played == []
    assert EvaluationError.exit_code is ExitCode.NOT_YET


@pytest.mark.parametrize("bad", [{"houses": 0}, {"goals": 0}, {"arms": ()}, {"budget": 3}])
def test_impossible_requests_are_refused(bad: dict) -> None:
    with pytest.raises(ValidationError):
        EvalRequest(**bad)


@pytest.mark.slow
def test_a_real_house_is_played_by_the_real_agent(tmp_path: Path) -> None:
    request = EvalRequest(
        houses=1, goals=2, arms=("floor", "kept"), budget_steps=60, workers=2, out=tmp_path
    )
    summary = run(request)
    for arm in ("floor", "kept"):
        found = summary["arms"][arm]
        assert found["num_goals"] == 2
        assert 0 <= found["spl"]["mean"] <= found["success"]["mean"] <= 1
        assert found["act_ms"] > 0
    starts = {
        house["arm"]: [goal["shortest_m"] for goal in house["goals"]] for house in summary["houses"]
    }
    assert starts["floor"] == starts["kept"]
    assert all(1.5 <= shortest_m < 40 for shortest_m in starts["kept"])
