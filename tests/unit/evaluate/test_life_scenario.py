from pathlib import Path

import pytest

from agentd.evaluate.life.arms import LIFE_ARMS, life_arms_named
from agentd.evaluate.life.lives import houses_of
from agentd.evaluate.life.scenario import load_scenario, scenario_names
from agentd.exit_codes import UsageError
from policies.config import PoliciesConfig


@pytest.mark.parametrize("name", scenario_names())
def test_what_is_shipped_can_be_read(name: str) -> None:
    assert load_scenario(name).num_goals > 0


def test_a_scenario_that_is_not_there_is_refused_with_what_is() -> None:
    with pytest.raises(UsageError, match="abca"):
        load_scenario("nothing")
    with pytest.raises(UsageError, match="cannot be read"):
        load_scenario("nowhere.toml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("about = ", "not valid TOML"),
        ("about = 'x'\nphases = []", "phases"),
        ("about = 'x'\n[[phases]]\nname='A'\nhome=0\nlist='a'\ngoals=0", "goals"),
        (
            "about = 'x'\n[[phases]]\nname='A'\nhome=0\nlist='a'\ngoals=1\n"
            "[[phases]]\nname='B'\nhome=1\nlist='a'\ngoals=1",
            "share the list 'a'",
        ),
        (
            "about = 'x'\n[[phases]]\nname='A'\nhome=0\nlist='a'\ngoals=1\n"
            "events=[{at_step=3, action='set_daylight'}]",
            "must be 0",
        ),
        (
            "about = 'x'\n[[phases]]\nname='A'\nhome=0\nlist='a'\ngoals=1\n"
            "[[phases]]\nname='B'\nhome=0\nlist='a'\ngoals=1\nshare_changed=0.3",
            "drawn before its home changed",
        ),
        (
            "about = 'x'\n[[phases]]\nname='A'\nhome=0\nlist='a'\ngoals=1\n"
            "events=[{at_step=0, action='add_object'}]",
            "add_object cannot be",
        ),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=told) as error:
        load_scenario(str(path))
    assert "mine.toml" in str(error.value)


def test_every_life_begins_in_a_house_of_its_own() -> None:
    lives = [houses_of(n, 3, 5) for n in range(5)]
    assert len({homes[0] for homes in lives}) == 5
    assert all(len(set(homes)) == 3 for homes in lives)


def test_arms_differ_in_what_they_say() -> None:
    base = PoliciesConfig()
    floor, memory, learning = (
        LIFE_ARMS[name].policies(base) for name in ("floor", "memory", "learning")
    )
    assert floor.explore.strategy == "nearest_frontier"
    assert not floor.goals.use_memory
    assert floor.perception.detector == "instances"
    assert memory.goals.use_memory
    assert not memory.drive.adapt
    assert not memory.planner.enabled
    assert learning.drive.adapt
    assert learning.planner.enabled
    with pytest.raises(UsageError, match="floor"):
        life_arms_named(("flor",))
