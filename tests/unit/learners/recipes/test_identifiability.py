import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_recipes import tiny_recipe

from learners.batch import Scale
from learners.probes import ProbeData, chunks, draw_probes
from learners.recipes.identifiability import Identifiability, identifiability, identify, states
from learners.recipes.train import Budget, train_recipe
from memory.config import ReplayConfig
from memory.records import BodySpec, Transition
from memory.replay.ram import RamReplay

GOALS = ((0.8, 0.8), (3.2, 3.2))


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


def errand(
    rng: np.random.Generator, step: int, pose: np.ndarray, bumped: bool
) -> tuple[float, float]:
    """Steer to one corner and back, as a body with nothing else to do."""
    goal = GOALS[step // 40 % 2]
    bearing = math.atan2(goal[1] - pose[1], goal[0] - pose[0]) - pose[2]
    bearing = (bearing + math.pi) % (2 * math.pi) - math.pi
    far = math.hypot(goal[1] - pose[1], goal[0] - pose[0]) > 0.2
    ahead = 0.75 if abs(bearing) < 0.5 and far else 0.0
    return ahead, float(np.clip(4 * bearing, -2, 2)) if far else 0.0


@pytest.fixture(scope="module")
def probes(arena_drive: Callable[..., list[Transition]], spec: BodySpec) -> ProbeData:
    """Places all over the arena, from a drive that no model learns from."""
    replay = RamReplay(ReplayConfig(probe_every=2))
    replay.append(arena_drive(800, seed=5))
    return draw_probes(replay, Scale.of(spec), 64, 10, np.random.default_rng(0))


def test_a_random_walk_identifies_the_state_better_than_errands(
    arena_drive: Callable[..., list[Transition]], spec: BodySpec, probes: ProbeData
) -> None:
    found = {}
    for name, steer in (("walk", {}), ("errands", {"steer": errand})):
        replay = RamReplay(ReplayConfig(probe_every=4))
        replay.append(arena_drive(800, seed=1, **steer))
        recipe = tiny_recipe("identifiability")
        model = train_recipe(recipe, replay, Scale.of(spec), Budget(amount=150), 0).model.eval()
        with torch.no_grad():
            z_fit = torch.cat([model.encode(part).z for part in chunks(probes.fit)])[:, 0]
            z = torch.cat([model.encode(part).z for part in chunks(probes.windows)])
        found[name] = identifiability(z_fit, z, probes)
    walk, errands = found["walk"], found["errands"]
    print(found)
    assert walk["state"].r2_state > errands["state"].r2_state + 0.03
    assert walk["state"].r2_latent > errands["state"].r2_latent + 0.03
    assert walk["place"].r2_state > 0.7
