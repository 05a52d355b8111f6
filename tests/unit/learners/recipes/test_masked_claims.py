"""What the masked recipes are worth, and what their sources claim.

The three claims did not hold at a size that a test can afford. They are written down with what was
found and not run; `pytest --runxfail` runs them (about two CPU-minutes).
"""

from typing import Any

import numpy as np
import pytest
from house_drive import HouseDrive, drive_house
from masked_recipes import small

from learners.batch import Scale
from learners.recipes.build import build
from learners.recipes.dense_probes import ProbeClips, draw_clips, frozen_probes
from learners.recipes.train import Budget, train_recipe
from memory.records import BodySpec
from memory.replay.ram import RamReplay

WIDTH = 48
UPDATES = 250
TRAINING = {"batch_size": 16, "learning_rate": 2e-3}


@pytest.mark.parametrize("name", ["vjepa", "vjepa2.1"])
def test_a_linear_probe_of_token_depth_beats_the_untrained_encoder(
    arena_replay: RamReplay, spec: BodySpec, name: str
) -> None:
    scale = Scale.of(spec)
    clips = draw_clips(arena_replay, scale, 120, 4, np.random.default_rng(1))
    recipe = small(name, width=WIDTH, training={"batch_size": 12, "learning_rate": 2e-3})
    before = frozen_probes(build(recipe, 0), clips)
    done = train_recipe(recipe, arena_replay, scale, Budget(amount=50), seed=0)
    after = frozen_probes(done.model, clips)
    assert after["r2_token_depth"] > before["r2_token_depth"] + 0.003


@pytest.fixture(scope="module")
def drive() -> HouseDrive:
    return drive_house(house=3, num_episodes=400, steps=12, seed=0)


@pytest.fixture(scope="module")
def clips(drive: HouseDrive) -> ProbeClips:
    return draw_clips(
        drive.replay,
        Scale.of(drive.spec),
        400,
        4,
        np.random.default_rng(5),
        kind_of=drive.kind_of,
        place_of=drive.rooms,
    )


@pytest.fixture(scope="module")
def untrained(clips: ProbeClips) -> dict[str, dict[str, Any]]:
    return {"ijepa": frozen_probes(build(small("ijepa", width=WIDTH), 0), clips)}


@pytest.fixture(scope="module")
def trained(drive: HouseDrive, clips: ProbeClips) -> dict[str, dict[str, Any]]:
    found = {}
    for name in ("ijepa", "vjepa", "vjepa2.1"):
        recipe = small(name, width=WIDTH, training=TRAINING)
        scale = Scale.of(drive.spec)
        done = train_recipe(recipe, drive.replay, scale, Budget(amount=UPDATES), seed=0)
        found[name] = frozen_probes(done.model, clips)
    return found


@pytest.mark.slow
@pytest.mark.xfail(
    run=False,
    reason="not shown: rooms 0.700 against 0.737, objects 0.886 against 0.912 (300 updates)",
)
def test_a_linear_probe_of_rooms_and_objects_beats_the_untrained_ijepa(
    trained: dict[str, dict[str, Any]], untrained: dict[str, dict[str, Any]]
) -> None:
    assert trained["ijepa"]["place_accuracy"] > untrained["ijepa"]["place_accuracy"]
    assert trained["ijepa"]["object_auc"] > untrained["ijepa"]["object_auc"]


@pytest.mark.slow
@pytest.mark.xfail(
    run=False,
    reason="not shown: R2 0.000 against 0.012 (250 and 300 updates)",
)
def test_a_linear_probe_of_egomotion_from_vjepa_beats_that_from_ijepa(
    trained: dict[str, dict[str, Any]],
) -> None:
    assert trained["vjepa"]["r2_egomotion"] > trained["ijepa"]["r2_egomotion"] + 0.02


@pytest.mark.slow
@pytest.mark.xfail(
    run=False,
    reason="not shown: R2 0.905 against 0.910 (250 updates)",
)
def test_a_linear_probe_of_token_depth_from_vjepa21_beats_that_from_vjepa(
    trained: dict[str, dict[str, Any]],
) -> None:
    assert trained["vjepa2.1"]["r2_token_depth"] > trained["vjepa"]["r2_token_depth"] + 0.005
