"""Settings of care that the guardian would not let be are refused, with both keys named."""

from typing import Any

import pytest

from agentd.care.fits import check_care
from agentd.exit_codes import UsageError
from configs.care import LadderConfig
from configs.guardian import EnergyConfig
from configs.schema import AgentConfig

SQUARE = [(0, 0), (2, 0), (2, 2), (0, 2)]


def check(has_ladder: bool = True, **settings: Any) -> None:
    check_care(AgentConfig.model_validate(settings), has_ladder=has_ladder)


def test_the_defaults_fit() -> None:
    check()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"care": {"dock": {"charged": 0.2}}}, r"care\.dock\.charged = 0\.2.*0\.25 or more"),
        ({"care": {"ladder": {"rounds": 4}}}, r"care\.ladder\.rounds = 4.*accepted: 1 to 3"),
        ({"care": {"ladder": {"window_s": 60}}}, r"care\.ladder\.window_s = 60.*600 or more"),
        ({"care": {"ladder": {"rung_s": 10}}}, r"care\.ladder\.rung_s = 10.*less than that"),
        (
            {
                "care": {"dock": {"xy_m": (1, 1)}},
                "guardian": {"fence": {"keep_out": [SQUARE]}},
            },
            r"care\.dock\.xy_m = \[1\.0, 1\.0\] is where guardian\.fence forbids",
        ),
        (
            {
                "care": {"dock": {"xy_m": (5, 5)}},
                "guardian": {"fence": {"keep_in": [SQUARE]}},
            },
            r"within keep_in and outside keep_out",
        ),
    ],
)
def test_contradictions_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        check(**settings)


def test_a_ladder_that_is_not_used_may_be_anything() -> None:
    check(has_ladder=False, care={"ladder": {"rounds": 9}})


def test_a_dock_within_the_fence_is_taken() -> None:
    check(care={"dock": {"xy_m": (1, 1)}}, guardian={"fence": {"keep_in": [SQUARE]}})


def test_shares_of_the_battery_come_in_order() -> None:
    with pytest.raises(ValueError, match="accepted: stop <= dock <= explore"):
        EnergyConfig(explore=0.3, dock=0.5, stop=0.4)


def test_a_rung_is_no_shorter_than_its_wait() -> None:
    with pytest.raises(ValueError, match=r"wait_s is 5, at most rung_s = 3"):
        LadderConfig(rung_s=3.0)
