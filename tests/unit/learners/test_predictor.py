import pytest
import torch

from learners.predictor import Predictor


@pytest.fixture
def trained() -> Predictor:
    """A predictor whose actions matter."""
    torch.manual_seed(0)
    predictor = Predictor(16, 32, 2)
    torch.nn.init.normal_(predictor.steer.weight, std=0.3)
    torch.nn.init.normal_(predictor.steer.bias, std=0.3)
    return predictor.eval()


def test_at_initialisation_the_action_has_no_effect() -> None:
    torch.manual_seed(0)
    z = torch.randn(4, 16)
    predictor = Predictor(16, 32, 2)
    for action in (torch.zeros(4, 2), torch.randn(4, 2)):
        torch.testing.assert_close(predictor(z, action), z, rtol=0, atol=0)


def test_a_rollout_step_reads_the_prediction_of_the_step_before(trained: Predictor) -> None:
    z, actions = torch.randn(3, 16), torch.randn(3, 5, 2)
    rolled = trained.rollout(z, actions)
    for k in range(5):
        z = trained(z, actions[:, k])
        torch.testing.assert_close(rolled[:, k], z)


def test_a_later_action_leaves_earlier_predictions_alone(trained: Predictor) -> None:
    z, actions = torch.randn(3, 16), torch.randn(3, 5, 2)
    before = trained.rollout(z, actions)
    actions[:, 3] += 1
    after = trained.rollout(z, actions)
    torch.testing.assert_close(after[:, :3], before[:, :3], rtol=0, atol=0)
    assert (after[:, 3:] - before[:, 3:]).abs().min(dim=-1).values.max() > 0
