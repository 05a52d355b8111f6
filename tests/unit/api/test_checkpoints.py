"""Checkpoints as modules and plans between observations, on a model that was really trained."""

import hashlib

import numpy as np
import pytest
import torch
from exported_life import exported_life
from fakes_memory import SPEC
from tiny_recipes import arena_recipe

import agentd
from agentd.snapshot import save
from learners.config import LearnersConfig
from learners.errors import DamagedCheckpointError
from learners.registry import Registry
from learners.round import run_round
from learners.round_spec import RoundSpec, body_to_dict
from policies.config import MapConfig
from policies.occupancy import OccupancyMap


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = exported_life(tmp_path_factory.mktemp("api") / "life")
    replay = agentd.open(home.path).replay
    settings = {
        "round": {"max_updates": 2, "budget_s": 1e6, "num_probe_windows": 8},
        "gate": {"min_effective_rank": 1.0, "min_latent_std": 1e-6},
    }
    spec = RoundSpec(
        memory_folder=home.memory_folder,
        checkpoints_folder=home.checkpoints_folder,
        replay_version=replay.version,
        learners=LearnersConfig.model_validate(settings),
        recipe=arena_recipe(),
        body=body_to_dict(SPEC),
    )
    checkpoint_id = run_round(spec, replay).checkpoint_id
    assert checkpoint_id is not None
    Registry(home.checkpoints_folder).promote(checkpoint_id)
    occupancy = OccupancyMap(SPEC, MapConfig())
    occupancy.update(agentd.open(home.path).step(0).observation, 0)
    save(home, {"format": 1, "step": 50, "goals": []}, occupancy.save(), None)
    return home


def test_the_acting_checkpoint_is_a_module_with_its_verdict(home):
    before = {
        p: hashlib.sha256(p.read_bytes()).digest() for p in home.path.rglob("*.*") if p.is_file()
    }
    life = agentd.open(home.path)
    found = life.checkpoint()
    assert found.acts
    assert found.decisions[-1].event == "promoted"
    assert isinstance(found.verdict.accepted, bool)
    assert found.verdict.checks
    threads = torch.get_num_threads()
    windows = life.windows(2, 4, seed=0)
    assert found.module().encode(windows).z.shape[:2] == (2, 4)
    found.model()
    assert torch.get_num_threads() == threads
    after = {
        p: hashlib.sha256(p.read_bytes()).digest() for p in home.path.rglob("*.*") if p.is_file()
    }
    assert after == before


def test_a_plan_is_repeatable_and_within_the_bodys_limits(home):
    life = agentd.open(home.path)
    start, goal = life.step(2).observation, life.step(20).observation
    plan = life.plan(start, goal, seed=3)
    assert plan.actions.shape == plan.egomotion.shape
    assert len(plan.distance_steps) == len(plan.actions) + 1
    assert (np.abs(plan.actions[:, 1]) <= SPEC.w_max_radps + 1e-6).all()
    assert ((plan.actions[:, 0] >= 0) & (plan.actions[:, 0] <= SPEC.v_max_mps + 1e-6)).all()
    np.testing.assert_array_equal(plan.actions, life.plan(start, goal, seed=3).actions)


def test_altered_weights_are_refused(home):
    life = agentd.open(home.path)
    file = life.checkpoint().folder / "weights.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    try:
        with pytest.raises(DamagedCheckpointError, match="is damaged"):
            life.checkpoint().module()
    finally:
        file.write_bytes(data)


def test_the_map_is_an_array(home):
    found = agentd.open(home.path).map()
    assert set(np.unique(found.grid)) <= {-1, 0, 1}
    assert (found.grid == 0).any()
    assert "m2 free" in repr(found)
