import math

import numpy as np
import pytest

from policies.alarms import AGAIN_STEPS, QUIET_STEPS, Alarms

HERE = np.array([0.0, 0.0, 0.0])
THERE = np.array([[1.5, 0.5]])
"""Near what is 1.5 m before a body at `HERE`."""


def alarmed() -> Alarms:
    alarms = Alarms()
    alarms.note(HERE, 4.5, 0)
    return alarms


def test_only_what_is_beyond_the_alarm_is_worth_a_look() -> None:
    alarms = Alarms()
    for surprise in (math.nan, 0.5, 2.9):
        alarms.note(HERE, surprise, 0)
    assert alarms.worth(THERE).tolist() == [0.0]
    alarms.note(HERE, 4.5, 1)
    assert alarms.worth(THERE) == pytest.approx([1.5])
    assert alarms.worth(THERE + 5).tolist() == [0.0]


def test_a_second_look_calms_and_the_first_does_not() -> None:
    alarms = alarmed()
    alarms.note(HERE, 0.0, 1)
    assert alarms.worth(THERE)[0] > 0
    away = np.array([0.0, 0.0, math.pi])
    alarms.note(away, 0.0, AGAIN_STEPS)
    assert alarms.worth(THERE)[0] > 0
    alarms.note(HERE, 0.0, AGAIN_STEPS)
    assert alarms.worth(THERE)[0] == 0


def test_what_surprises_at_every_look_asks_rarely() -> None:
    alarms = alarmed()
    asked = 0
    for step in range(1, 4 * QUIET_STEPS):
        alarms.note(HERE, 8.0, step)
        asked += alarms.worth(THERE)[0] > 0
    assert asked < 4 * (AGAIN_STEPS + 1) + 1


def test_a_lost_body_notes_nothing() -> None:
    alarms = Alarms()
    alarms.note(np.array([math.nan, 0.0, 0.0]), 8.0, 0)
    assert not alarms.items
