import pytest
import torch

from learners.losses.quasi_distance import expectile
from learners.quasidistance import QuasiDistance, iqe_components


@pytest.fixture
def head() -> QuasiDistance:
    torch.manual_seed(0)
    return QuasiDistance(16, 32, 8, 8)


def test_one_component_gives_the_golden_values() -> None:
    x, y = torch.tensor([[[0.0, 1.0, 5.0]]]), torch.tensor([[[2.0, 4.0, 3.0]]])
    assert iqe_components(x, y).item() == 4
    assert iqe_components(y, x).item() == 2


def test_it_is_a_quasimetric(head: QuasiDistance) -> None:
    x, y, z = torch.randn(3, 200, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(head(x, x), torch.zeros(200))
        assert (head(x, y) >= 0).all()
        assert (head(x, z) <= head(x, y) + head(y, z) + 1e-5).all()
        assert (head(x, y) - head(y, x)).abs().max() > 1e-3


def test_a_common_shift_changes_nothing() -> None:
    x, y = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(1)).double()
    torch.testing.assert_close(iqe_components(x + 3, y + 3), iqe_components(x, y))


def test_the_gradient_agrees_with_finite_differences() -> None:
    x, y = torch.randn(2, 4, 2, 3, generator=torch.Generator().manual_seed(1)).double()
    x.requires_grad_()
    assert torch.autograd.gradcheck(iqe_components, (x, y))


def test_the_expectile_weighs_too_long_and_too_short_differently() -> None:
    target, e = torch.tensor([3.0]), torch.tensor(0.2)
    log = torch.log1p(target)
    short, long = torch.expm1(log - e), torch.expm1(log + e)
    assert expectile(target, short, 0.1).item() == pytest.approx(0.1 * 0.04, rel=1e-4)
    assert expectile(target, long, 0.1).item() == pytest.approx(0.9 * 0.04, rel=1e-4)
    assert expectile(target, long, 0.5).item() == pytest.approx(0.5 * 0.04, rel=1e-4)
