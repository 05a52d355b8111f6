"""The daemon's loop in a house whose furniture changes behind its back."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from house_changes import HouseLife

from policies.surprise import ALARM


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> HouseLife:
    """A life that explored a part of a house, and what it felt meanwhile."""
    life = HouseLife(7, tmp_path_factory.mktemp("objects"))
    life.felt = life.live(600)  # type: ignore[attr-defined]
    life.keep()
    return life


def _is_alarmed(surprises: np.ndarray) -> bool:
    return bool((np.nan_to_num(surprises, nan=0.0) >= ALARM).any())


@pytest.mark.parametrize("kind", ["moved", "added", "removed"])
def test_changed_furniture_alarms_and_the_same_look_at_what_is_unchanged_does_not(
    life: HouseLife, kind: str
) -> None:
    found, drawn = [], (life.draw_change(kind) for _ in range(40))
    for change in islice((c for c in drawn if c is not None), 4):
        looks = []
        for is_changed in (True, False):
            life.back()
            if is_changed:
                life.apply(change)
            looks.append(_is_alarmed(life.look(change.pose)))
        found.append(looks)
    alarmed, mistaken = np.array(found).mean(axis=0)
    assert len(found) == 4
    assert alarmed >= 3 / 4
    assert mistaken == 0


def test_exploring_a_house_that_does_not_change_alarms_at_most_one_step_in_a_hundred(
    life: HouseLife,
) -> None:
    felt = life.felt  # type: ignore[attr-defined]
    assert np.mean(np.nan_to_num(felt, nan=0.0) >= ALARM) <= 0.01


def test_a_change_stops_alarming_once_it_is_remembered(life: HouseLife, tmp_path: Path) -> None:
    drawn = (life.draw_change("added") for _ in range(30))
    change = next(c for c in drawn if c is not None)
    life.back()
    life.apply(change)
    assert _is_alarmed(life.look(change.pose))
    life.look(change.pose, 30)
    assert not _is_alarmed(life.look(change.pose))
    life.back()
