"""Files of episodes: what is read, and what is refused with file and key."""

import copy
import gzip
import json
import math

import numpy as np
import pytest
from habitat_dataset import IDS, content, split, view_points, write, write_dataset

from agentd.exit_codes import ExitCode
from agentd.worlds.habitat.episodes import (
    EpisodeFileError,
    read_dataset,
    scene_file,
    scene_stem,
)


def test_a_split_is_read_scene_by_scene(tmp_path):
    folder = write_dataset(tmp_path)
    for path in (folder, folder / "val.json.gz"):
        first, second = read_dataset(path)
        assert [first.file.name, second.file.name] == ["rooms.json.gz", "rooms2.json.gz"]
        assert dict(first.categories) == IDS
        assert [e.category for e in second.episodes] == ["chair", "bed", "sofa"]


def test_an_episode_and_its_goals(tmp_path):
    (found,) = read_dataset(write(tmp_path / "a.json.gz", content("rooms")))
    episode, other, _ = found.episodes
    assert (episode.index, other.index) == (0, 1)  # though both call themselves "0"
    assert episode.episode_id == other.episode_id == "0"
    np.testing.assert_allclose(episode.start_m, [5, 0.1, -3])
    np.testing.assert_allclose(episode.start_rotation, [0, math.sqrt(0.5), 0, math.sqrt(0.5)])
    assert (episode.geodesic_m, math.isnan(other.geodesic_m)) == (3.5, True)
    assert [goal.name for goal in found.goals_of(episode)] == ["chair_7"]
    np.testing.assert_allclose(found.view_points_m(episode), view_points("chair"))
    np.testing.assert_allclose(found.goals_of(episode)[0].position_m, [0.85, 0.4, -0.95])


def test_the_files_are_opened_one_after_the_other(tmp_path):
    folder = write_dataset(tmp_path)
    (folder / "content" / "rooms2.json.gz").write_bytes(b"{")
    scenes = read_dataset(folder)
    assert next(scenes).file.name == "rooms.json.gz"
    with pytest.raises(EpisodeFileError, match="rooms2"):
        next(scenes)


def test_mp3d_names_are_accepted_and_a_scene_may_leave_the_categories_to_its_split(tmp_path):
    folder = write_dataset(tmp_path, ())
    data = content("rooms")
    del data["category_to_task_category_id"]
    write(folder / "content" / "rooms.json.gz", data)
    (found,) = read_dataset(folder)
    assert dict(found.categories) == IDS


def test_old_files_repeat_the_goals_in_each_episode(tmp_path):
    data = content("rooms")
    goals = data.pop("goals_by_category")
    for row in data["episodes"]:
        row["goals"] = goals[f"rooms.basis.glb_{row['object_category']}"]
    (found,) = read_dataset(write(tmp_path / "a.json.gz", data))
    assert len(found.view_points_m(found.episodes[0])) == len(view_points("chair"))


def test_plain_json_is_read_too(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content("rooms")))
    assert len(next(read_dataset(path)).episodes) == 3


def _without(*path):
    def change(data):
        *above, key = path
        for part in above:
            data = data[part]
        del data[key]

    return change


def _with(value, *path):
    def change(data):
        *above, key = path
        for part in above:
            data = data[part]
        data[key] = value

    return change


GOALS = ("goals_by_category", "rooms.basis.glb_bed")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (_without("episodes"), "the key episodes is missing"),
        (_without("category_to_task_category_id"), "the key category_to_task_category_id"),
        (_without("category_to_scene_annotation_category_id"), "category_to_mp3d_category_id"),
        (_with({"chair": 0}, "category_to_scene_annotation_category_id"), "bed, plant, sofa"),
        (_with("3", "category_to_task_category_id", "chair"), "category_to_task_category_id.chair"),
        (_with([], "goals_by_category"), "goals_by_category is a list, expected an object"),
        (_without(*GOALS), r"episodes\[1\] looks for a bed"),
        (_with([], *GOALS), "missing or empty"),
        (_without(*GOALS, 0, "view_points"), r"glb_bed\[0\].view_points is missing"),
        (_with([], *GOALS, 0, "view_points"), "no goal in .*glb_bed has view_points"),
        (_with([1, 2], *GOALS, 0, "position"), r"glb_bed\[0\].position is \[1, 2\]"),
        (_with({}, *GOALS, 0, "view_points", 1), r"view_points\[1\].agent_state is missing"),
        (_without("episodes", 2, "object_category"), r"episodes\[2\].object_category is missing"),
        (_with("lamp", "episodes", 0, "object_category"), "'lamp'.*bed, chair, plant"),
        (_without("episodes", 1, "scene_id"), r"episodes\[1\].scene_id"),
        (_with([0, None, 0], "episodes", 1, "start_position"), "3 finite numbers"),
        (_with([0, math.nan, 0], "episodes", 1, "start_position"), "3 finite numbers"),
        (_with([0, 0, 0, 2], "episodes", 1, "start_rotation"), "unit quaternion"),
        (_with(3, "episodes", 1), r"episodes\[1\] is the value 3"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, key):
    data = copy.deepcopy(content("rooms"))
    change(data)
    path = write(tmp_path / "bad.json.gz", data)
    with pytest.raises(EpisodeFileError, match=key) as caught:
        list(read_dataset(path))
    assert str(path) in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


def test_files_that_are_no_files_are_named(tmp_path):
    whole = gzip.compress(json.dumps(content("rooms")).encode())
    for name, raw, why in (
        ("cut", whole[: len(whole) // 2], "cut off"),
        ("flipped", whole[:200] + bytes([whole[200] ^ 255]) + whole[201:], "cannot be read"),
        ("text", b"hello", "cannot be read as JSON"),
        ("binary", b"\x00\xff\xfe", "cannot be read as JSON"),
        ("list", b"[]", "holds a list"),
    ):
        path = tmp_path / name
        path.write_bytes(raw)
        with pytest.raises(EpisodeFileError, match=why) as caught:
            list(read_dataset(path))
        assert str(path) in str(caught.value)
    with pytest.raises(EpisodeFileError, match="there is no"):
        list(read_dataset(tmp_path / "absent"))


def test_a_split_without_its_scenes_is_explained(tmp_path):
    with pytest.raises(EpisodeFileError, match="content"):
        list(read_dataset(write(tmp_path / "val" / "val.json.gz", split())))
    with pytest.raises(EpisodeFileError, match=r"holds no .*\.json\.gz"):
        list(read_dataset(tmp_path))


def test_scenes_are_found_below_their_folder():
    assert scene_file("hm3d/val/a.glb", "/s") == "/s/hm3d/val/a.glb"
    assert scene_file("data/scene_datasets/hm3d/val/a.glb", "/s") == "/s/hm3d/val/a.glb"
    assert scene_file("./data/scene_datasets/x.json", "/s") == "/s/x.json"
    assert scene_stem("hm3d/val/00800-TEEsavR23oF/TEEsavR23oF.basis.glb") == "TEEsavR23oF"
