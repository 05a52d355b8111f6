import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_recipes import tiny_recipe
from torch import nn

from learners.batch import Scale
from learners.costs.risk import risk_cost, sampled_ends
from learners.errors import RecipeError
from learners.losses.error_spread import error_spread
from learners.losses.forward import Forward
from learners.losses.likelihood import gaussian_nll
from learners.losses.posterior import divergence
from learners.parts.kinds import Encoded, Shape
from learners.parts.spreads import HIGHEST, LOWEST, PredictionSpread, SpreadOptions, bounded
from learners.probes import ProbeData, draw_probes
from learners.recipes.build import check
from learners.recipes.calibration import calibration, calibration_probe
from learners.recipes.measure import measure
from learners.recipes.train import Budget, train_recipe
from memory.records import BodySpec
from memory.replay.ram import RamReplay
from policies.cem import minimise

DIM = 4


@pytest.fixture(scope="module")
def probes(arena_replay: RamReplay, spec: BodySpec) -> ProbeData:
    return draw_probes(arena_replay, Scale.of(spec), 48, 10, np.random.default_rng(0))


def test_the_likelihood_gives_the_golden_value() -> None:
    target, mean = torch.randn(2, 5, DIM, generator=torch.Generator().manual_seed(0))
    found = gaussian_nll(target, mean, torch.zeros(5, DIM))
    expected = (target - mean).square().sum(-1) / 2 + DIM / 2 * math.log(2 * math.pi)
    torch.testing.assert_close(found, expected)


def test_the_likelihood_agrees_with_samples_of_the_target() -> None:
    generator = torch.Generator().manual_seed(0)
    target, mean, log_variance = torch.randn(3, DIM, generator=generator)
    spread = torch.rand(DIM, generator=generator)
    samples = target + spread.sqrt() * torch.randn(200_000, DIM, generator=generator)
    gaussian = torch.distributions.Normal(mean, (log_variance / 2).exp())
    drawn = -gaussian.log_prob(samples).sum(-1).mean()
    assert gaussian_nll(target, mean, log_variance, spread).item() == pytest.approx(
        drawn.item(), rel=0.01
    )


def test_the_divergence_agrees_with_torch_and_is_zero_for_a_standard_gaussian() -> None:
    mean, log_variance = torch.randn(2, 5, DIM, generator=torch.Generator().manual_seed(0))
    gaussian = torch.distributions.Normal(mean, (log_variance / 2).exp())
    standard = torch.distributions.Normal(torch.zeros(5, DIM), torch.ones(5, DIM))
    expected = torch.distributions.kl_divergence(gaussian, standard).sum(-1)
    torch.testing.assert_close(divergence(mean, log_variance), expected)
    torch.testing.assert_close(divergence(0 * mean, 0 * mean), torch.zeros(5))


def test_the_log_variance_is_bounded_and_keeps_its_gradient() -> None:
    x = torch.linspace(-20, 20, 41, requires_grad=True)
    out = bounded(x)
    assert out.min() >= LOWEST
    assert out.max() <= HIGHEST
    out.sum().backward()
    assert x.grad is not None
    assert (x.grad > 0).all()


def test_intervals_cover_as_many_held_out_errors_as_they_say(
    arena_replay: RamReplay, spec: BodySpec, probes: ProbeData
) -> None:
    # The copy has to catch up within the few updates of a test.
    target = {"kind": "ema", "momentum": 0.9, "last_momentum": 0.9}
    recipe = tiny_recipe("vjepa-var", target=target)
    trained = train_recipe(recipe, arena_replay, Scale.of(spec), Budget(amount=80), 0)
    found = measure(trained.model, probes, trained.graph, 0)
    assert found["calibration_error"] < 0.1
    assert 0.5 < found["residual_variance"] < 2
    assert found["effective_rank"] > 3


def test_a_spread_learned_beside_the_prediction_knows_the_hard_commands() -> None:
    torch.manual_seed(0)
    model = Wind()
    optimizer = torch.optim.Adam(model.spread.parameters(), lr=3e-3)
    for step in range(200):
        optimizer.zero_grad()
        error_spread(_windy(model, step)).backward()
        optimizer.step()
    fwd = _windy(model, 1000)
    with torch.no_grad():
        found = calibration_probe(model, fwd.z, fwd.z, fwd.windows.command)
    assert found.error < 0.05
    assert found.residual_variance == pytest.approx(1, abs=0.15)
    assert found.nll < found.nll_constant - 0.05
    assert model.mean.grad is None


def test_overconfidence_is_seen() -> None:
    error = np.random.default_rng(0).standard_normal((4000, 3))
    right = calibration(error, np.zeros_like(error))
    assert right.error < 0.01
    assert right.residual_variance == pytest.approx(1, abs=0.05)
    bold = calibration(error, np.full_like(error, math.log(0.25)))
    assert bold.residual_variance == pytest.approx(4, rel=0.05)
    assert bold.coverage[0.95] < 0.75
    assert bold.nll > right.nll


@pytest.mark.parametrize(
    ("error", "message"), [(np.zeros((0, 3)), "at least one"), (np.full((2, 3), np.nan), "finite")]
)
def test_errors_that_are_none_are_refused(error: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibration(error, np.zeros_like(error))


def test_who_fears_risk_takes_the_calm_way() -> None:
    model, goal = Wind(), torch.full((DIM,), 1.0)
    model.spread = WindSpread()  # type: ignore[assignment]
    model.requires_grad_(requires_grad=False)
    low, high = np.array([-1.0, -1.0]), np.array([1.0, 1.0])

    def plan(kappa: float) -> np.ndarray:
        def cost(samples: np.ndarray) -> np.ndarray:
            # Any way leads there; the first number of a command only brings wind.
            commands = torch.from_numpy(samples).float()[:, None].repeat(1, 2, 1)
            generator = torch.Generator().manual_seed(0)
            ends = sampled_ends(model, torch.zeros(DIM), commands, 64, generator)
            return risk_cost(ends, goal, kappa).double().numpy()

        rng = np.random.default_rng(0)
        _, best, _ = minimise(
            cost,
            np.zeros(2),
            np.ones(2),
            (low, high),
            num_samples=64,
            num_elites=8,
            num_iterations=6,
            rng=rng,
        )
        return best

    assert plan(0.0)[1] == pytest.approx(0.5, abs=0.15)
    assert plan(2.0)[1] == pytest.approx(0.5, abs=0.15)
    assert plan(2.0)[0] < -0.8


def test_the_cost_is_the_mean_and_the_priced_deviation() -> None:
    ends = torch.tensor([[[0.0], [2.0]], [[1.0], [1.0]]])
    squares = torch.tensor([[0.0, 4.0], [1.0, 1.0]])
    found = risk_cost(ends, torch.zeros(1), 0.5)
    torch.testing.assert_close(found, squares.mean(1) + 0.5 * squares.std(1))


def test_samples_start_from_samples() -> None:
    class Doubles(nn.Module):
        def predict(self, z: torch.Tensor, command: torch.Tensor) -> torch.Tensor:
            assert z.shape[:2] == command.shape[:2]
            return 2 * z

        def spread(self, z: torch.Tensor, command: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(z)

    noise = torch.randn(2, 3, DIM, generator=torch.Generator().manual_seed(0))
    ends = sampled_ends(
        Doubles(), torch.ones(DIM), torch.zeros(5, 2, 2), 3, torch.Generator().manual_seed(0)
    )
    assert ends.shape == (5, 3, DIM)
    torch.testing.assert_close(ends[4], 2 * (2 + noise[0]) + noise[1])


def test_a_likelihood_without_a_teacher_is_refused() -> None:
    with pytest.raises(RecipeError, match="loss likelihood needs teacher"):
        check(tiny_recipe("vjepa-var", target={"kind": "live"}))


class WindSpread(nn.Module):
    """The first number of a command brings wind."""

    def forward(self, z: torch.Tensor, command: torch.Tensor) -> torch.Tensor:
        return (3 * command[..., :1] - 3).expand_as(z)


class Wind(nn.Module):
    """Latents that a command moves, more or less surely."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.ones(DIM))
        self.spread = PredictionSpread(SpreadOptions(width=32), Shape(latent_dim=DIM))

    def encode(self, windows: Any) -> Encoded:
        return Encoded(z=windows.z)

    def predict(self, z: torch.Tensor, command: torch.Tensor) -> torch.Tensor:
        return z + command[..., 1:] * self.mean


def _windy(model: Wind, seed: int) -> Forward:
    generator = torch.Generator().manual_seed(seed)
    command = torch.rand(32, 5, 2, generator=generator) * 2 - 1
    z = [torch.randn(32, DIM, generator=generator)]
    for t in range(4):
        std = (WindSpread()(z[-1], command[:, t]) / 2).exp()
        noise = torch.randn(32, DIM, generator=generator)
        z.append(z[-1] + command[:, t, 1:] + std * noise)
    windows: Any = SimpleNamespace(z=torch.stack(z, dim=1), command=command)
    return Forward(model, windows, generator)
