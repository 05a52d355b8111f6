"""Settings: five sources, one tree, the origin of every value, mistakes told in one sentence."""

import tomllib

import pytest

from configs.errors import ConfigError
from configs.keys import leaf_fields
from configs.load import load_config, profile_names
from configs.render import to_toml


def refusal(**sources):
    with pytest.raises(ConfigError) as caught:
        load_config(**{"env": {}, **sources})
    return str(caught.value)


def test_every_value_has_an_origin():
    loaded = load_config(env={})
    assert set(loaded.origins) == set(leaf_fields()) == set(loaded.values())
    assert set(loaded.origins.values()) == {"default"}


def test_later_sources_win_and_are_named(tmp_path):
    profile = tmp_path / "mine.toml"
    profile.write_text("[life]\nname = 'a'\nepisode_steps = 20\nsnapshot_s = 1\nseed = 1\n")
    home = tmp_path / "config.toml"
    home.write_text("[life]\nname = 'b'\nepisode_steps = 21\nsnapshot_s = 2\n")
    loaded = load_config(
        str(profile),
        home,
        {"AGENTD_LIFE__NAME": "c", "AGENTD_LIFE__EPISODE_STEPS": "22", "AGENTD_HOME": "/x"},
        ["life.name=d"],
    )
    life = loaded.config.life
    assert (life.name, life.episode_steps, life.snapshot_s, life.seed) == ("d", 22, 2.0, 1)
    assert loaded.origins["life.name"] == "--set life.name"
    assert loaded.origins["life.episode_steps"] == "environment variable AGENTD_LIFE__EPISODE_STEPS"
    assert loaded.origins["life.snapshot_s"] == str(home)
    assert loaded.origins["life.seed"] == str(profile)
    assert loaded.origins["life.pace"] == "default"


@pytest.mark.parametrize("name", profile_names())
def test_shipped_profiles_are_valid(name):
    assert load_config(name, env={}).profile == name


def test_the_profiles_are_those_that_the_help_names():
    assert profile_names() == ["default", "first_life", "robot-sim", "test"]


def test_an_unknown_key_is_refused_with_file_key_and_guess(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[learners.round]\nmaxupdates = 4\n")
    message = refusal(home_toml=path)
    assert message.startswith(f"{path}: unknown key learners.round.maxupdates")
    assert "did you mean learners.round.max_updates?" in message
    assert "min_new_rows" in message


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("lief.pace=max", ["unknown key lief.pace", "did you mean life.pace?"]),
        ("max_updates=4", ["did you mean learners.round.max_updates?", "life, world, memory"]),
        ("life=3", ["life is a section, not a value"]),
        ("life.pace.fast=1", ["life.pace is a value, not a section"]),
        ("life.pace", ["expected section.key=value"]),
        ("life.pace=warp", ["life.pace = 'warp'", "one of real, max"]),
        ("learners.round.max_updates=0", ["= 0", "a whole number >= 1"]),
        ("learners.round.max_updates=many", ["'many'", "a whole number >= 1"]),
        ("world.house.num_rooms=17", ["= 17", ">= 5 and <= 16"]),
        ("world.house.hfov_deg=150", ["= 150", "a number > 10 and < 150"]),
        ("learners.gate.max_regression=nan", ["= nan", "only finite numbers"]),
        ("policies.map.clip=[-inf, 1]", ["policies.map.clip", "only finite numbers"]),
        ("policies.map.clip=[1]", ["policies.map.clip", "a list of 2 values"]),
        ("learners.recipe=lwm", ["there is no recipe 'lwm', did you mean 'lewm'?", "agentd, ami"]),
        ("learners.recipe=no.toml", ["there is no recipe file /"]),
        ("life.name= ", ["life.name must not be empty"]),
        ("world.house.scenario.events=[{at_step=1,action='jump'}]", ["0.action", "move_object"]),
        ("world.plugin.settings.port=3", ["is a table: write world.plugin.settings={port = ...}"]),
        ("world.plugin.settings=3", ["= 3", "a table, as in {port = 7, name = 'left'}"]),
        ("world.plugin.factory=mine", ["'mine'", "a text"]),
        ("world.gymnasium.actions=v", ["'v'", "a list"]),
        ("world.house.scenario.events=[{at_stp=1,action='set_door'}]", ["0.at_st", "at_step"]),
    ],
)
def test_a_bad_override_names_the_value_and_what_is_accepted(override, parts):
    message = refusal(overrides=[override])
    for part in [f"--set {override.split('=')[0]}", *parts]:
        assert part in message


def test_two_mistakes_are_told_at_once():
    message = refusal(overrides=["life.pace=warp", "learners.round.max_updates=0"])
    assert len(message.splitlines()) == 2


def test_text_that_looks_like_a_number_stays_text():
    loaded = load_config(env={"AGENTD_LIFE__NAME": "7", "AGENTD_LEARNERS__RAY__ADDRESS": "auto"})
    assert loaded.config.life.name == "7"
    assert loaded.config.learners.ray.address == "auto"


def test_none_unsets_an_optional_value():
    loaded = load_config(env={}, overrides=["learners.ray.address=none", "world.house.num_rooms="])
    assert loaded.config.learners.ray.address is None
    assert loaded.config.world.house.num_rooms is None


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("AGENTD_LIFE_PACE", "two underscores"),
        ("AGENTD_LIFE__PAEC", "did you mean life.pace?"),
        ("AGENTD_LIVE__PACE", "unknown key live.pace"),
    ],
)
def test_a_mistyped_environment_variable_is_refused(name, part):
    message = refusal(env={name: "max"})
    assert name in message
    assert part in message


def test_other_environment_variables_are_left_alone():
    env = {"AGENTD_HOME": "/x", "AGENTD_DEBUG": "1", "PATH": "/bin"}
    assert set(load_config(env=env).origins.values()) == {"default"}


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"[life\n", "not valid TOML"), (b"\xff\xfe", "cannot read"), (b"life = 3", "is a section")],
)
def test_a_damaged_file_is_named(tmp_path, content, part):
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    message = refusal(home_toml=path)
    assert str(path) in message
    assert part in message


def test_an_unknown_profile_and_a_missing_file_are_refused(tmp_path):
    assert "did you mean first_life?" in refusal(profile="fist_life")
    assert "nothing.toml" in refusal(profile=str(tmp_path / "nothing.toml"))


def test_seed_sets_house_and_draws():
    loaded = load_config(env={}, seed=5)
    assert (loaded.config.life.seed, loaded.config.world.house.seed) == (5, 5)
    assert loaded.origins["world.house.seed"] == "--seed"


def test_what_a_life_was_born_with_stands_above_the_profile(tmp_path):
    profile = tmp_path / "p.toml"
    profile.write_text("[life]\nseed = 9\n")
    loaded = load_config(str(profile), env={}, born={"life.seed": 3})
    assert loaded.config.life.seed == 3
    assert loaded.origins["life.seed"] == "life.json"


def test_what_a_life_was_born_with_cannot_be_changed():
    message = refusal(seed=4, born={"life.seed": 3, "world.house.seed": 3})
    assert message.startswith("--seed: life.seed = 4")
    assert "born with 3" in message
    assert load_config(env={}, seed=3, born={"life.seed": 3}).config.life.seed == 3


def test_printed_settings_can_be_read_back(tmp_path):
    overrides = [
        "world.house.scenario.events=[{at_step=3, action='set_door', value=0.5}]",
        'life.name=the "old" life',
        "world.plugin.settings={port = 7, 'two words' = ['a', 0.5], on = {left = true}}",
        "world.gymnasium.actions=['0.5,0', '']",
    ]
    loaded = load_config("test", env={}, overrides=overrides)
    path = tmp_path / "config.toml"
    path.write_text(to_toml(loaded, with_origin=True))
    assert tomllib.loads(path.read_text())["life"]["name"] == 'the "old" life'
    again = load_config(None, path, env={})
    assert again.config == loaded.config
    assert again.sha256() == loaded.sha256()


def test_the_fingerprint_follows_the_values():
    assert load_config(env={}).sha256() == load_config("default", env={}, seed=0).sha256()
    assert load_config(env={}).sha256() != load_config(env={}, seed=1).sha256()


def test_tables_of_free_keys_come_from_any_source_as_a_whole(tmp_path):
    home = tmp_path / "config.toml"
    home.write_text("[world.plugin.settings]\nport = 7\nnames = ['a', 'b']\n")
    loaded = load_config(None, home, {})
    assert loaded.config.world.plugin.settings == {"port": 7, "names": ["a", "b"]}
    assert loaded.origins["world.plugin.settings"] == str(home)
    env = {"AGENTD_WORLD__PLUGIN__SETTINGS": "{port = 8}"}
    loaded = load_config(None, home, env)
    assert loaded.config.world.plugin.settings == {"port": 8}
    assert loaded.origins["world.plugin.settings"].endswith("AGENTD_WORLD__PLUGIN__SETTINGS")


def test_a_list_of_texts_is_read_as_a_list():
    loaded = load_config(env={}, overrides=["world.gymnasium.actions=['0,1', '0.5,0']"])
    assert loaded.config.world.gymnasium.actions == ("0,1", "0.5,0")


def test_what_a_life_is_born_with_follows_its_body():
    born = {"world.kind": "gymnasium", "world.gymnasium.id": "A-v0", "world.gymnasium.actions": []}
    assert load_config(env={}, born=born).config.world.body.place == "A-v0"
    message = refusal(overrides=["world.gymnasium.id=B-v0"], born=born)
    assert "world.gymnasium.id = 'B-v0': this life was born with 'A-v0'" in message
