import math

import numpy as np
import pytest

from policies.surprise import SurpriseMeter


def test_noise_is_calibrated() -> None:
    """For log-normal errors about 5 % lie beyond two standard deviations."""
    rng = np.random.default_rng(0)
    meter = SurpriseMeter()
    us = np.array([meter.update("forward", float(e)) for e in np.exp(rng.normal(-3, 0.7, 4000))])
    us = us[np.isfinite(us)]
    assert np.abs(us.mean()) < 0.1
    assert us.std() == pytest.approx(1.0, abs=0.1)
    assert np.mean(np.abs(us) > 2) == pytest.approx(0.05, abs=0.025)


def test_a_jump_surprises_and_constant_noise_does_not() -> None:
    rng = np.random.default_rng(1)
    meter = SurpriseMeter()
    for e in np.exp(rng.normal(2, 0.2, 200)):
        meter.update("turn", float(e))
    assert abs(meter.update("turn", math.exp(2))) < 1
    assert meter.update("turn", math.exp(3.5)) > 4


def test_contexts_do_not_mix() -> None:
    rng = np.random.default_rng(2)
    meter = SurpriseMeter()
    for e in np.exp(rng.normal(0, 0.3, 100)):
        meter.update("turn", float(e))
        meter.update("forward", 10 * float(e))
    assert abs(meter.update("forward", 10.0)) < 2
    assert meter.update("turn", 10.0) > 3


def test_a_new_context_and_a_new_model_say_nothing_yet() -> None:
    meter = SurpriseMeter()
    assert math.isnan(meter.update("still", 1.0))
    for _ in range(50):
        meter.update("still", 1.0)
    assert not math.isnan(meter.update("still", 1.0))
    meter.reset_model("next")
    assert math.isnan(meter.update("still", 1.0))
    for _ in range(50):
        meter.update("still", 1.0)
    meter.reset_model("next")
    assert not math.isnan(meter.update("still", 1.0))


@pytest.mark.parametrize("error", [math.nan, math.inf, -1.0])
def test_errors_that_are_none_are_not_learned_from(error: float) -> None:
    meter = SurpriseMeter()
    for _ in range(50):
        meter.update("still", 1.0)
    before = meter.update("still", 1.0)
    assert math.isnan(meter.update("still", error))
    assert meter.update("still", 1.0) == pytest.approx(before)
