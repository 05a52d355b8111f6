"""`placed`: dead reckoning makes the latent tell where a frame is, and nothing else."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from configs.recipes import load_recipe
from learners.batch import Planned, Scale, Windows
from learners.errors import RecipeError
from learners.losses.dead_reckoning import dead_reckoning
from learners.losses.forward import Forward
from learners.parts.kinds import Encoded
from learners.probes import chunks, draw_probes
from learners.recipes.build import build, check
from learners.recipes.identifiability import identifiability
from learners.recipes.spec import Recipe
from learners.recipes.train import Budget, train_recipe
from memory.records import BodySpec
from memory.replay.ram import RamReplay


def small(**training: object) -> Recipe:
    """Return the recipe with tiny sizes."""
    data = load_recipe("placed").model_dump()
    data["encoder"] |= {"width": 64}
    data["training"] |= {"batch_size": 8, "horizon": 8, **training}
    return Recipe.model_validate(data)


class Poses(nn.Module):
    """A model whose latent is a function of the pose that a test gives."""

    def __init__(self, z: torch.Tensor) -> None:
        super().__init__()
        self._z, self.dead_reckoning = z, nn.Identity()

    def encode(self, windows: Windows) -> Encoded:
        return Encoded(z=self._z)


def loss_of(z: torch.Tensor, pose: torch.Tensor) -> float:
    nothing = torch.zeros(1)
    windows = Windows(
        image=nothing,
        ego=nothing,
        action=nothing,
        command=nothing,
        geometry=nothing,
        valid=nothing,
        slots=nothing,
        planned=Planned(is_planned=torch.zeros(pose.shape[:2], dtype=torch.bool), pose=pose),
    )
    with torch.no_grad():
        return float(dead_reckoning(Forward(Poses(z), windows, torch.Generator())))


def state_of(pose: torch.Tensor) -> torch.Tensor:
    x, y, yaw = pose.unbind(dim=-1)
    return torch.stack([x / 2, y / 2, yaw.sin(), yaw.cos()], dim=-1)


def test_only_ways_between_frames_count_not_where_the_life_began() -> None:
    generator = torch.Generator().manual_seed(0)
    pose = torch.randn(3, 5, 3, generator=generator)
    begun = torch.randn(4, generator=generator)
    assert loss_of(state_of(pose) + begun, pose) == pytest.approx(0, abs=1e-10)
    assert loss_of(2 * state_of(pose), pose) > 0.01
    apart = torch.randn(3, 1, 4, generator=generator)  # each window has a frame of its own
    assert loss_of(state_of(pose) + apart, pose) > 0.01


def test_the_golden_value_of_two_metres_that_the_latent_does_not_see() -> None:
    pose = torch.tensor([[[0.0, 0.0, math.pi / 2], [2.0, 0.0, math.pi / 2]]])
    # Half a unit from the mean at each end, in one number of four.
    assert loss_of(torch.zeros(1, 2, 4), pose) == pytest.approx(0.25 / 4)


def test_it_needs_its_head() -> None:
    data = load_recipe("placed").model_dump()
    del data["heads"]["dead_reckoning"]
    with pytest.raises(RecipeError, match="loss dead_reckoning needs dead_reckoning"):
        check(Recipe.model_validate(data))


def test_no_pose_goes_into_the_latent(arena_replay: RamReplay, spec: BodySpec) -> None:
    """The same pictures elsewhere have the same latents."""
    scale, rng = Scale.of(spec), np.random.default_rng(0)
    probes = draw_probes(arena_replay, scale, 8, 10, rng)
    model = build(small(), 0).eval()
    moved = probes.windows.planned
    assert moved is not None
    before = model.encode(probes.windows).z
    moved.pose.add_(7.0)
    torch.testing.assert_close(model.encode(probes.windows).z, before, rtol=0, atol=0)


def test_places_and_latents_read_each_other_better_than_with_the_untrained_encoder(
    arena_replay: RamReplay, spec: BodySpec
) -> None:
    scale = Scale.of(spec)
    probes = draw_probes(arena_replay, scale, 48, 10, np.random.default_rng(0))
    trained = train_recipe(small(), arena_replay, scale, Budget(amount=80), seed=0)
    found = []
    with torch.inference_mode():
        for model in (build(small(), 0).eval(), trained.model):
            z = torch.cat([model.encode(part).z for part in chunks(probes.windows)])
            fit = torch.cat([model.encode(part).z for part in chunks(probes.fit)])[:, 0]
            found.append(identifiability(fit, z, probes)["state"])
    untrained, after = found
    assert after.r2_state > max(0.7, untrained.r2_state + 0.1), found
    assert after.r2_latent > max(0.7, untrained.r2_latent + 0.1), found
    assert after.orthogonality_error < untrained.orthogonality_error
    silent = [
        n
        for n, p in trained.model.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert not silent
