"""What every checkpoint registry must do; a new one is enrolled in one line."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.recipes import load_recipe
from learners.errors import (
    DamagedCheckpointError,
    NewerCheckpointError,
    NothingToRollBackError,
    UnknownCheckpointError,
)
from learners.manifest import FORMAT_VERSION, MANIFEST_FILE, Manifest, Verdict
from learners.registry import KEEP_PROMOTED, Registry

FACTORIES: list[Callable[[Path], Registry]] = [Registry]

FILES = {"weights.safetensors": b"weights", "optimizer.safetensors": b"state"}


@pytest.fixture(params=FACTORIES)
def factory(request: pytest.FixtureRequest) -> Callable[[Path], Registry]:
    return request.param


@pytest.fixture
def registry(factory: Callable[[Path], Registry], tmp_path: Path) -> Registry:
    return factory(tmp_path / "checkpoints")


def _manifest(*, sane: bool = True, parent: str | None = None) -> Manifest:
    return Manifest(
        id="",
        parent_id=parent,
        created_ns=1,
        recipe=load_recipe("agentd"),
        body={},
        config_sha256="0",
        replay_version=3,
        rows=(0, 9),
        metrics={"k_step_error": {"1": 0.5}},
        verdict=Verdict(accepted=True, reasons=("better",), sane=sane),
    )


def _publish(registry: Registry, *, sane: bool = True, parent: str | None = None) -> str:
    return registry.publish(_manifest(sane=sane, parent=parent), FILES).id


def test_what_is_published_can_be_read_by_another_process(
    registry: Registry, factory: Callable[[Path], Registry]
) -> None:
    first = _publish(registry)
    registry.promote(first)
    second = _publish(registry, parent=first)
    other = factory(registry.folder)
    assert [m.id for m in other.list()] == [first, second]
    assert other.manifest(second).parent_id == first
    assert other.verify(first).metrics == {"k_step_error": {"1": 0.5}}
    assert (other.path(first) / "weights.safetensors").read_bytes() == b"weights"


def test_nothing_acts_before_a_promotion_and_publishing_is_none(registry: Registry) -> None:
    assert registry.promoted() is None
    assert registry.trunk() is None
    first = _publish(registry)
    assert registry.promoted() is None
    assert registry.trunk() == first


def test_promotion_and_rollback_walk_the_chain(registry: Registry) -> None:
    a = _publish(registry)
    registry.promote(a)
    b = _publish(registry)
    c = _publish(registry)
    registry.promote(c)
    assert registry.promoted() == c
    assert registry.rollback() == a
    assert registry.promoted() == registry.trunk() == a
    assert [(h.event, h.id) for h in registry.history()] == [
        ("promoted", a),
        ("promoted", c),
        ("rolled_back", a),
    ]
    with pytest.raises(NothingToRollBackError, match=a):
        registry.rollback()
    assert b not in [h.id for h in registry.history()]


def test_promoting_again_does_not_make_a_loop(registry: Registry) -> None:
    a = _publish(registry)
    registry.promote(a)
    b = _publish(registry)
    for checkpoint in (b, b, a):
        registry.promote(checkpoint)
    assert registry.rollback() == b
    with pytest.raises(NothingToRollBackError):
        registry.rollback()


def test_training_goes_on_from_the_newest_sane_candidate(registry: Registry) -> None:
    a = _publish(registry)
    registry.promote(a)
    refused = _publish(registry, parent=a)
    assert (registry.promoted(), registry.trunk()) == (a, refused)
    _publish(registry, sane=False)
    assert registry.trunk() == refused


def test_old_weights_are_pruned_and_their_manifests_stay(registry: Registry) -> None:
    ids = []
    for _ in range(KEEP_PROMOTED + 3):
        ids.append(_publish(registry))
        registry.promote(ids[-1])
    trunk = _publish(registry)
    assert [m.id for m in registry.list()] == [*ids[-KEEP_PROMOTED:], trunk]
    assert [m.id for m in registry.pruned()] == ids[:3]
    assert registry.manifest(ids[0]).id == ids[0]
    with pytest.raises(UnknownCheckpointError, match="pruned"):
        registry.path(ids[0])
    assert _publish(registry) not in ids


def test_the_anchor_stays_until_a_better_one_is_promoted(registry: Registry) -> None:
    assert registry.anchor() is None
    a = _publish(registry)
    registry.promote(a, is_anchor=False)
    assert registry.anchor() == a, "the first has nobody to be measured against"
    later = []
    for _ in range(KEEP_PROMOTED + 2):
        later.append(_publish(registry))
        registry.promote(later[-1], is_anchor=False)
    assert registry.anchor() == a
    assert registry.verify(a).id == a, "its weights are not pruned"
    registry.promote(better := _publish(registry))
    assert registry.anchor() == better
    registry.rollback()
    assert registry.anchor() == later[-1] == registry.promoted()


def test_trials_and_refusals_are_kept_with_stage_and_reason(
    registry: Registry, factory: Callable[[Path], Registry]
) -> None:
    a = _publish(registry)
    registry.promote(a, stage="T4", reason="no canary")
    b = _publish(registry)
    registry.note_trial("shadow", b, "T1", "shadow for 96 steps")
    other = factory(registry.folder)
    assert (other.trial(), other.promoted()) == (b, a)
    registry.refuse(b, stage="T3", reason="too many collisions", train_on=False)
    assert (other.trial(), other.trunk()) == (None, a)
    assert [(h.event, h.id, h.stage, h.reason) for h in other.history()] == [
        ("promoted", a, "T4", "no canary"),
        ("shadow", b, "T1", "shadow for 96 steps"),
        ("refused", b, "T3", "too many collisions"),
    ]
    c = _publish(registry)
    registry.refuse(c, stage="T2", reason="foresees worse")
    assert registry.trunk() == c


def test_a_registry_of_format_2_is_taken_over(registry: Registry) -> None:
    a = _publish(registry)
    old = {
        "format_version": 2, "promoted": [a], "trunk": a,
        "history": [{"event": "promoted", "id": a, "time_ns": 1}],
    }  # fmt: skip
    file = registry.folder / "promoted.json"
    file.write_text(json.dumps(old))
    assert (registry.promoted(), registry.anchor(), registry.trial()) == (a, a, None)
    b = _publish(registry)
    registry.promote(b, is_anchor=False)
    assert registry.anchor() == a
    assert json.loads(file.read_text())["format_version"] == FORMAT_VERSION


@pytest.mark.parametrize("name", ["nothing", "../promoted.json", "", ".lock", "pruned"])
def test_unknown_ids_are_refused_by_name(registry: Registry, name: str) -> None:
    _publish(registry)
    for ask in (registry.manifest, registry.verify, registry.promote, registry.path):
        with pytest.raises(UnknownCheckpointError, match="no checkpoint"):
            ask(name)


def test_damaged_and_missing_files_are_refused_by_name(registry: Registry) -> None:
    a = _publish(registry)
    weights = registry.path(a) / "weights.safetensors"
    weights.write_bytes(b"weightz")
    with pytest.raises(DamagedCheckpointError, match=r"weights\.safetensors is damaged"):
        registry.verify(a)
    weights.unlink()
    with pytest.raises(DamagedCheckpointError, match=r"weights\.safetensors cannot be read"):
        registry.verify(a)


def test_a_damaged_manifest_is_refused_by_name(registry: Registry) -> None:
    a = _publish(registry)
    file = registry.path(a) / MANIFEST_FILE
    file.write_text(file.read_text()[:40])
    with pytest.raises(DamagedCheckpointError, match=a):
        registry.manifest(a)


def test_a_damaged_list_of_promotions_is_refused_and_not_overwritten(registry: Registry) -> None:
    registry.promote(_publish(registry))
    state = registry.folder / "promoted.json"
    state.write_text("{")
    for act in (registry.promoted, registry.rollback, lambda: _publish(registry)):
        with pytest.raises(DamagedCheckpointError, match=r"promoted\.json is damaged"):
            act()
    assert state.read_text() == "{"


def test_newer_formats_are_refused_by_number(registry: Registry) -> None:
    a = _publish(registry)
    file = registry.path(a) / MANIFEST_FILE
    values = json.loads(file.read_text()) | {"format_version": FORMAT_VERSION + 1, "novelty": 1}
    file.write_text(json.dumps(values))
    with pytest.raises(NewerCheckpointError, match=f"format {FORMAT_VERSION + 1}"):
        registry.manifest(a)
    (registry.folder / "promoted.json").write_text(json.dumps({"format_version": 99}))
    with pytest.raises(NewerCheckpointError, match="format 99"):
        registry.promoted()


_KILLED = """
import os, signal, sys
from pathlib import Path
import learners.registry as module
from learners.manifest import Manifest
from learners.registry import Registry

stop_at, calls, write = int(sys.argv[3]), 0, os.fsync
def fsync(descriptor):
    global calls
    calls += 1
    if calls == stop_at:
        os.kill(os.getpid(), signal.SIGKILL)
    write(descriptor)
module.os.fsync = fsync
manifest = Manifest.model_validate_json(Path(sys.argv[2]).read_text())
Registry(Path(sys.argv[1])).publish(manifest, {"weights.safetensors": b"new", "o": b"new"})
"""


def test_a_publisher_killed_at_any_point_leaves_all_or_nothing(
    factory: Callable[[Path], Registry], tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text(_manifest().model_dump_json())
    outcomes = []
    for stop_at in range(1, 8):
        folder = tmp_path / f"killed-{stop_at}"
        before = _publish(factory(folder))
        arguments = [str(folder), str(tmp_path / "manifest.json"), str(stop_at)]
        done = subprocess.run([sys.executable, "-c", _KILLED, *arguments], check=False)
        assert done.returncode == -9, "the publisher had fewer steps than the test believes"
        registry = factory(folder)
        ids = [m.id for m in registry.list()]
        outcomes.append(len(ids))
        for checkpoint in ids:
            registry.verify(checkpoint)
        assert before in ids
        assert registry.trunk() in ids
        after = _publish(registry)
        assert not list(folder.glob(".partial-*"))
        assert registry.verify(after).id not in ids
    assert {1, 2} == set(outcomes), "some kills came before, some after the rename"


def test_the_registry_loads_no_torch() -> None:
    code = (
        "import sys, learners.registry, learners.manifest, learners.round_spec, learners.errors;"
        "print([m for m in ('torch', 'ray', 'lancedb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
