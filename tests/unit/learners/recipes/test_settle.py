"""Distances that are learned on latents which no longer change."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from learners.batch import EGO_FEATURES, GEOMETRY_FEATURES, IMAGE_CHANNELS, INPUT_PX, Windows
from learners.recipes.build import build
from learners.recipes.settle import Settling, settle
from learners.recipes.spec import PartSpec, Recipe

SHORT = Settling(updates=400, batch_size=128, learning_rate=3e-3)
ARM = 12
"""Steps along each arm of the corridor."""


def _recipe() -> Recipe:
    return Recipe.model_validate(
        {
            "name": "settled",
            "title": "",
            "source": "",
            "claim": "",
            "latent_dim": 16,
            "encoder": PartSpec(kind="conv"),
            "predictor": {"kind": "steered", "width": 16, "blocks": 1},
            "heads": {"quasi_distance": {"width": 32}, "multiplier": {}},
            "losses": {"prediction": 1.0},
        }
    )


def _corridor() -> tuple[torch.Tensor, torch.Tensor]:
    """Return latents of a narrow U that is walked up and down, and its steps."""
    down = [(0.0, y / ARM) for y in range(ARM, 0, -1)]
    up = [(0.2, y / ARM) for y in range(1, ARM + 1)]
    places = torch.tensor([*down, (0.1, 0.0), *up])
    mix = torch.randn(2, 16, generator=torch.Generator().manual_seed(3))
    at = torch.arange(len(places) - 1)
    walked = torch.stack([at, at + 1], dim=1)
    return 3 * places @ mix, torch.cat([walked, walked.flip(1)])


def test_a_settled_distance_sees_around_a_wall() -> None:
    z, steps = _corridor()
    model = build(_recipe(), 0)
    before = {name: p.clone() for name, p in model.encoder.named_parameters()}
    settle(model, z, steps, SHORT, seed=0)
    start, goal = (x.flatten() for x in torch.meshgrid(*[torch.arange(len(z))] * 2, indexing="ij"))
    with torch.no_grad():
        distance = model.quasi_distance(z[start], z[goal]).numpy()
    true = np.abs(start.numpy() - goal.numpy())
    straight = (z[start] - z[goal]).norm(dim=1).numpy()
    assert spearmanr(distance, true)[0] > 0.95
    assert spearmanr(straight, true)[0] < 0.8
    assert all(torch.equal(before[name], p) for name, p in model.encoder.named_parameters())


def test_settling_repeats_itself() -> None:
    z, steps = _corridor()
    few = Settling(updates=5, batch_size=16)
    first, second = build(_recipe(), 0), build(_recipe(), 0)
    assert settle(first, z, steps, few, seed=1) == settle(second, z, steps, few, seed=1)


@pytest.mark.parametrize("steps", [torch.zeros(0, 2, dtype=torch.int64), torch.tensor([[0, 99]])])
def test_steps_must_join_frames_that_are_there(steps: torch.Tensor) -> None:
    z, _ = _corridor()
    with pytest.raises(ValueError, match=f"{len(z)} frames"):
        settle(build(_recipe(), 0), z, steps, SHORT, seed=0)


def test_convolutions_see_pixels_alone() -> None:
    model = build(_recipe(), 0).eval()
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, IMAGE_CHANNELS, INPUT_PX, INPUT_PX, generator=rng)
    ego = torch.rand(2, 3, EGO_FEATURES, generator=rng)

    def latents(image: torch.Tensor, ego: torch.Tensor) -> torch.Tensor:
        nothing = torch.zeros(2, 3, 1, dtype=torch.int64)
        windows = Windows(
            image=image,
            ego=ego,
            action=torch.zeros(2, 3, 2),
            command=torch.zeros(2, 3, 2),
            geometry=torch.zeros(2, 3, 1, GEOMETRY_FEATURES),
            valid=nothing.bool(),
            slots=nothing,
        )
        with torch.no_grad():
            return model.encode(windows).z

    z = latents(image, ego)
    assert z.shape == (2, 3, 16)
    torch.testing.assert_close(latents(image, ego + 1), z)
    assert not torch.allclose(latents(-image, ego), z)
