import json
from pathlib import Path

import pytest
from unit.evaluate.life_results import life

from agentd.evaluate.life import command
from agentd.evaluate.life.command import LifeRequest, run
from agentd.evaluate.life.lives import LifeJob
from agentd.evaluate.life.rows import LifeResult
from agentd.evaluate.life.ship import ShipJob
from agentd.exit_codes import UsageError

ARMS = ("memory", "learning")


@pytest.fixture
def lived(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Replace living by results out of thin air; return what was asked for."""
    asked: list[object] = []

    def live(job: LifeJob) -> LifeResult:
        asked.append((job.life, job.arm))
        return life(job.life, job.arm, 0.8 if job.arm == "learning" else 0.6)

    def ship(job: ShipJob) -> None:
        asked.append(job.learner_seed)
        job.folder.mkdir(parents=True)
        (job.folder / "shipped.json").write_text("{}")

    monkeypatch.setattr(command, "live", live)
    monkeypatch.setattr(command, "ship", ship)
    return asked


def request(out: Path, **changes: object) -> LifeRequest:
    values = {"out": out, "lives": 3, "arms": ARMS, "learner_seeds": 2, "workers": 1}
    return LifeRequest.model_validate(values | changes)


def test_lives_are_lived_once_after_what_is_shipped(tmp_path: Path, lived: list[object]) -> None:
    found = run(request(tmp_path))
    assert lived[:2] == [0, 1]  # one shipped model per learner seed that is needed
    assert sorted(lived[2:]) == [(n, arm) for n in range(3) for arm in sorted(ARMS)]
    assert found["arms"]["learning"]["num_lives"] == 3
    assert json.loads((tmp_path / "result.json").read_text()) == found
    lived.clear()
    assert run(request(tmp_path)) == found
    assert lived == []


def test_other_settings_do_not_get_into_one_table(tmp_path: Path, lived: list[object]) -> None:
    run(request(tmp_path))
    with pytest.raises(UsageError, match="updates"):
        run(request(tmp_path, updates=7))


def test_so_far_lives_nothing_and_compares_what_all_arms_have(
    tmp_path: Path, lived: list[object]
) -> None:
    with pytest.raises(UsageError, match="so-far"):
        run(request(tmp_path, so_far=True))
    run(request(tmp_path, arms=("memory",)))
    with pytest.raises(UsageError, match="learning"):
        run(request(tmp_path, so_far=True))
    lived.clear()
    found = run(request(tmp_path, arms=("memory",), so_far=True))
    assert found["arms"]["memory"]["num_lives"] == 3
    assert lived == []


def test_what_does_not_exist_is_refused_before_anything_is_lived(
    tmp_path: Path, lived: list[object]
) -> None:
    for changes in ({"arms": ("nobody",)}, {"scenario": "nothing"}):
        with pytest.raises(UsageError):
            run(request(tmp_path, **changes))
    assert lived == []
    assert not list(tmp_path.iterdir())
