import math

import numpy as np
import pytest

from policies.surprise import ALARM, SurpriseMeter, contradiction_nats, place_of

HERE = place_of(0.5, 0.5, 0.0)


def test_noise_is_calibrated() -> None:
    """For log-normal errors about 5 % lie beyond two standard deviations."""
    rng = np.random.default_rng(0)
    meter = SurpriseMeter()
    us = np.array(
        [meter.update("forward", HERE, float(e)) for e in np.exp(rng.normal(-3, 0.7, 4000))]
    )
    us = us[np.isfinite(us)]
    assert np.abs(us.mean()) < 0.1
    assert us.std() == pytest.approx(1.0, abs=0.1)
    assert np.mean(np.abs(us) > 2) == pytest.approx(0.05, abs=0.025)


def test_a_jump_surprises_and_constant_noise_does_not() -> None:
    rng = np.random.default_rng(1)
    meter = SurpriseMeter()
    for e in np.exp(rng.normal(2, 0.2, 200)):
        meter.update("turn", HERE, float(e))
    assert abs(meter.update("turn", HERE, math.exp(2))) < 1
    assert meter.update("turn", HERE, math.exp(3.5)) > 4


def test_contexts_do_not_mix() -> None:
    rng = np.random.default_rng(2)
    meter = SurpriseMeter()
    for e in np.exp(rng.normal(0, 0.3, 100)):
        meter.update("turn", HERE, float(e))
        meter.update("forward", HERE, 10 * float(e))
    assert abs(meter.update("forward", HERE, 10.0)) < 2
    assert meter.update("turn", HERE, 10.0) > 3


def test_a_new_context_and_a_new_model_say_nothing_yet() -> None:
    meter = SurpriseMeter()
    assert math.isnan(meter.update("still", HERE, 1.0))
    for _ in range(50):
        meter.update("still", HERE, 1.0)
    assert not math.isnan(meter.update("still", HERE, 1.0))
    meter.reset_model("next")
    assert math.isnan(meter.update("still", HERE, 1.0))
    for _ in range(50):
        meter.update("still", HERE, 1.0)
    meter.reset_model("next")
    assert not math.isnan(meter.update("still", HERE, 1.0))


@pytest.mark.parametrize("error", [math.nan, math.inf, -1.0])
def test_errors_that_are_none_are_not_learned_from(error: float) -> None:
    meter = SurpriseMeter()
    for _ in range(50):
        meter.update("still", HERE, 1.0)
    before = meter.update("still", HERE, 1.0)
    assert math.isnan(meter.update("still", HERE, error))
    assert meter.update("still", HERE, 1.0) == pytest.approx(before)


def test_noise_at_one_place_stops_surprising_there_and_not_elsewhere() -> None:
    rng = np.random.default_rng(3)
    meter, screen = SurpriseMeter(), place_of(5.5, 0.5, 0.0)
    places = [place_of(float(x), 0.5, 0.0) for x in range(4)]
    for k in range(400):
        meter.update("turn", places[k % 4], math.exp(rng.normal(0, 0.3)))
    shown = []
    for k in range(1200):  # in passing: one look at the screen for nine elsewhere
        if k % 10 == 0:
            shown.append(meter.update("turn", screen, math.exp(rng.normal(1.2, 0.1))))
        else:
            meter.update("turn", places[k % 4], math.exp(rng.normal(0, 0.3)))
    assert np.mean(shown[:8]) > 2.0
    assert abs(np.mean(shown[40:])) < 0.7
    assert max(shown[60:]) < ALARM
    assert meter.update("turn", places[0], math.exp(1.2)) > 1.5


def test_tails_that_are_heavier_than_normal_do_not_alarm_all_the_time() -> None:
    rng = np.random.default_rng(4)
    meter = SurpriseMeter()
    places = [place_of(float(x), 0.5, 0.0) for x in range(30)]
    errors = np.exp(0.5 * rng.standard_t(2, 6000))
    us = np.array([meter.update("turn", places[k % 30], float(e)) for k, e in enumerate(errors)])
    assert 0.003 < np.mean(us[2000:] >= ALARM) < 0.02


def test_what_contradicts_the_memory_alarms_without_a_model_and_fades() -> None:
    meter = SurpriseMeter()
    assert math.isnan(meter.update("", HERE, math.nan, 0.0))
    assert math.isnan(meter.update("", HERE, math.nan, 1.5))  # one miss may be a mistake
    assert meter.update("", HERE, math.nan, 1.3) >= ALARM
    for _ in range(8):
        last = meter.update("", HERE, math.nan, 0.0)
    assert math.isnan(last)


def test_a_contradiction_is_not_lost_behind_a_good_prediction() -> None:
    rng = np.random.default_rng(5)
    meter = SurpriseMeter()
    for e in np.exp(rng.normal(0, 0.3, 100)):
        meter.update("turn", HERE, float(e))
    assert meter.update("turn", HERE, 1.0, 4.0) >= ALARM
    meter.reset_model("next")  # what the memory saw does not depend on the model
    assert meter.update("turn", HERE, 1.0, 0.0) >= ALARM


def test_an_object_in_what_was_air_contradicts_and_one_in_the_unknown_does_not() -> None:
    points = np.zeros((2, 8, 3))
    points[1, :, 0] = 5.0

    def is_free(xy_m: np.ndarray) -> np.ndarray:
        return xy_m[:, 0] > 4.0

    assert contradiction_nats(0.0, points[:1], is_free) == 0.0
    assert contradiction_nats(0.0, points, is_free) == pytest.approx(4.0)
    assert contradiction_nats(1.5, points[:0], is_free) == pytest.approx(1.5)


def test_places_are_square_metres_and_sectors_of_heading() -> None:
    assert place_of(0.9, -0.1, 0.1) == (0, -1, 0)
    assert place_of(0.1, -0.9, -0.1) == (0, -1, 0)
    assert place_of(0.1, -0.9, math.pi) == place_of(0.1, -0.9, -math.pi) == (0, -1, 4)
