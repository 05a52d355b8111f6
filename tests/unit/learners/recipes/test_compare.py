"""`agentd learn recipes, compare, probe` on a recorded drive; Ray once, else in this process."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from click.testing import Result
from fake_life import born
from typer.testing import CliRunner

from agentd.cli import app
from agentd.compare.data import write_data_set
from agentd.exit_codes import ExitCode
from configs.recipes import recipe_names
from learners.recipes.run import run
from learners.recipes.run_spec import RunResult, RunSpec
from learners.recipes.stored import load_model
from learners.round import run_round
from learners.round_spec import RoundSpec
from memory.config import ReplayConfig
from memory.records import BodySpec
from memory.replay.ram import RamReplay
from memory.replay.store import LanceReplay

SMALL = ("--set", "learners.round.num_probe_windows=16")
TINY = """
name = "{name}"
title = "tiny {name}"
source = "s"
claim = "c"
latent_dim = 16
[encoder]
kind = "vit"
patch_px = 16
width = 32
layers = 1
[predictor]
kind = "causal"
width = 32
layers = 1
[losses]
{loss} = 1.0
sigreg = {sigreg}
[training]
batch_size = 4
horizon = 4
"""


class Here:
    """Does runs in this process; remembers which."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.asked: list[str] = []
        self.closed = False
        self._stop_after = stop_after

    def results(self, specs: Sequence[RunSpec]) -> Iterator[RunResult | None]:
        for number, spec in enumerate(specs):
            if number == self._stop_after:
                raise KeyboardInterrupt
            yield None
            self.asked.append(f"{spec.recipe.name} {spec.seed}")
            yield run(spec)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def recording(arena_replay: RamReplay, spec: BodySpec, tmp_path: Path) -> Path:
    folder = tmp_path / "recording"
    store = LanceReplay(folder, ReplayConfig(probe_every=4))
    store.append(arena_replay._rows[:400])
    store.close()
    write_data_set(folder, spec, probe_every=4)
    return folder


@pytest.fixture
def pages(tmp_path: Path) -> dict[str, str]:
    """Paths of two recipes that work and one that does not, by name."""
    texts = {
        "first": TINY.format(name="first", loss="prediction", sigreg=0.09),
        "second": TINY.format(name="second", loss="prediction", sigreg=1.0),
        "broken": TINY.format(name="broken", loss="predicton", sigreg=0.09),
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.toml").write_text(text)
    return {name: str(tmp_path / f"{name}.toml") for name in texts}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Here]:
    def use(stop_after: int | None = None) -> Here:
        runner = Here(stop_after)
        monkeypatch.setattr("agentd.commands.recipes.make_runs", lambda *_: runner)
        return runner

    return use


def _compare(recording: Path, recipes: str, *words: str) -> Result:
    out = str(recording.parent / "out")
    fixed = ["learn", "compare", "--data", str(recording), "--out", out, *SMALL]
    return CliRunner().invoke(app, [*fixed, "--recipes", recipes, "--updates", "3", *words])


def test_one_table_of_all_recipes_with_intervals_and_the_reason_of_a_failure(
    recording: Path, pages: dict[str, str], here: Callable[..., Here]
) -> None:
    runner = here()
    words = ("--seeds", "2", "--keep-models")
    result = _compare(recording, ",".join(pages.values()), *words)
    assert result.exit_code == ExitCode.OK, result.output
    assert runner.closed
    assert "RecipeError: recipe 'broken', losses: 'predicton' is unknown" in result.stdout
    assert "second - first" in result.stdout
    out = recording.parent / "out"
    table = json.loads((out / "table.json").read_text())
    rows = {row["recipe"]: row for row in table["rows"]}
    assert list(rows) == ["first", "second", "broken"]
    assert rows["first"]["seeds"] == [0, 1]
    assert rows["first"]["updates"]["mean"] == 3
    assert rows["first"]["parameters"] == rows["second"]["parameters"] > 0
    assert rows["broken"]["seeds"] == []
    assert set(rows["broken"]["failures"]) == {"0", "1"}
    k1 = table["differences"]["second"]["k1"]
    assert (k1["over"], k1["num_seeds"], k1["num_windows"]) == ("seeds and windows", 2, 16)
    assert k1["low"] <= k1["mean"] <= k1["high"]
    means = [rows[name]["metrics"]["k1"]["mean"] for name in ("first", "second")]
    assert k1["mean"] == pytest.approx(means[1] - means[0])
    assert table["differences"]["second"]["effective_rank"]["over"] == "seeds"
    assert "| second - first |" in (out / "table.md").read_text()
    assert {p.name for p in out.glob("*.png")} == {"metrics.png", "differences.png"}
    models = sorted((out / "models").iterdir())
    assert [load_model(m)[1].recipe.name for m in models] == ["first", "first", "second", "second"]


def test_what_was_done_is_not_done_again_and_a_failure_is_tried_again(
    recording: Path, pages: dict[str, str], here: Callable[..., Here], arena_replay: RamReplay
) -> None:
    recipes = ",".join([pages["first"], pages["broken"]])
    here(stop_after=2)
    result = _compare(recording, recipes, "--seeds", "2")
    assert result.exit_code == ExitCode.INTERRUPTED
    assert "the same command goes on" in result.stderr
    store = LanceReplay(recording, ReplayConfig(probe_every=4))
    store.append(arena_replay._rows[400:440])  # the life went on meanwhile
    store.close()
    second = here()
    result = _compare(recording, recipes, "--seeds", "2", "--json")
    assert result.exit_code == ExitCode.OK, result.output
    assert second.asked == ["broken 0", "first 1", "broken 1"]
    table = json.loads(result.stdout)
    assert table["steps"] == 400
    assert table["rows"][0]["seeds"] == [0, 1]
    third = here()
    again = _compare(recording, pages["first"], "--seeds", "2", "--json")
    assert third.asked == []
    assert json.loads(again.stdout)["rows"] == table["rows"][:1]


def _made_older(out: Path, recipe: str, lacks: str) -> Path:
    """Let a result be one of a program that did not know a metric, but knew another."""
    (file,) = (out / "runs").glob(f"{recipe}-s0-*.json")
    result = json.loads(file.read_text())
    del result["metrics"][lacks]
    result["metrics"]["forgotten_score"] = 0.5
    result["cpu_s"] = 123.0
    file.write_text(json.dumps(result))
    return file


def test_a_kept_model_is_measured_again_without_training_when_the_program_learned_a_metric(
    recording: Path,
    pages: dict[str, str],
    here: Callable[..., Here],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here()
    words = ("--seeds", "1", "--keep-models", "--json")
    both = f"{pages['first']},{pages['second']}"
    rows = json.loads(_compare(recording, both, *words).stdout)["rows"]
    out = recording.parent / "out"
    _made_older(out, "first", lacks="teleport_auc")
    monkeypatch.setattr("learners.recipes.run.go_on", lambda *_: pytest.fail("it trained"))
    runner = here()
    result = _compare(recording, both, *words[:2], "--json")  # the flag is not needed for it
    assert result.exit_code == ExitCode.OK, result.output
    assert runner.asked == ["first 0"]
    assert (
        "1 finished runs lack teleport_auc, which this program measures; 1 of them kept their"
        in result.stderr
    )
    found = json.loads(result.stdout)["rows"]
    assert found[0]["metrics"] == rows[0]["metrics"]
    assert found[0]["updates"]["mean"] == 3
    assert found[0]["cpu_s_per_update"]["mean"] == pytest.approx(123.0 / 3)
    assert found[1] == rows[1]
    third = here()
    assert "lack" not in _compare(recording, both, *words).stderr
    assert third.asked == []


def test_without_kept_models_what_an_older_program_did_not_measure_stays_empty(
    recording: Path, pages: dict[str, str], here: Callable[..., Here]
) -> None:
    here()
    both = f"{pages['first']},{pages['second']}"
    assert _compare(recording, both, "--seeds", "1").exit_code == ExitCode.OK
    out = recording.parent / "out"
    _made_older(out, "first", lacks="k1")
    runner = here()
    result = _compare(recording, both, "--seeds", "1", "--json")
    assert result.exit_code == ExitCode.OK, result.output
    assert runner.asked == []
    assert "1 kept none: their columns stay empty (--keep-models trains them" in result.stderr
    summary = json.loads(result.stdout)
    first, second = (row["metrics"] for row in summary["rows"])
    assert first["k1"] is None
    assert second["k1"]["mean"] > 0
    assert (first["forgotten_score"]["mean"], second["forgotten_score"]) == (0.5, None)
    assert "k1" not in summary["differences"]["second"]
    assert "| forgotten_score |" in (out / "table.md").read_text()


def test_a_model_that_cannot_be_measured_again_keeps_its_old_numbers(
    recording: Path, pages: dict[str, str], here: Callable[..., Here]
) -> None:
    here()
    words = ("--seeds", "1", "--keep-models", "--json")
    _compare(recording, pages["first"], *words)
    out = recording.parent / "out"
    file = _made_older(out, "first", lacks="k1")
    (weights,) = (out / "models").glob("first-*/weights.safetensors")
    weights.write_bytes(b"no longer")
    before = file.read_text()
    runner = here()
    result = _compare(recording, pages["first"], *words)
    assert result.exit_code == ExitCode.OK, result.output
    assert runner.asked == ["first 0"]
    assert "is damaged or missing" in result.stderr.replace("\n", " ")
    metrics = json.loads(result.stdout)["rows"][0]["metrics"]
    assert metrics["k8"]["mean"] > 0
    assert "k1" not in metrics
    assert file.read_text() == before


def test_a_comparison_of_nothing_but_failures_is_a_failure(
    recording: Path, pages: dict[str, str], here: Callable[..., Here]
) -> None:
    here()
    result = _compare(recording, pages["broken"], "--seeds", "1")
    assert result.exit_code == ExitCode.UNEXPECTED
    assert "did you mean 'prediction'" in result.stdout


@pytest.mark.parametrize(
    ("recipes", "words", "code", "told"),
    [
        ("lwm", (), ExitCode.USAGE, "there is no recipe 'lwm', did you mean 'lewm'?"),
        ("nothing.toml", (), ExitCode.USAGE, "nothing.toml"),
        (",", (), ExitCode.USAGE, "--recipes is empty"),
        ("lewm,lewm", (), ExitCode.USAGE, "names 'lewm' twice"),
        ("lewm", ("--cpu-s", "3"), ExitCode.USAGE, "--updates and --cpu-s exclude each other"),
        ("lewm", ("--against", "agentd"), ExitCode.USAGE, "--against agentd: it has to be one of"),
        ("lewm", ("--home", "x"), ExitCode.USAGE, "--home and --data exclude each other"),
        ("lewm", ("--data", "nowhere"), ExitCode.NOT_FOUND, "holds no recorded data set"),
        (
            "lewm",
            ("--set", "learners.round.probe_frames=41"),
            ExitCode.NOT_YET,
            "(400 steps): no training episode has 41 frames in a row: the longest has 40",
        ),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_sentence(
    recording: Path,
    here: Callable[..., Here],
    recipes: str,
    words: tuple[str, ...],
    code: ExitCode,
    told: str,
) -> None:
    runner = here()
    result = _compare(recording, recipes, *words)
    assert result.exit_code == code, result.output
    assert told in result.stderr
    assert runner.asked == []


def test_other_data_in_the_same_folder_are_refused(
    recording: Path, pages: dict[str, str], here: Callable[..., Here]
) -> None:
    here()
    assert _compare(recording, pages["first"], "--seeds", "1").exit_code == ExitCode.OK
    result = _compare(
        recording, pages["first"], "--seeds", "1", "--set", "learners.round.probe_frames=12"
    )
    assert result.exit_code == ExitCode.USAGE
    assert "holds a comparison with horizon = 10, not 12" in result.stderr


@pytest.mark.ray
@pytest.mark.slow
def test_runs_are_done_by_ray_and_nothing_stays_behind(
    recording: Path, pages: dict[str, str]
) -> None:
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    recipes = ",".join([pages["first"], pages["broken"]])
    result = _compare(recording, recipes, "--seeds", "1", "--workers", "1", "--json")
    assert result.exit_code == ExitCode.OK, result.output
    rows = json.loads(result.stdout)["rows"]
    assert rows[0]["seeds"] == [0]
    assert "RecipeError" in rows[1]["failures"]["0"]
    after = {p.pid for p in psutil.Process().children(recursive=True)}
    assert after <= before


def test_recipes_are_listed_and_shown() -> None:
    listed = CliRunner().invoke(app, ["learn", "recipes", "--json"])
    rows = json.loads(listed.stdout)["recipes"]
    assert [row["name"] for row in rows] == recipe_names()
    assert all(row["parameters"] > 0 and row["claim"] and row["source"] for row in rows)
    assert all(row["name"] in CliRunner().invoke(app, ["learn", "recipes"]).stdout for row in rows)
    shown = CliRunner().invoke(app, ["learn", "recipes", "lewm"]).stdout
    assert "# LeWorldModel as published" in shown
    assert "[encoder]" in shown
    unknown = CliRunner().invoke(app, ["learn", "recipes", "lewn"])
    assert unknown.exit_code == ExitCode.USAGE
    assert "did you mean 'lewm'?" in unknown.stderr


def test_a_checkpoint_is_probed_on_the_life_as_it_is_now(
    arena_spec: Callable[..., RoundSpec], arena_replay: RamReplay, tmp_path: Path
) -> None:
    home = born(tmp_path / "life")
    spec = arena_spec(2, checkpoints_folder=home.checkpoints_folder)
    made = run_round(spec, arena_replay).checkpoint_id
    assert made is not None

    words = ["learn", "probe", made, "--home", str(home.path), *SMALL]
    early = CliRunner().invoke(app, words)
    assert early.exit_code == ExitCode.NOT_YET
    assert "holds no steps yet" in early.stderr
    store = LanceReplay(home.memory_folder, ReplayConfig())
    store.append(arena_replay._rows)
    store.close()
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == ExitCode.OK, result.output
    found = json.loads(result.stdout)
    assert found["checkpoint"] == made
    assert found["steps"] == 800
    assert found["now"].keys() <= found["then"].keys()
    assert found["now"]["num_probe_windows"] == 16
    assert "in its round" in CliRunner().invoke(app, words).stdout
    unknown = CliRunner().invoke(app, ["learn", "probe", "nope", "--home", str(home.path)])
    assert unknown.exit_code == ExitCode.NOT_FOUND
