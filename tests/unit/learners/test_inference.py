from collections.abc import Callable

import numpy as np
import pytest
import torch

from learners.errors import DamagedCheckpointError
from learners.forward import PredictorForward
from learners.inference import TorchModel, distance_pairs
from learners.registry import Registry
from learners.round import run_round
from learners.round_spec import RoundSpec
from memory.protocols import CropEncoder
from memory.records import Action, BodySpec
from memory.replay.ram import RamReplay


@pytest.fixture
def model(arena_spec: Callable[..., RoundSpec], arena_replay: RamReplay) -> TorchModel:
    spec = arena_spec(2)
    checkpoint = run_round(spec, arena_replay).checkpoint_id
    assert checkpoint is not None
    registry = Registry(spec.checkpoints_folder)
    return TorchModel.load(registry.path(checkpoint), registry.manifest(checkpoint))


def test_acting_sees_what_training_saw(model: TorchModel, arena_replay: RamReplay) -> None:
    batch = arena_replay.sample(1, 4, np.random.default_rng(0))
    row = arena_replay._rows[int(batch.step[0, 2])]
    z = model.encode(row.observation, row.objects)
    np.testing.assert_allclose(z, model.latents(batch)[0, 2], atol=1e-4)


def test_a_rollout_has_a_step_for_every_action(model: TorchModel, spec: BodySpec) -> None:
    z = np.random.default_rng(0).standard_normal(32).astype(np.float32)
    plans = np.zeros((5, 7, 3), dtype=np.float32)
    plans[..., 0] = np.linspace(0, spec.v_max_mps, 5)[:, None]
    plans[..., 2] = spec.tick_s
    rolled = model.rollout(z, plans)
    assert rolled.z.shape == (5, 7, 32)
    assert rolled.egomotion.shape == (5, 7, 3)
    assert ((rolled.p_collision > 0) & (rolled.p_collision < 1)).all()
    # The command is the first guess of the motion: it holds after two updates already.
    np.testing.assert_allclose(rolled.egomotion[:, 0, 0], plans[:, 0, 0] * 0.2, atol=0.05)


def test_distances_are_zero_to_oneself_and_never_negative(model: TorchModel) -> None:
    z = np.random.default_rng(0).standard_normal((6, 32)).astype(np.float32)
    distance = model.distance(z, z[2])
    assert distance[2] == pytest.approx(0, abs=1e-5)
    assert (distance >= 0).all()
    np.testing.assert_allclose(model.distances(z, np.tile(z[2], (6, 1))), distance)


def test_it_encodes_crops_for_the_memory(model: TorchModel) -> None:
    assert isinstance(model, CropEncoder)
    crops = np.random.default_rng(0).integers(0, 255, (4, 48, 48, 3), dtype=np.uint8)
    vectors = model.embed(crops)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert model.encoder_version == model.checkpoint_id
    assert model.embed(crops[:0]).shape[0] == 0


def test_a_teleport_surprises_more_than_standing_still(
    model: TorchModel, arena_replay: RamReplay
) -> None:
    rows = arena_replay._rows
    z = [model.encode(rows[i].observation, rows[i].objects) for i in (3, 3, 20)]
    still = Action(v_mps=0.0, w_radps=0.0, duration_s=0.2)
    assert model.surprise_error(z[0], still, z[1]) < model.surprise_error(z[0], still, z[2])


def test_pairs_for_scoring_are_near_and_come_with_predictions(
    model: TorchModel, arena_replay: RamReplay
) -> None:
    pairs = distance_pairs(model, arena_replay, np.random.default_rng(0), 50, radius_m=0.8)
    assert pairs.start.shape == pairs.goal.shape == (50, 3)
    gap = np.linalg.norm(pairs.start[:, :2] - pairs.goal[:, :2], axis=1)
    assert (gap <= 0.8).all()
    assert (pairs.steps >= 0).all()


def test_damaged_weights_are_refused_by_name(
    arena_spec: Callable[..., RoundSpec], arena_replay: RamReplay
) -> None:
    spec = arena_spec(1)
    checkpoint = run_round(spec, arena_replay).checkpoint_id
    assert checkpoint is not None
    registry = Registry(spec.checkpoints_folder)
    file = registry.path(checkpoint) / "weights.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(DamagedCheckpointError, match=f"{checkpoint}.*weights"):
        TorchModel.load(registry.path(checkpoint), registry.manifest(checkpoint))


def test_the_numpy_rollout_is_the_models_own(model: TorchModel, spec: BodySpec) -> None:
    """Also where the weights are not fresh: two updates leave the steering near zero."""
    torch.manual_seed(1)
    network = model._model
    for parameter in network.predictor.parameters():
        parameter.data = 0.2 * torch.randn_like(parameter)
    rng = np.random.default_rng(0)
    z = rng.standard_normal(32).astype(np.float32)
    held = np.repeat(rng.uniform(-1, 1, (6, 3, 2)).astype(np.float32), 2, axis=1)
    with torch.inference_mode():
        expected = network.rollout(torch.from_numpy(z).expand(6, -1), torch.from_numpy(held))
    rolled = PredictorForward(network.predictor.steps).rollout(z, held)
    np.testing.assert_allclose(rolled, expected.numpy(), rtol=1e-4, atol=1e-5)
    assert np.ptp(rolled, axis=0).max() > 0.1
