"""`agentd checkpoints` and `agentd memory` on running and stopped lives, whole and damaged."""

import json

import pytest
from fake_life import STATUS, FakeLife, born, living
from typer.testing import CliRunner

from agentd.cli import app
from agentd.exit_codes import ExitCode
from configs.recipes import load_recipe
from learners.manifest import Comparison, Manifest, Verdict
from learners.registry import Registry

METRICS = {
    "k_step_error": {"1": 0.61, "4": 0.72, "8": 0.83},
    "action_sensitivity_4": 1.31,
    "r2_xy": 0.41,
    "r2_heading": 0.52,
    "r2_egomotion": 0.93,
    "collision_auc": 0.9,
    "effective_rank": 33.0,
    "latent_std_min": 0.4,
    "sigreg_ratio": 1.7,
    "distance_spearman_near": 0.66,
    "distance_spearman_euclid_near": 0.55,
    "losses": {"prediction": 0.123},
    "num_probe_windows": 128,
    "sampling": {
        "samples_per_insert": 5.25,
        "max_samples_per_insert": 512.0,
        "min_samples_per_insert": 8.0,
        "limited": False,
        "too_little": True,
    },
}


def publish(registry, *, accepted=True, promote=False):
    parent = registry.trunk()
    manifest = Manifest(
        id="",
        parent_id=parent,
        incumbent_id=parent,
        created_ns=200_000_000_000,
        recipe=load_recipe("agentd"),
        body={},
        config_sha256="c0ffee" * 10,
        replay_version=12,
        rows=(0, 999),
        num_updates=300,
        waited_share=0.0123,
        metrics=METRICS,
        verdict=Verdict(
            accepted=accepted,
            reasons=("better at k = 4",),
            comparisons=(
                Comparison(
                    metric="k4",
                    candidate=0.72,
                    incumbent=0.81,
                    relative_change=-0.11,
                    upper_95=-0.02,
                ),
            ),
        ),
    )
    published = registry.publish(manifest, {"weights.safetensors": b"numbers"})
    if promote:
        registry.promote(published.id)
    return published.id


@pytest.fixture
def home(tmp_path):
    return born(tmp_path / "h")


@pytest.fixture
def registry(home):
    return Registry(home.checkpoints_folder)


def invoke(home, *words):
    return CliRunner().invoke(app, [*words, "--home", str(home.path)])


def test_list(home, registry):
    first = publish(registry, promote=True)
    second = publish(registry, accepted=False)
    data = json.loads(invoke(home, "checkpoints", "list", "--json").stdout)
    assert data["promoted"] == first
    assert [row["id"] for row in data["checkpoints"]] == [first, second]
    assert [row["promoted"] for row in data["checkpoints"]] == [True, False]
    assert data["checkpoints"][1]["parent_id"] == first
    text = invoke(home, "checkpoints", "list").stdout
    assert first in text
    assert "0.61" in text


def test_a_checkpoint_whose_weights_were_pruned_keeps_its_numbers(home, registry):
    pruned, kept = publish(registry), publish(registry)
    rows = json.loads(invoke(home, "checkpoints", "list", "--json").stdout)["checkpoints"]
    assert [(row["id"], row["has_weights"]) for row in rows] == [(pruned, False), (kept, True)]
    assert "1.31" in invoke(home, "checkpoints", "show", pruned).stdout


def test_list_works_beside_a_running_life(home, registry):
    name = publish(registry, promote=True)
    with living(home, FakeLife().handlers()):
        assert name in invoke(home, "checkpoints", "list").stdout


def test_an_empty_list_is_no_error(home):
    result = invoke(home, "checkpoints", "list")
    assert result.exit_code == 0
    assert "no checkpoints yet" in result.stderr
    assert json.loads(invoke(home, "checkpoints", "list", "--json").stdout)["checkpoints"] == []


def test_show_prints_every_probe_and_the_verdict(home, registry):
    name = publish(registry, promote=True)
    rounds = [{"checkpoint": None}, {"checkpoint": name, "freshness_s": 100.0}]
    (home.state_folder / "life_state.json").write_text(json.dumps({"rounds": rounds}))
    text = invoke(home, "checkpoints", "show").stdout
    wanted = [name, "acts now", "0.61", "0.72", "0.83", "1.31", "0.41", "0.52", "0.93", "33"]
    wanted += ["1.7", "0.66", "0.55", "0.123", "accepted", "better at k = 4", "-0.11", "100 s"]
    wanted += ["5.2 (wanted 8 to 512; too little is learned from what is lived)", "1.2%"]
    for part in wanted:
        assert part in text, part
    data = json.loads(invoke(home, "checkpoints", "show", name, "--json").stdout)
    assert data["metrics"] == METRICS
    assert data["freshness_s"] == 100.0


def test_show_asks_a_running_life_how_fresh_the_checkpoint_was(home, registry):
    publish(registry, promote=True)
    with living(home, FakeLife().handlers()):
        data = json.loads(invoke(home, "checkpoints", "show", "--json").stdout)
    assert data["freshness_s"] == STATUS["learning"]["rounds"][0]["freshness_s"]


def test_show_does_not_need_the_history(home, registry):
    publish(registry, promote=True)
    (home.state_folder / "life_state.json").write_text("{")
    result = invoke(home, "checkpoints", "show")
    assert result.exit_code == 0
    assert "unknown from its oldest new observation" in result.stdout
    assert "life_state.json cannot be read" in result.stderr


def test_show_without_a_promoted_checkpoint(home, registry):
    publish(registry, accepted=False)
    result = invoke(home, "checkpoints", "show")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "no checkpoint acts yet" in result.stderr


def test_show_of_an_unknown_checkpoint_names_the_known_ones(home, registry):
    name = publish(registry)
    result = invoke(home, "checkpoints", "show", "ckpt-9")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert name in result.stderr


def test_a_damaged_manifest_is_listed_and_refused(home, registry):
    good, bad = publish(registry, promote=True), publish(registry)
    (home.checkpoints_folder / bad / "manifest.json").write_text("{")
    result = invoke(home, "checkpoints", "list", "--json")
    assert result.exit_code == ExitCode.DAMAGED
    rows = json.loads(result.stdout)["checkpoints"]
    assert rows[0]["id"] == good
    assert bad in rows[1]["damaged"]
    result = invoke(home, "checkpoints", "show", bad)
    assert result.exit_code == ExitCode.DAMAGED
    assert f"checkpoint {bad}" in result.stderr


def test_a_lost_manifest_is_told(home, registry):
    bad = publish(registry)
    (home.checkpoints_folder / bad / "manifest.json").unlink()
    result = invoke(home, "checkpoints", "list")
    assert result.exit_code == ExitCode.DAMAGED
    assert bad in result.stderr


def test_verify_names_the_damaged_file(home, registry):
    good, bad = publish(registry, promote=True), publish(registry)
    assert invoke(home, "checkpoints", "verify").exit_code == 0
    (home.checkpoints_folder / bad / "weights.safetensors").write_bytes(b"numbres")
    result = invoke(home, "checkpoints", "verify", "--json")
    assert result.exit_code == ExitCode.DAMAGED
    assert [row["ok"] for row in json.loads(result.stdout)["checkpoints"]] == [True, False]
    assert "weights.safetensors is damaged" in result.stderr
    assert invoke(home, "checkpoints", "verify", good).exit_code == 0


def test_verify_of_an_unknown_checkpoint(home, registry):
    publish(registry)
    assert invoke(home, "checkpoints", "verify", "nope").exit_code == ExitCode.NOT_FOUND


def test_a_newer_manifest_is_refused(home, registry):
    name = publish(registry)
    path = home.checkpoints_folder / name / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))
    result = invoke(home, "checkpoints", "show", name)
    assert result.exit_code == ExitCode.DAMAGED
    assert "format 99" in result.stderr


def test_rollback_of_a_stopped_life(home, registry):
    first = publish(registry, promote=True)
    publish(registry, promote=True)
    assert invoke(home, "checkpoints", "rollback").stdout == f"{first}\n"
    assert registry.promoted() == first
    result = invoke(home, "checkpoints", "rollback")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "nothing to roll back to" in result.stderr


def test_rollback_of_a_running_life_asks_the_life(home, registry):
    publish(registry, promote=True)
    second = publish(registry, promote=True)
    life = FakeLife()
    with living(home, life.handlers()):
        assert invoke(home, "checkpoints", "rollback").stdout == "ckpt-00001\n"
    assert life.calls == [("checkpoint.rollback", {})]
    assert registry.promoted() == second  # the file is the life's business


def test_rollback_waits_for_no_one_that_holds_the_lock_silently(home, registry):
    publish(registry, promote=True)
    with home.locked():
        assert invoke(home, "checkpoints", "rollback").exit_code == ExitCode.LOCKED
