"""What a life answers when it is asked for goals, impossible ones included."""

import base64
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from box_drive import CONFIG, Drive
from fakes_policies import Box, FixedSlots, fake_slot, room

from agentd.build import build_words
from agentd.control import ControlError
from agentd.events import EventLog
from agentd.goal_handlers import MAX_IMAGES, goal_handlers
from agentd.goal_images import png_of
from agentd.goals import GoalBook
from agentd.handlers import handlers
from memory.records import ExploreGoal, ImageGoal, ObjectGoal, PatrolGoal

IMAGE = base64.b64encode(png_of(np.full((90, 160, 3), 77, np.uint8))).decode()


class Slots(FixedSlots):
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(slot.label for slot in self.all))


@pytest.fixture(scope="module")
def surveyed() -> Drive:
    drive = Drive([*room(4.5, 3.5), Box(2.0, 1.4, 3.0, 2.4)], [1.0, 1.0, 0.0])
    drive.run(ExploreGoal(goal_id="e"), 120)
    return drive


def life_of(drive: Drive, vocabulary: tuple[str, ...] | None = None) -> Any:
    detector = SimpleNamespace(vocabulary=vocabulary, detect=lambda o: [])
    return SimpleNamespace(
        goals=GoalBook(1500),
        slots=Slots([fake_slot(1, "couch", (1, 1, 0)), fake_slot(2, "table", (2, 2, 0))]),
        words=build_words(detector),
        world=drive.world,
        navigator=drive.navigator,
        config=SimpleNamespace(
            life=SimpleNamespace(max_goal_steps=1500), policies=SimpleNamespace(map=CONFIG.map)
        ),
        loop=SimpleNamespace(
            model=None,
            state=SimpleNamespace(
                step=9, pose=tuple(drive.world.pose), observation=drive.observation
            ),
        ),
        events=EventLog(None),
    )


@pytest.fixture
def life(surveyed: Drive) -> Any:
    return life_of(surveyed)


def add(life: Any, **args: Any) -> dict[str, Any]:
    return goal_handlers(life)["goal.add"](args)


def refused(life: Any, **args: Any) -> str:
    with pytest.raises(ControlError) as error:
        add(life, **args)
    assert error.value.code == "invalid"
    assert life.goals.as_dicts() == []
    return error.value.message


def test_words_of_people_become_labels(life: Any) -> None:
    assert add(life, label="Sofas")["note"] == "1 remembered"
    assert life.goals.find("g1").goal == ObjectGoal(goal_id="g1", label="couch")
    assert add(life, label="tabel")["note"] == "tabel taken for table: 1 remembered"
    assert life.goals.find("g2").goal.label == "table"


def test_what_was_never_seen_is_explored_for_with_a_limit(life: Any) -> None:
    note = add(life, label="bicycle", deadline_s=300.0)["note"]
    assert note == "never seen anything like bicycle: will explore, at most 300 s"
    assert "did you mean table?" in add(life, label="cable", deadline_steps=40)["note"]
    assert life.goals.find("g2").goal == ObjectGoal(goal_id="g2", label="cable", deadline_steps=40)


def test_what_the_detector_has_no_word_for_is_refused(surveyed: Drive) -> None:
    life = life_of(surveyed, ("couch", "table", "lamp"))
    assert "no word for 'cable'" in refused(life, label="cable")
    assert "did you mean table?" in refused(life, label="cable")
    assert add(life, label="lamps")["note"].startswith("no lamp remembered yet")


def test_a_point_in_an_obstacle_or_off_the_map_is_refused(life: Any) -> None:
    assert "the nearest free point is (" in refused(life, x=2.4, y=1.8)
    assert "outside the map" in refused(life, x=500.0, y=0.0)
    assert add(life, x=1.0, y=2.8)["note"] == "a point of the map"


def test_images_rounds_and_terms(life: Any) -> None:
    spec = life.world.spec
    assert "no model yet" in add(life, image=IMAGE, priority=7)["note"]
    image = life.goals.find("g1")
    assert isinstance(image.goal, ImageGoal)
    assert image.goal.rgb.shape == (spec.height_px, spec.width_px, 3)
    assert image.priority == 7
    add(life, patrol=True, rounds=3)
    add(life, patrol=True, rounds=0)
    add(life, explore=True)
    kinds = [life.goals.find(f"g{i}").goal for i in (2, 3, 4)]
    assert kinds == [
        PatrolGoal(goal_id="g2", rounds=3),
        PatrolGoal(goal_id="g3", rounds=None),
        ExploreGoal(goal_id="g4"),
    ]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "given: none"),
        ({"label": "bed", "explore": True}, "given: label, explore"),
        ({"label": "  "}, "must not be empty"),
        ({"explore": False}, "given: none"),
        ({"image": "%%%"}, "no base64"),
        ({"image": "\u00e4\u00e4\u00e4\u00e4"}, "no base64"),
        ({"image": base64.b64encode(b"x").decode()}, "the image cannot be used: it is no image"),
        ({"image": 5}, "must be a text in base64"),
        ({"x": float("nan"), "y": 1.0}, "finite"),
        ({"x": 1.0}, "y must be"),
        ({"x": 10**400, "y": 1.0}, "x must be a finite number"),
        ({"x": "1", "y": 1.0}, "x must be a finite number"),
        ({"explore": True, "deadline_s": -1.0}, "deadline_s must be above 0"),
        ({"explore": True, "deadline_steps": 0}, "deadline_steps must be >= 1, got 0"),
        ({"explore": True, "priority": 1000}, "priority must be <= 100"),
        ({"explore": True, "priority": "high"}, "priority must be an integer"),
        ({"patrol": True, "rounds": -1}, "rounds must be >= 0"),
    ],
)
def test_a_request_that_cannot_be_is_refused_with_its_reason(
    life: Any, args: dict[str, Any], message: str
) -> None:
    assert message in refused(life, **args)


def test_image_goals_that_wait_are_bounded(life: Any) -> None:
    for _ in range(MAX_IMAGES):
        add(life, image=IMAGE)
    with pytest.raises(ControlError, match="wait already"):
        add(life, image=IMAGE)


def test_a_goal_is_explained_with_where_the_body_is_now(life: Any) -> None:
    add(life, label="couch")
    answer = goal_handlers(life)["goal.explain"]({"goal_id": "g1"})
    assert answer["goal"]["story"] == []
    assert answer["goal"]["note"] == "1 remembered"
    assert answer["now"]["step"] == 9
    with pytest.raises(ControlError, match="the last goals are: g1"):
        goal_handlers(life)["goal.explain"]({"goal_id": "g9"})


def test_the_goal_commands_are_among_the_commands_of_a_life(life: Any) -> None:
    assert set(goal_handlers(life)) < set(handlers(life))


def test_cancelling_what_waits_leaves_the_goal_in_hand_alone(life: Any) -> None:
    posted: list[Any] = []
    life.loop.post = posted.append
    add(life, label="couch")
    add(life, label="table")
    life.goals.active()
    cancel = goal_handlers(life)["goal.cancel"]
    assert cancel({"goal_id": "g2"})["goal"]["state"] == "cancelled"
    assert posted == []
    cancel({"goal_id": "g1"})
    assert len(posted) == 1
    cancel({"goal_id": "g1"})
    assert len(posted) == 1
