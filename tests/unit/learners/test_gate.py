import dataclasses
from typing import Any

import numpy as np
import pytest

from learners.config import GateConfig
from learners.gate import is_trusted, judge
from learners.probes import ProbeResult

GATE = GateConfig()


def _result(error: float = 0.5, noise: float = 0.1, seed: int = 0, **metrics: Any) -> ProbeResult:
    """Probes whose windows differ in difficulty, as real ones do."""
    hard = np.random.default_rng(99).gamma(2.0, size=(128, 3))
    wobble = np.random.default_rng(seed).standard_normal((128, 3))
    errors = hard * error * (1 + noise * wobble)
    normalised = errors.sum(0) / hard.sum(0)
    return ProbeResult(
        metrics={
            "k_step_error": dict(zip(("1", "4", "8"), normalised.tolist(), strict=True)),
            "action_sensitivity_4": 1.5,
            "effective_rank": 40.0,
            "latent_std_min": 0.7,
            "r2_egomotion": 0.9,
            "collision_auc": None,
            **metrics,
        },
        error=errors,
        change=hard,
        xy_m=np.zeros((128, 2)),
    )


def test_a_better_candidate_is_accepted_with_its_numbers() -> None:
    verdict = judge(_result(0.45, seed=1), _result(0.5, seed=2), GATE, 0)
    assert verdict.accepted
    assert verdict.reasons[0].startswith("better: normalised error -")
    assert [c.metric for c in verdict.comparisons] == [f"k_step_error {k}" for k in (1, 4, 8)]
    assert all(c.relative_change < 0 < c.candidate < c.incumbent for c in verdict.comparisons)


@pytest.mark.parametrize("error", [0.5, 0.55, 0.9])
def test_one_that_is_not_better_is_refused_but_kept_for_training(error: float) -> None:
    incumbent = _result(0.5)
    candidate = dataclasses.replace(incumbent) if error == 0.5 else _result(error)
    verdict = judge(candidate, incumbent, GATE, 0)
    assert not verdict.accepted
    assert verdict.sane
    assert verdict.reasons[0].startswith("not better")


def test_one_that_is_better_by_luck_only_is_refused() -> None:
    incumbent = _result(0.5, noise=0.0)
    wild = dataclasses.replace(incumbent, error=incumbent.error.copy())
    wild.error[:10] *= 3.0
    wild.error[10:] *= (incumbent.error.sum(0) * 0.99 - wild.error[:10].sum(0)) / incumbent.error[
        10:
    ].sum(0)
    verdict = judge(wild, incumbent, GATE, 0)
    assert not verdict.accepted
    assert verdict.reasons[0].startswith("not surely better")


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"effective_rank": 3.0}, "collapsed: effective rank 3.0"),
        ({"latent_std_min": 1e-4}, "collapsed: smallest latent standard deviation"),
        ({"effective_rank": float("nan")}, "not finite: effective_rank"),
        ({"k_step_error": {"1": 0.2, "4": float("inf"), "8": 0.2}}, "not finite: k_step_error 4"),
    ],
)
def test_a_broken_candidate_is_refused_however_low_its_error(
    metrics: dict[str, Any], reason: str
) -> None:
    for incumbent in (None, _result(0.5)):
        verdict = judge(_result(0.01, **metrics), incumbent, GATE, 0)
        assert not verdict.accepted
        assert not verdict.sane
        assert reason in verdict.reasons[0]


def test_one_that_ignores_actions_is_refused_but_kept_for_training() -> None:
    verdict = judge(_result(0.3, action_sensitivity_4=1.01), _result(0.5), GATE, 0)
    assert (verdict.accepted, verdict.sane) == (False, True)
    assert "ignores actions" in verdict.reasons[0]


def test_a_slow_one_is_refused_but_kept_for_training() -> None:
    pair = _result(0.3, seed=1), _result(0.5, seed=2)
    assert judge(*pair, GATE, 0, cost_ratio=1.2).accepted
    verdict = judge(*pair, GATE, 0, cost_ratio=1.9)
    assert (verdict.accepted, verdict.sane) == (False, True)
    assert verdict.reasons[0].startswith("slow: looking and planning once takes 1.90 times")


def test_every_question_is_written_down_with_its_stage_and_answer() -> None:
    verdict = judge(
        _result(0.45, seed=1), _result(0.5, seed=2), GATE, 0, anchor=_result(0.3), cost_ratio=1.0
    )
    assert [(c.stage, c.name, c.passed) for c in verdict.checks] == [
        ("T0", "latents", True),
        ("T0", "cost", True),
        ("T1", "actions", True),
        ("T1", "incumbent", True),
        ("T1", "anchor", False),
    ]
    assert verdict.reasons == (verdict.checks[-1].reason,)
    assert "creeps away from the anchor: normalised error +" in verdict.reasons[0]
    assert [c.incumbent for c in verdict.anchor_comparisons] == pytest.approx([0.3] * 3, rel=0.05)


@pytest.mark.parametrize(("error", "beats"), [(0.45, True), (0.4999, False)])
def test_only_one_that_is_surely_better_moves_the_anchor(error: float, beats: bool) -> None:
    anchor, incumbent = _result(0.5, seed=1), _result(0.55, seed=2)
    verdict = judge(_result(error, seed=3), incumbent, GATE, 0, anchor=anchor)
    assert verdict.accepted
    assert verdict.beats_anchor is beats
    alone = judge(_result(error, seed=3), anchor, GATE, 0)
    assert alone.beats_anchor is beats, "without another anchor the incumbent is it"


def _fresh(error: float, rng: np.random.Generator, hard: np.ndarray) -> ProbeResult:
    """Probes of one model on the windows of one round."""
    base = _result()
    return dataclasses.replace(
        base, error=hard * error * (1 + 0.1 * rng.standard_normal(hard.shape)), change=hard
    )


def _creep(steps: int, tries: int, with_anchor: bool) -> list[float]:
    """Let a learner publish models that are 1 % worse each until luck lets one through."""
    rng, acting = np.random.default_rng(5), [0.5]
    for _ in range(steps):
        for attempt in range(tries):
            hard = rng.gamma(2.0, size=(128, 3))
            error = acting[-1] * 1.01
            anchor = _fresh(acting[0], rng, hard) if with_anchor and len(acting) > 1 else None
            pair = _fresh(error, rng, hard), _fresh(acting[-1], rng, hard)
            if pair[0].error.mean(0).sum() > pair[1].error.mean(0).sum():
                continue  # not lucky: spares the bootstrap
            if judge(*pair, GATE, attempt, anchor=anchor).accepted:
                acting.append(error)
                break
        else:
            break
    return acting


def test_ten_creeping_steps_of_one_percent_are_stopped_by_the_anchor() -> None:
    """Each loss is too small to be seen beside the incumbent, on windows of its own round."""
    assert len(_creep(10, 60, with_anchor=False)) == 11, "unseen by the incumbent alone"
    assert len(_creep(10, 60, with_anchor=True)) <= 5, "the sum of them is seen"


def test_the_first_model_needs_to_be_sane_and_says_whether_it_beats_copying() -> None:
    assert "beats copying" in judge(_result(0.6), None, GATE, 0).reasons[0]
    beaten = judge(_result(1.4), None, GATE, 0)
    assert beaten.accepted
    assert "not collapsed" in beaten.reasons[0]


def test_the_verdict_is_repeatable() -> None:
    pair = _result(0.47, seed=1), _result(0.5, seed=2)
    assert judge(*pair, GATE, 3) == judge(*pair, GATE, 3)


@pytest.mark.parametrize(
    ("metrics", "trusted"),
    [
        ({}, True),
        ({"r2_egomotion": 0.3}, False),
        ({"action_sensitivity_4": 1.1}, False),
        ({"k_step_error": {"1": 0.5, "4": 0.8, "8": 1.1}}, False),
    ],
)
def test_trust_needs_motion_actions_and_rollouts(metrics: dict[str, Any], trusted: bool) -> None:
    assert is_trusted(_result(**metrics).metrics, GATE) is trusted
