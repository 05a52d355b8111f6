"""A life read from a notebook: everything there, nothing written."""

import hashlib
import json
import subprocess
import sys
from datetime import datetime

import numpy as np
import pytest
from exported_life import STEPS, TICK_NS, exported_life, stamp_at
from fake_life import FakeLife, born, living

import agentd
from agentd.exit_codes import NotFoundError, NotYetError, UsageError
from agentd.home import NewerHomeError
from memory.errors import NewerFormatError, NotEnoughDataError


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return exported_life(tmp_path_factory.mktemp("api") / "life")


def digest(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    names = [str(p.relative_to(folder)) for p in sorted(folder.rglob("*"))]
    return names, [hashlib.sha256(p.read_bytes()).hexdigest() for p in files]


def look(life):
    life.steps().arrow, life.slots().rows(), life.slots(at="1s").rows()
    life.goals(), life.events().rows(), life.checkpoints(), repr(life)
    life.step(5), life.windows(2, 4, seed=0)


def test_looking_changes_no_file(home):
    before = digest(home.path)
    look(agentd.open(home.path))
    assert digest(home.path) == before


def test_it_opens_while_another_holds_the_lock(home):
    with living(home, FakeLife().handlers()):
        look(agentd.open(home.path))


def test_steps_are_arrow_and_pandas_and_pinned(home):
    life = agentd.open(home.path)
    assert life.steps(["step"]).arrow["step"].to_pylist() == STEPS
    frame = life.steps(where="step >= 45").pandas()
    assert frame["step"].tolist() == STEPS[-5:]
    assert "rgb" not in frame.columns
    life.version = 10
    assert life.steps(["stamp_ns"]).rows()[-1] == {"stamp_ns": stamp_at(9)}
    assert life.batch(4, 3, seed=0).step.max() < 10
    with pytest.raises(UsageError, match="no step 12"):
        life.step(12)
    with pytest.raises(UsageError, match="no column 'speed'; there are step"):
        life.steps(["speed"])


def test_a_missing_package_is_named(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(UsageError, match="pip install polars"):
        agentd.open(home.path).steps(["step"]).polars()


def test_windows_are_tensors_that_the_seed_repeats(home):
    life = agentd.open(home.path)
    one, two = life.windows(3, 5, seed=1), life.windows(3, 5, seed=1)
    assert one.image.shape[:2] == (3, 5)
    assert bool((one.image == two.image).all())
    assert not bool((one.image == life.windows(3, 5, seed=2).image).all())
    with pytest.raises(NotEnoughDataError, match="31 frames"):
        life.windows(1, 31, seed=0)


def test_slots_know_their_past(home):
    life = agentd.open(home.path)
    now = life.slots().rows()
    assert {row["label"] for row in now} >= {"chair"}
    assert len(life.slots(at=stamp_at(0) - 1)) == 0
    past = life.slots(at=stamp_at(STEPS[-1])).rows()
    assert [row["slot_id"] for row in past] == [row["slot_id"] for row in now]
    np.testing.assert_allclose(past[0]["xyz_m"], now[0]["xyz_m"], atol=0.3)
    as_date = datetime.fromtimestamp((stamp_at(49) + TICK_NS) / 1e9).astimezone()
    assert life.slots(at=as_date).rows() == past
    with pytest.raises(UsageError, match="is no time"):
        life.slots(at="tuesday")


def test_goals_and_events_are_told(home):
    life = agentd.open(home.path)
    assert life.goals()[0]["state"] == "reached"
    assert life.events().rows()[0]["text"] == "born"


def test_what_is_not_there_is_said(tmp_path, home):
    with pytest.raises(NotFoundError, match="there is no life in"):
        agentd.open(tmp_path / "none")
    empty = agentd.open(born(tmp_path / "empty").path)
    assert (empty.version, len(empty.slots()), empty.goals(), empty.checkpoints()) == (0, 0, [], [])
    for ask in (empty.steps, lambda: empty.windows(1, 2, seed=0), lambda: empty.step(0)):
        with pytest.raises(NotYetError, match="has no step yet"):
            ask()
    with pytest.raises(NotYetError, match="no checkpoint acts"):
        empty.checkpoint()
    with pytest.raises(NotYetError, match="no map yet"):
        agentd.open(home.path).map()


def test_newer_formats_are_refused_untouched(tmp_path):
    newer = born(tmp_path / "newer")
    record = json.loads(newer.life_file.read_text())
    newer.life_file.write_text(json.dumps(record | {"format": 99}))
    with pytest.raises(NewerHomeError, match="format 99"):
        agentd.open(newer.path)
    newer.life_file.write_text(json.dumps(record))
    newer.memory_folder.mkdir(exist_ok=True)
    (newer.memory_folder / "format.json").write_text('{"format": 99}')
    with pytest.raises(NewerFormatError, match="format 99"):
        agentd.open(newer.path)


def test_importing_agentd_stays_light():
    code = "import agentd, sys; print([m for m in ('torch','lancedb','numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
