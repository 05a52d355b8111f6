"""The scores of ObjectNav against cases worked out by hand."""

import math

import numpy as np
import pytest

from agentd.worlds.habitat.metrics import mean_score, path_length_m, score

APPROX = {"abs": 1e-6, "rel": 0}


@pytest.mark.parametrize(
    ("stopped", "start", "final", "path", "success", "spl", "soft"),
    [
        (True, 4.0, 0.05, 5.0, 1, 0.8, 0.79),  # (1 - 0.0125) * 0.8
        (True, 4.0, 0.05, 3.0, 1, 1.0, 0.9875),  # shorter than the shortest path: no bonus
        (True, 4.0, 0.1, 4.0, 0, 0.0, 0.975),  # the limit itself is no success
        (False, 4.0, 0.0, 8.0, 0, 0.0, 0.5),  # stood there and did not stop
        (True, 4.0, 6.0, 8.0, 0, 0.0, 0.0),  # farther than at the start
        (False, 4.0, 4.0, 0.0, 0, 0.0, 0.0),  # did nothing
        (True, 0.05, 0.05, 0.0, 1, 1.0, 0.0),  # born at the goal
        (True, 0.0, 0.0, 0.0, 1, 1.0, 1.0),  # on the view point: 0/0 is 1
        (True, 4.0, math.inf, 4.0, 0, 0.0, 0.0),  # ended where nothing is reached
    ],
)
def test_scores_by_hand(stopped, start, final, path, success, spl, soft):
    found = score(stopped=stopped, start_m=start, final_m=final, path_m=path)
    assert found.success == success
    assert found.spl == pytest.approx(spl, **APPROX)
    assert found.soft_spl == pytest.approx(soft, **APPROX)
    assert found.distance_to_goal_m == final


def test_the_success_distance_can_be_another():
    assert score(stopped=True, start_m=4, final_m=0.9, path_m=4, success_m=1.0).spl == 1.0
    assert score(stopped=True, start_m=4, final_m=0.9, path_m=4).spl == 0.0


def test_unreachable_episodes_have_no_score_and_are_counted():
    scores = [
        score(stopped=True, start_m=4, final_m=0.05, path_m=5),
        score(stopped=False, start_m=2, final_m=1, path_m=2),
        score(stopped=True, start_m=math.inf, final_m=math.inf, path_m=3),
    ]
    assert math.isnan(scores[2].spl)
    mean = mean_score(scores)
    assert (mean.num_episodes, mean.num_unreachable) == (2, 1)
    assert mean.success == pytest.approx(0.5, **APPROX)
    assert mean.spl == pytest.approx(0.4, **APPROX)
    assert mean.soft_spl == pytest.approx((0.79 + 0.5) / 2, **APPROX)
    assert mean.distance_to_goal_m == pytest.approx(0.525, **APPROX)


def test_the_mean_of_nothing_is_not_a_number():
    assert math.isnan(mean_score([]).spl)


def test_the_path_is_the_sum_of_straight_steps_with_their_heights():
    path = [np.array(p, dtype=float) for p in ((0, 0, 0), (3, 0, 4), (3, 2, 4), (3, 2, 4))]
    assert path_length_m(path) == pytest.approx(7.0, **APPROX)
    assert path_length_m(path[:1]) == 0.0


def test_a_negative_length_is_refused():
    with pytest.raises(ValueError, match="path_m"):
        score(stopped=True, start_m=4, final_m=0, path_m=-1)
