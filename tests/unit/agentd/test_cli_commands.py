"""Commands against a fake life: what they print where, their JSON and their exit codes."""

import base64
import io
import json

import pytest
from fake_life import STATUS, FakeLife, born, living
from PIL import Image
from typer.testing import CliRunner

from agentd.cli import app
from agentd.client import Client
from agentd.commands.goals import follow_goal
from agentd.exit_codes import MEANINGS, ExitCode, NotFoundError


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    for name in ("AGENTD_HOME", "AGENTD_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("agentd.commands.goals._POLL_S", 0.0)


@pytest.fixture
def home(tmp_path):
    return born(tmp_path / "h")


@pytest.fixture
def life(home):
    fake = FakeLife()
    with living(home, fake.handlers()):
        yield fake


def invoke(home, *words):
    return CliRunner().invoke(app, [*words, "--home", str(home.path)])


# ---------------------------------------------------------------------- no life
@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["pause"],
        ["resume"],
        ["stop"],
        ["tui"],
        ["learn", "now"],
        ["goal", "add", "chair"],
        ["goal", "add", "--patrol"],
        ["goal", "cancel", "g1"],
    ],
)
def test_commands_that_need_a_running_life_say_so(home, words):
    result = invoke(home, *words)
    assert result.exit_code == ExitCode.NOT_RUNNING
    assert "no life is running in" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ["memory", "list"],
        ["memory", "search", "chair"],
        ["checkpoints", "list"],
        ["checkpoints", "show"],
        ["checkpoints", "verify"],
        ["checkpoints", "rollback"],
        ["report"],
    ],
)
def test_commands_that_read_a_home_say_when_there_is_none(tmp_path, words):
    result = CliRunner().invoke(app, [*words, "--home", str(tmp_path / "nothing")])
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "begin one with: agentd run --home" in result.stderr
    assert not (tmp_path / "nothing").exists()


def test_a_damaged_home_is_refused_by_run_and_start(home):
    home.life_file.write_text("{")
    for word in ("run", "start"):
        result = invoke(home, word)
        assert result.exit_code == ExitCode.DAMAGED
        assert "life.json is damaged" in result.stderr
    assert home.life_file.read_text() == "{"


def test_a_locked_home_is_refused_by_run_and_start(home, life):
    for word in ("run", "start"):
        result = invoke(home, word)
        assert result.exit_code == ExitCode.LOCKED
        assert "already running" in result.stderr


def test_a_wrong_setting_leaves_no_folder_behind(tmp_path):
    for word in ("run", "start"):
        home = str(tmp_path / "new")
        result = CliRunner().invoke(app, [word, "--home", home, "--pace", "warp"])
        assert result.exit_code == ExitCode.USAGE
        assert "one of real, max" in result.stderr
        assert not (tmp_path / "new").exists()


def test_another_seed_for_an_old_life_is_refused(home):
    result = invoke(home, "run", "--seed", "9")
    assert result.exit_code == ExitCode.USAGE
    assert "--seed: life.seed = 9: this life was born with 0" in result.stderr


def test_run_lives_with_the_lock_and_the_settings(home, monkeypatch):
    seen = {}

    def run_life(home, loaded, **options):
        seen.update(locked=home.is_locked_by_us, pace=loaded.config.life.pace, **options)
        return 0

    fake_module = type("module", (), {"run_life": staticmethod(run_life)})
    monkeypatch.setitem(__import__("sys").modules, "agentd.life", fake_module)
    result = invoke(home, "run", "--minutes", "2", "--steps", "5", "--pace", "max")
    assert result.exit_code == 0
    assert seen.pop("world")._closed, "whoever opened the body closes it"
    assert seen == {"locked": True, "pace": "max", "minutes": 2.0, "steps": 5, "view": False}


# ---------------------------------------------------------------------- status
def test_status(home, life):
    result = invoke(home, "status")
    assert result.exit_code == 0
    for part in ("1200", "explore: nearest frontier", "7 confirmed", "ckpt-00001", "g1 object"):
        assert part in result.stdout
    assert json.loads(invoke(home, "status", "--json").stdout) == STATUS


def test_pause_resume_and_learn_reach_the_life(home, life):
    for words in (["pause"], ["resume"], ["learn", "now"]):
        result = invoke(home, *words)
        assert result.exit_code == 0
        assert result.stdout == ""
        assert result.stderr
    assert [name for name, _ in life.calls] == ["pause", "resume", "learn.now"]


# ---------------------------------------------------------------------- goals
def test_goal_add_prints_the_id_on_stdout_and_talks_on_stderr(home, life):
    result = invoke(home, "goal", "add", "chair", "--deadline-steps", "9")
    assert result.stdout == "g1\n"
    assert "2 remembered" in result.stderr
    assert life.calls == [("goal.add", {"label": "chair", "deadline_steps": 9})]


def test_goal_add_takes_a_point_with_negative_coordinates(home, life):
    result = invoke(home, "goal", "add", "--xy", "-1.5", "2", "--json")
    assert json.loads(result.stdout)["goal_id"] == "g1"
    assert life.calls == [("goal.add", {"x": -1.5, "y": 2.0})]


@pytest.mark.parametrize(
    "words",
    [[], ["chair", "--xy", "1", "2"], ["--explore", "--patrol"], ["bed", "--image", "x.png"]],
)
def test_goal_add_wants_exactly_one_target(home, life, words):
    result = invoke(home, "goal", "add", *words)
    assert result.exit_code == ExitCode.USAGE
    assert "exactly one" in result.stderr


@pytest.mark.parametrize(
    ("words", "args"),
    [
        (["--explore", "--deadline", "5m"], {"explore": True, "deadline_s": 300.0}),
        (["--patrol", "--rounds", "2"], {"patrol": True, "rounds": 2}),
        (["bed", "--priority", "3", "--deadline", "90"], {"label": "bed", "priority": 3}),
    ],
)
def test_goal_add_sends_what_was_asked_for(home, life, words, args):
    assert invoke(home, "goal", "add", *words).exit_code == 0
    assert life.calls[-1][0] == "goal.add"
    assert args.items() <= life.calls[-1][1].items()


@pytest.mark.parametrize("text", ["soon", "-5m", "0", "5 weeks", ""])
def test_a_deadline_that_is_no_time_is_refused(home, life, text):
    result = invoke(home, "goal", "add", "bed", "--deadline", text)
    assert result.exit_code == ExitCode.USAGE
    assert "accepted are 90s, 5m, 2h" in result.stderr
    assert life.calls == []


def test_goal_add_sends_an_image_and_refuses_what_is_none(home, life, tmp_path):
    path = tmp_path / "door.png"
    Image.new("RGB", (40, 30), (9, 99, 9)).save(path)
    assert invoke(home, "goal", "add", "--image", str(path)).exit_code == 0
    sent = base64.b64decode(life.calls[-1][1]["image"])
    assert Image.open(io.BytesIO(sent)).size == (40, 30)
    path.write_bytes(b"no image")
    result = invoke(home, "goal", "add", "--image", str(path))
    assert result.exit_code == ExitCode.USAGE
    assert f"--image {path}: it is no image in a format that can be read" in result.stderr


def test_rounds_are_of_a_patrol(home, life):
    result = invoke(home, "goal", "add", "bed", "--rounds", "2")
    assert result.exit_code == ExitCode.USAGE
    assert "add --patrol" in result.stderr


STORY = [
    {
        "step": 3,
        "until_step": 9,
        "stamp_ns": 0,
        "xy_m": [0.0, 0.0],
        "mode": "goto",
        "reason": "chair #3 remembered 2.0 m away",
        "ended": "reached: seen twice",
        "chosen": {
            "kind": "slot",
            "name": "chair #3",
            "xy_m": [2.0, 1.0],
            "distance_m": 2.0,
            "chance": 0.9,
            "age_s": 61.0,
        },
        "others": [],
        "refused": [],
    }
]


def told(goal_id="g1", **more):
    row = {"goal_id": goal_id, "kind": "object", "label": "chair", "state": "reached"}
    return row | {"reason": "seen twice", "steps": 7, "path_m": 2.0, "story": STORY} | more


def test_goal_explain_of_a_running_life(home):
    fake = FakeLife()
    explain = {"goal.explain": lambda args: {"goal": told(), "now": {}, "tick_s": 0.2}}
    with living(home, fake.handlers() | explain):
        result = invoke(home, "goal", "explain", "g1")
        data = json.loads(invoke(home, "goal", "explain", "g1", "--json").stdout)
    assert (
        "Went to (2.0, 1.0) because chair #3 was seen there 61 s ago (90% likely" in result.stdout
    )
    assert "outcome  reached after 7 steps and 2.0 m: seen twice" in result.stdout
    assert data["headline"].startswith("Went to (2.0, 1.0)")
    assert data["goal"]["story"] == STORY


def test_goal_explain_of_a_stopped_life(home):
    home.state_folder.mkdir(exist_ok=True)
    path = home.state_folder / "life_state.json"
    assert invoke(home, "goal", "explain", "g1").exit_code == ExitCode.NOT_FOUND
    path.write_text(json.dumps({"goals": [told(), told("g2", state="queued", png="AAAA")]}))
    result = invoke(home, "goal", "explain", "g1")
    assert result.exit_code == 0
    assert "because chair #3 was seen there" in result.stdout
    assert "png" not in json.loads(invoke(home, "goal", "explain", "g2", "--json").stdout)["goal"]
    missing = invoke(home, "goal", "explain", "g7")
    assert missing.exit_code == ExitCode.NOT_FOUND
    assert "no goal 'g7'; the last goals are: g1, g2" in missing.stderr
    path.write_text("{")
    assert invoke(home, "goal", "explain", "g1").exit_code == ExitCode.DAMAGED


def test_goal_list_of_a_stopped_life(home):
    assert "no goals" in invoke(home, "goal", "list").stderr
    home.state_folder.mkdir(exist_ok=True)
    path = home.state_folder / "life_state.json"
    path.write_text(json.dumps({"goals": [told(), told("g2", state="queued", png="AAAA")]}))
    assert "chair" in invoke(home, "goal", "list").stdout
    goals = json.loads(invoke(home, "goal", "list", "--json").stdout)["goals"]
    assert [goal["goal_id"] for goal in goals] == ["g1", "g2"]
    assert not {"story", "png"} & set().union(*goals)
    path.write_text("{")
    assert invoke(home, "goal", "list").exit_code == ExitCode.DAMAGED


def test_goal_add_wait_tells_the_way_and_why(home, life):
    result = invoke(home, "goal", "add", "chair", "--wait")
    assert result.exit_code == 0
    assert result.stdout == "g1 reached after 40 steps: seen twice\n"
    assert "step 12: goes to slot 3, nearest" in result.stderr
    assert "slot 3\n" not in result.stderr.replace("goes to slot 3", "")


def test_goal_add_wait_json(home, life):
    data = json.loads(invoke(home, "goal", "add", "chair", "--wait", "--json").stdout)
    assert data["goal"]["state"] == "reached"
    assert [event["kind"] for event in data["why"]] == ["goal", "mode"]


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_goal_add_wait_ends_with_its_own_code_when_missed(home, ending):
    with living(home, FakeLife(ending).handlers()):
        result = invoke(home, "goal", "add", "chair", "--wait")
    assert result.exit_code == ExitCode.GOAL_MISSED
    assert ending in result.stdout


def test_following_a_goal_that_the_life_forgot(home, life):
    with Client(home.path) as client, pytest.raises(NotFoundError, match="no longer knows"):
        follow_goal(client, "g1", 0, pause_s=0.0)


def test_goal_list(home, life):
    assert "no goals" in invoke(home, "goal", "list").stderr
    invoke(home, "goal", "add", "chair")
    assert "chair" in invoke(home, "goal", "list").stdout
    assert json.loads(invoke(home, "goal", "list", "--json").stdout)["goals"][0]["goal_id"] == "g1"


def test_goal_cancel(home, life):
    assert invoke(home, "goal", "cancel", "g1").exit_code == 0
    result = invoke(home, "goal", "cancel", "g7")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "no goal 'g7'" in result.stderr


# ---------------------------------------------------------------------- settings
def test_config_show_prints_settings_of_the_home(home):
    result = invoke(home, "config", "show", "--set", "life.name=x", "--origin")
    assert 'name = "x"  # --set life.name' in result.stdout
    assert "probe_every = 2  # life.json" in result.stdout
    data = json.loads(invoke(home, "config", "show", "--origin", "--json").stdout)
    assert data["origins"]["life.pace"] == "default"
    assert data["values"]["memory.replay.probe_every"] == 2


def test_config_show_needs_no_life(tmp_path):
    result = CliRunner().invoke(app, ["config", "show", "--home", str(tmp_path / "x"), "--json"])
    assert set(json.loads(result.stdout)) == {"profile", "values"}


def test_a_mistake_in_the_homes_settings_is_told_with_its_file(home):
    home.config_file.write_text("[life]\npaec = 'max'\n")
    result = invoke(home, "config", "show")
    assert result.exit_code == ExitCode.USAGE
    assert str(home.config_file) in result.stderr
    assert "did you mean life.pace?" in result.stderr


# ---------------------------------------------------------------------- report
def test_report(home):
    result = invoke(home, "report")
    assert result.exit_code == ExitCode.NOT_FOUND
    path = home.log_folder / "report.json"
    path.write_text('{"format": 1}')
    assert json.loads(invoke(home, "report", "--json").stdout) == {"format": 1}
    path.write_text("{")
    result = invoke(home, "report")
    assert result.exit_code == ExitCode.DAMAGED
    assert "report.json is damaged" in result.stderr


# ---------------------------------------------------------------------- errors
def test_an_unexpected_error_is_a_sentence_and_a_traceback_on_demand(home, monkeypatch):
    def explode(self, cmd, **args):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(Client, "call", explode)
    result = invoke(home, "status")
    assert result.exit_code == ExitCode.UNEXPECTED
    assert "unexpected error: ZeroDivisionError: by zero" in result.stderr
    assert "Traceback" not in result.stderr
    monkeypatch.setenv("AGENTD_DEBUG", "1")
    assert isinstance(invoke(home, "status").exception, ZeroDivisionError)


def test_ctrl_c_has_its_exit_code(home, monkeypatch):
    def interrupt(self, cmd, **args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "call", interrupt)
    assert invoke(home, "status").exit_code == ExitCode.INTERRUPTED


def test_every_exit_code_has_a_meaning():
    assert set(MEANINGS) == set(ExitCode)
    assert sorted(int(code) for code in ExitCode) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130]
