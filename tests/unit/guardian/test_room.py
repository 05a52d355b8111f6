"""A policy that keeps to the guardian's law never needs the guardian."""

import numpy as np
import pytest
from guardian_robot import RADIUS_M, Course, wall_m

from agentd.guardian.room import speed_law
from configs.guardian import GuardianConfig

TICK_S = 0.2


@pytest.mark.parametrize("values", [{}, {"zone": {"react_s": 0.5, "margin_m": 0.2}}], ids=str)
def test_a_policy_that_keeps_to_the_law_meets_no_bound(values: dict[str, object]) -> None:
    config = GuardianConfig.model_validate(values)
    law = speed_law(config, TICK_S)
    wall = 3.0
    held: list[tuple[float, float]] = []

    def policy(t: float) -> tuple[float, float]:
        if not held or t - held[-1][0] >= TICK_S - 1e-9:
            held.append((t, law(wall - course.robot.x_m - RADIUS_M)))
        return held[-1][1], 0.0

    course = Course(config, sensors=("odom", "scan"), policy=policy, obstacles_m=wall_m(wall))
    course.run(30)
    assert wall - course.robot.x_m - RADIUS_M < 0.45
    meant = {str(c) for _, v in course.verdicts for c in v.causes}
    assert not meant & {"obstacle", "slow_zone", "bump"}


def test_the_law_is_a_speed_that_grows_with_the_way() -> None:
    law = speed_law(GuardianConfig(), TICK_S)
    speeds = [law(gap) for gap in np.linspace(0.0, 2.0, 81)]
    assert speeds[0] == 0.0
    assert speeds[-1] == pytest.approx(0.3)
    assert (np.diff(speeds) >= 0).all()
    assert law(float("inf")) == pytest.approx(0.3)
