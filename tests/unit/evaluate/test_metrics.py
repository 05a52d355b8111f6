import math

import pytest

from agentd.evaluate.metrics import mean, path_ratio, soft_spl, spl


def test_spl_is_the_share_of_the_path_that_was_needed() -> None:
    assert spl(True, 4.0, 5.0) == pytest.approx(0.8)


def test_spl_of_a_failure_is_zero() -> None:
    assert spl(False, 4.0, 4.0) == 0.0


def test_spl_of_a_path_shorter_than_the_shortest_is_one() -> None:
    # The success region has a tolerance, so a path can come out a little shorter.
    assert spl(True, 4.0, 3.9) == 1.0


def test_a_goal_that_starts_solved_counts_fully_or_not_at_all() -> None:
    assert spl(True, 0.0, 0.0) == 1.0
    assert spl(True, 0.0, 3.0) == 1.0
    assert spl(False, 0.0, 0.0) == 0.0


def test_an_unreachable_goal_scores_zero() -> None:
    assert spl(True, math.inf, 2.0) == 0.0
    assert soft_spl(math.inf, math.inf, 2.0) == 0.0


def test_soft_spl_rewards_progress_without_success() -> None:
    assert soft_spl(1.0, 4.0, 6.0) == pytest.approx(0.75 * 4 / 6)


def test_soft_spl_never_punishes_moving_away_below_zero() -> None:
    assert soft_spl(9.0, 4.0, 6.0) == 0.0


def test_soft_spl_of_an_end_off_the_map_is_zero() -> None:
    assert soft_spl(math.inf, 4.0, 6.0) == 0.0


def test_soft_spl_of_a_goal_that_starts_solved_asks_whether_it_ends_there() -> None:
    assert soft_spl(0.0, 0.0, 0.0) == 1.0
    assert soft_spl(2.0, 0.0, 2.0) == 0.0


@pytest.mark.parametrize("bad_m", [-1.0, math.nan])
def test_lengths_that_cannot_be_are_refused(bad_m: float) -> None:
    with pytest.raises(ValueError, match="shortest_m must be >= 0"):
        spl(True, bad_m, 1.0)
    with pytest.raises(ValueError, match="path_m must be >= 0"):
        spl(True, 1.0, bad_m)
    with pytest.raises(ValueError, match="final_m must be >= 0"):
        soft_spl(bad_m, 1.0, 1.0)


def test_path_ratio_has_no_value_without_a_shortest_path() -> None:
    assert path_ratio(6.0, 4.0) == pytest.approx(1.5)
    assert math.isnan(path_ratio(6.0, 0.0))
    assert math.isnan(path_ratio(6.0, math.inf))


def test_the_mean_of_nothing_has_no_value() -> None:
    assert mean([1.0, 0.5, 0.0]) == 0.5
    assert math.isnan(mean([]))
