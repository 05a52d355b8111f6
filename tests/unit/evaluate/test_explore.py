"""Exploring houses: what is counted, compared and kept on disk."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes_policies import Box, BoxWorld, room
from unit.evaluate.flatland import thing

from agentd.evaluate.explore import command
from agentd.evaluate.explore.command import ExploreRequest, run, strategies_named
from agentd.evaluate.explore.figures import draw
from agentd.evaluate.explore.play import ExploreJob, SeenThings
from agentd.evaluate.explore.rows import ExploreRow
from agentd.evaluate.explore.screen import NoisyScreen
from agentd.exit_codes import UsageError
from agentd.worlds.base import StepResult
from configs.worlds import HouseConfig
from memory.records import Action, Detection, Observation
from policies.config import PoliciesConfig


def row_of(house: int, seed: int, strategy: str, gain: float) -> ExploreRow:
    curve = tuple(min(1.0, gain * k / 10) for k in range(11))
    return ExploreRow.model_validate(
        {
            "house": house,
            "seed": seed,
            "strategy": strategy,
            "screen": "tv",
            "num_steps": 110,
            "coverage": curve,
            "things": curve,
            "path_m": 20.0,
            "stare_steps": 11,
            "bumps": 0,
            "act_ms": 3.0,
            "seconds": 1.0,
        }
    )


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, str]]:
    """Replace exploring by results out of thin air; return what was asked for."""
    asked: list[tuple[int, int, str]] = []

    def play(job: ExploreJob) -> ExploreRow:
        asked.append((job.house, job.seed, job.strategy))
        gain = 1.2 if job.strategy == "information" else 1.0
        return row_of(job.house, job.seed, job.strategy, gain)

    monkeypatch.setattr(command, "explore_job", play)
    return asked


REQUEST = ExploreRequest(
    houses=3, steps=110, strategies=("nearest_frontier", "information"), seeds=(0, 1), workers=1
)


def test_measures_are_read_off_the_curves() -> None:
    found = row_of(1, 0, "count", 1.0).metrics()
    assert found["coverage_auc"] == pytest.approx(0.5)
    assert found["t90"] == 90
    assert found["coverage_per_m"] == pytest.approx(0.05)
    assert found["noise_dwell"] == pytest.approx(0.1)
    assert row_of(1, 0, "count", 0.5).metrics()["t90"] == 110


def test_strategies_are_compared_with_the_floor_over_the_same_starts(played: list) -> None:
    summary = run(REQUEST)
    assert len(played) == 3 * 2 * 2
    pair = next(p for p in summary["paired"] if p["metric"] == "coverage_auc")
    assert pair["strategy"] == "information"
    assert pair["mean"] > 0.05
    assert pair["low"] > 0
    assert pair["ratio"] == pytest.approx(1.0 + pair["mean"] / 0.5)
    json.dumps(summary, allow_nan=False)


def test_what_was_explored_is_not_explored_again(played: list, tmp_path: Path) -> None:
    request = REQUEST.model_copy(update={"out": tmp_path})
    first = run(request)
    more = request.model_copy(update={"strategies": ("nearest_frontier", "information", "count")})
    run(more)
    assert len(played) == 12 + 6
    again = run(request)
    assert len(played) == 18
    assert again["strategies"] == first["strategies"]
    with pytest.raises(UsageError, match="steps = 110, not 120"):
        run(request.model_copy(update={"steps": 120}))


def test_figures_are_drawn(played: list, tmp_path: Path) -> None:
    paths = draw(run(REQUEST), tmp_path / "figures")
    assert [path.name for path in paths] == ["coverage.png", "things_seen.png"]
    assert all(path.stat().st_size > 1000 for path in paths)


def test_strategies_have_names() -> None:
    assert strategies_named("count, rnd") == ("count", "rnd")
    assert len(strategies_named("all")) == 9
    with pytest.raises(UsageError, match="no strategy 'clever'"):
        strategies_named("count,clever")


def test_things_count_as_seen_where_they_are_and_with_enough_pixels() -> None:
    chairs = [thing(1, "chair", 3.0, 2.0), thing(2, "chair", 5.0, 3.0), thing(3, "tv", 3.0, 2.0)]
    seen = SeenThings(chairs)
    found = Detection(
        instance=1,
        label="chair",
        score=1.0,
        box=(0.0, 0.0, 1.0, 1.0),
        xyz_m=np.array([3.1, 2.0, 0.5]),
        extent_m=np.full(3, 0.2),
        xyz_body_m=np.zeros(3),
        num_px=29,
        range_m=2.0,
        touches_border=False,
    )
    seen.note([found])
    assert seen.share == 0
    seen.note([replace(found, num_px=30), replace(found, num_px=90, xyz_m=np.array([4.0, 1, 0.5]))])
    assert seen.share == pytest.approx(1 / 3)


class OneRoom:
    """A still body before two boxes."""

    def __init__(self) -> None:
        boxes = [Box(3.0, 1.0, 3.4, 1.6, label="tv"), Box(3.0, 2.4, 3.4, 3.0, label="chair")]
        self.world = BoxWorld([*room(6, 4), *boxes], [1.0, 2.0, 0.0])
        self.spec = self.world.spec

    def reset(self, seed: int | None = None) -> Observation:
        return self.world.observe()

    def step(self, action: Action) -> StepResult:
        return StepResult(observation=self.world.observe(), applied=action)

    def close(self) -> None:
        pass


def test_the_screen_shows_new_noise_at_every_look_and_nothing_else_does() -> None:
    plain = OneRoom().reset()
    screen = NoisyScreen(OneRoom(), "tv", 0)
    first = screen.reset()
    second = screen.step(Action(v_mps=0.0, w_radps=0.0, duration_s=0.2)).observation
    shown = screen.shown(first)
    assert 30 < shown.sum() < shown.size / 4
    assert (first.rgb[~shown] == plain.rgb[~shown]).all()
    assert (second.rgb[~shown] == plain.rgb[~shown]).all()
    assert (first.rgb[shown] != second.rgb[shown]).mean() > 0.9
    assert not NoisyScreen(OneRoom(), "", 0).shown(first).any()


@pytest.mark.slow
def test_a_real_house_is_explored_with_a_screen_whose_pixels_are_noise() -> None:
    job = ExploreJob(
        house=9000,
        seed=0,
        strategy="information",
        num_steps=60,
        world=HouseConfig(),
        policies=PoliciesConfig(),
    )
    row, again = command.explore_job(job), command.explore_job(job)
    assert row.coverage == again.coverage
    assert row.coverage[-1] > row.coverage[0] > 0
    assert 0 < row.things[-1] <= 1
    assert row.screen
