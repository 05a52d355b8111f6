import pytest
import torch

from learners.losses.sub_sigreg import sigreg, subspace_statistic
from learners.losses.total import weights_for
from learners.parts.on_latent import draw_subspaces

D, T = 192, 4


def _gaussian(b: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(T, b, D, generator=torch.Generator().manual_seed(seed))


def _statistic(z: torch.Tensor, seed: int = 1) -> float:
    return float(sigreg(z, torch.Generator().manual_seed(seed), num_slices=256))


@pytest.mark.parametrize("b", [32, 128, 512])
def test_the_floor_of_gaussian_samples_does_not_depend_on_their_number(b: int) -> None:
    assert 1.0 < _statistic(_gaussian(b)) < 1.12


@pytest.mark.parametrize(("b", "expected"), [(32, 12.87), (128, 51.46), (512, 205.8)])
def test_zeros_give_the_golden_value(b: int, expected: float) -> None:
    assert _statistic(torch.zeros(1, b, D)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("scale", "b", "expected"),
    [
        *((2, 32, 9.1), (2, 128, 31.3), (2, 512, 124)),
        *((0.5, 32, 5.3), (0.5, 128, 20.1), (0.5, 512, 77.4)),
    ],
)
def test_a_wrong_scale_gives_the_golden_value(scale: float, b: int, expected: float) -> None:
    assert _statistic(_gaussian(b) * scale) == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize(("b", "expected"), [(32, 4.0), (128, 15.3), (512, 57.4)])
def test_rank_two_gives_the_golden_value(b: int, expected: float) -> None:
    generator = torch.Generator().manual_seed(3)
    basis, _ = torch.linalg.qr(torch.randn(D, 2, generator=generator))
    z = torch.randn(T, b, 2, generator=generator) @ basis.T * (D / 2) ** 0.5
    assert _statistic(z) == pytest.approx(expected, rel=0.2)


def test_near_duplicates_are_punished() -> None:
    distinct = _gaussian(16)
    assert _statistic(distinct.repeat(1, 8, 1)) > 6 * _statistic(distinct)


def test_the_order_of_samples_does_not_matter() -> None:
    z = _gaussian(64)
    assert _statistic(z) == pytest.approx(_statistic(z[:, torch.randperm(64)]), rel=1e-5)


def test_rotating_latents_and_directions_alike_changes_nothing() -> None:
    z = _gaussian(64) * torch.linspace(0.2, 2, D)
    subspaces = torch.linalg.qr(_gaussian(8, seed=5)[0].T).Q.T[None]
    rotation = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(2))).Q
    plain, turned = (
        float(subspace_statistic(a, w, torch.Generator().manual_seed(0)))
        for a, w in ((z, subspaces), (z @ rotation, subspaces @ rotation))
    )
    assert plain == pytest.approx(turned, rel=1e-4)


def test_subspaces_are_orthonormal_and_agree_with_the_full_space_on_a_gaussian() -> None:
    torch.manual_seed(0)
    subspaces = draw_subspaces(D, 8)
    assert subspaces.shape == (24, 8, D)
    torch.testing.assert_close(
        subspaces @ subspaces.transpose(1, 2), torch.eye(8).expand(24, 8, 8), atol=1e-5, rtol=0
    )
    value = subspace_statistic(_gaussian(128), subspaces, torch.Generator().manual_seed(0))
    assert 1.0 < float(value) < 1.12


def test_the_weight_times_the_batch_is_constant() -> None:
    weights = {"sub_sigreg": 0.09}
    for batch in (16, 48, 128):
        assert weights_for(weights, batch)["sub_sigreg"] * batch == pytest.approx(0.09 * 128)
