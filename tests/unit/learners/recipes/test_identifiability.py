import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from learners.batch import Scale
from learners.losses.agreement import agreement
from learners.losses.forward import Forward
from learners.losses.sub_sigreg import sigreg
from learners.parts.kinds import Encoded
from learners.probes import draw_probes
from learners.recipes.identifiability import Identifiability, identifiability, identify, states
from memory.records import BodySpec
from memory.replay.ram import RamReplay


def _halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x[: len(x) // 2], x[len(x) // 2 :]


def _identify(h: np.ndarray, state: np.ndarray) -> Identifiability:
    (h_fit, h_test), (fit, test) = _halves(h), _halves(state)
    return identify(h_fit, fit, h_test, test)


def _rotation(n: int, rng: np.random.Generator) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def test_a_rotated_state_gives_the_golden_values() -> None:
    rng = np.random.default_rng(0)
    state = rng.standard_normal((400, 4))
    found = _identify(state @ _rotation(4, rng), state)
    assert found.procrustes_mse < 1e-10
    assert found.orthogonality_error < 1e-5
    assert found.r2_state == pytest.approx(1)
    assert found.r2_latent == pytest.approx(1)


def test_a_latent_that_holds_more_than_the_state_is_read_one_way_only() -> None:
    rng = np.random.default_rng(0)
    state = rng.standard_normal((2000, 2))
    h = np.concatenate([state, rng.standard_normal((2000, 2))], axis=1) @ _rotation(4, rng)
    found = _identify(h, state)
    assert found.r2_state > 0.99
    assert found.r2_latent == pytest.approx(0.5, abs=0.05)


def test_a_bent_latent_is_no_rotation() -> None:
    rng = np.random.default_rng(0)
    state = rng.standard_normal((2000, 2))
    bent = np.stack([state[:, 0], state[:, 1] ** 2 + 0.1 * state[:, 1]], axis=1)
    found = _identify(bent, state)
    assert found.orthogonality_error > 0.3
    assert found.procrustes_mse > 0.3
    assert found.r2_state < 0.8


def test_headings_are_read_as_sine_and_cosine() -> None:
    found = states(np.array([[1.0, 2.0, math.pi / 2]], dtype=np.float32))
    np.testing.assert_allclose(found, [[1, 2, 1, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((50, 2), "needs at least 3"), ((4, 3), "too few for a latent of 3 numbers: at least 5")],
)
def test_what_cannot_be_compared_is_refused(shape: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        identify(np.ones(shape), np.ones((shape[0], 3)), np.ones(shape), np.ones((shape[0], 3)))


DECAY = 0.95
"""Of the random walk, per step; its states are those of a standard Gaussian."""

CORNERS = np.array([[-1.5, -1.0], [1.5, 1.0], [1.5, -0.6]])


def random_walk(rng: np.random.Generator, num_walks: int) -> np.ndarray:
    """Return two states in a row of each walk, (n 2 2)."""
    state = rng.standard_normal((num_walks, 2))
    after = DECAY * state + math.sqrt(1 - DECAY**2) * rng.standard_normal(state.shape)
    return np.stack([state, after], axis=1)


def errands(rng: np.random.Generator, num_walks: int) -> np.ndarray:
    """Return two states in a row on straight ways between a few places, (n 2 2)."""
    start = rng.integers(3, size=num_walks)
    goal = (start + rng.integers(1, 3, size=num_walks)) % 3
    share = np.clip(rng.random((num_walks, 1)) + np.array([0.0, 0.08]), 0, 1)[..., None]
    way = CORNERS[start][:, None] * (1 - share) + CORNERS[goal][:, None] * share
    return way + 0.03 * rng.standard_normal(way.shape)


class Bent(nn.Module):
    """A world that shows its two numbers through a fixed bent map, and an encoder of it."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.into = 0.9 * torch.randn(2, 64, generator=generator)
        self.out = torch.randn(64, 32, generator=generator) / 8
        self.encoder = nn.Sequential(
            nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 2)
        )

    def encode(self, windows: Any) -> Encoded:
        shown = torch.tanh(torch.tanh(windows.state @ self.into) @ self.out)
        return Encoded(z=self.encoder(shown))


def _lived(life: Callable[..., np.ndarray]) -> Identifiability:
    """Return what a model that learned from a life makes of states from everywhere."""
    torch.manual_seed(0)
    model, rng, generator = Bent(), np.random.default_rng(0), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(250):
        windows: Any = SimpleNamespace(state=torch.from_numpy(life(rng, 128)).float())
        fwd = Forward(model, windows, generator)
        optimizer.zero_grad()
        (agreement(fwd) + 0.03 * sigreg(fwd.z.transpose(0, 1), generator, 8)).backward()
        optimizer.step()
    state = np.random.default_rng(7).standard_normal((2000, 2))
    with torch.no_grad():
        z = model.encode(SimpleNamespace(state=torch.from_numpy(state).float())).z
    return _identify(z.double().numpy(), state)


def test_a_random_walk_identifies_the_state_and_errands_do_not() -> None:
    walked, driven = _lived(random_walk), _lived(errands)
    assert walked.r2_state > 0.95
    assert walked.r2_latent > 0.95
    assert walked.orthogonality_error < 0.1
    assert walked.procrustes_mse < 0.1
    assert driven.r2_state < 0.85
    assert driven.r2_latent < 0.85
    assert driven.procrustes_mse > 2 * walked.procrustes_mse


def test_the_probe_tells_place_from_heading(arena_replay: RamReplay, spec: BodySpec) -> None:
    data = draw_probes(arena_replay, Scale.of(spec), 24, 10, np.random.default_rng(0))
    rng = np.random.default_rng(0)

    def place_and_noise(pose: np.ndarray) -> torch.Tensor:
        noise = rng.standard_normal((*pose.shape[:-1], 2))
        return torch.from_numpy(np.concatenate([pose[..., :2], noise], axis=-1))

    found = identifiability(place_and_noise(data.fit_pose), place_and_noise(data.pose), data)
    assert found["place"].r2_state > 0.99
    assert found["heading"].r2_state < 0.3
    assert found["state"].r2_latent < 0.7
