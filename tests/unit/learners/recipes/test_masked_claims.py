"""What the masked recipes are worth, and what their sources claim, as far as a test can afford it.

Rooms, and what `vjepa2.1` adds to `vjepa`, take a house and more updates: `tests/bench/
bench_claims.py` measures them.
"""

import numpy as np
import pytest
from claim_probes import Clips, draw, egomotion, objects, token_depth
from masked_recipes import small

from learners.batch import Scale
from learners.recipes.build import build
from learners.recipes.dense_probes import squares
from learners.recipes.model import ComposedModel
from learners.recipes.spec import Recipe
from learners.recipes.train import Budget, train_recipe
from memory.records import BodySpec
from memory.replay.ram import RamReplay

ARENA = {
    "pixel_mean": (-0.2, -0.15, -0.3, 0.3, 1.0),
    "pixel_spread": (0.35, 0.3, 0.35, 0.2, 1.0),
}
"""Of the arena's frames."""


def arena_recipe(name: str) -> Recipe:
    frames = 3 if name == "ijepa" else 4
    training = {"batch_size": 12, "learning_rate": 2e-3, "horizon": frames}
    return small(name, encoder=ARENA, training=training)


@pytest.fixture(scope="module")
def clips(long_arena_replay: RamReplay, spec: BodySpec) -> Clips:
    slots = np.unique(long_arena_replay.sample(64, 4, np.random.default_rng(0)).object_slots)
    kinds = [(int(slot),) for slot in slots if slot > 0]
    return draw(long_arena_replay, Scale.of(spec), 400, 300, 4, 5, kinds, squares)


def trained(name: str, replay: RamReplay, spec: BodySpec, updates: int, seed: int) -> ComposedModel:
    return train_recipe(
        arena_recipe(name), replay, Scale.of(spec), Budget(amount=updates), seed
    ).model


@pytest.mark.slow
def test_a_linear_probe_of_objects_in_view_beats_the_untrained_ijepa(
    long_arena_replay: RamReplay, spec: BodySpec, clips: Clips
) -> None:
    before = objects(build(arena_recipe("ijepa"), 1), clips).value()
    after = objects(trained("ijepa", long_arena_replay, spec, 150, 1), clips).value()
    assert 1 - after < 0.9 * (1 - before)


@pytest.mark.slow
@pytest.mark.xfail(
    run=False, reason="not shown in the arena: R2 0.025 against 0.046; see bench_claims.py"
)
def test_a_linear_probe_of_egomotion_from_vjepa_beats_that_from_ijepa(
    long_arena_replay: RamReplay, spec: BodySpec, clips: Clips
) -> None:
    of_clips, of_frames = (
        egomotion(trained(name, long_arena_replay, spec, 60, 0), clips).value()
        for name in ("vjepa", "ijepa")
    )
    assert of_clips > of_frames + 0.02


@pytest.mark.slow
@pytest.mark.xfail(
    run=False, reason="not shown in the arena, sign differs between seeds; see bench_claims.py"
)
def test_a_linear_probe_of_token_depth_from_vjepa21_beats_that_from_vjepa(
    long_arena_replay: RamReplay, spec: BodySpec, clips: Clips
) -> None:
    dense, plain = (
        token_depth(trained(name, long_arena_replay, spec, 150, 0), clips).value()
        for name in ("vjepa2.1", "vjepa")
    )
    assert dense > plain + 0.005
