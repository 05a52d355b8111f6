import pytest
import torch

from learners.losses import multistep, token_rollout
from learners.losses.forward import Forward
from learners.parts.action_tokens import ACTION_TOKENS
from learners.parts.frame_tokens import Layout
from learners.parts.kinds import Shape
from learners.parts.steered_tokens import STEERED_TOKENS
from learners.parts.token_predictor import TokenPredictor

SHAPE = Shape(latent_dim=4 * 8 + 4, patch_dim=8, side=2, state_dim=4)
KINDS = {"action_tokens": ACTION_TOKENS, "steered_tokens": STEERED_TOKENS}


def make(name: str, history: int = 3, *, fresh: bool = False) -> TokenPredictor:
    """Return a predictor whose weights are all drawn, as if trained, unless `fresh`."""
    torch.manual_seed(0)
    kind = KINDS[name]
    options = {"width": 24, "heads": 2, "layers": 2, "history": history}
    made = kind.make(kind.options.model_validate(options), SHAPE)
    assert isinstance(made, TokenPredictor)
    if not fresh:
        for p in made.parameters():
            p.data.normal_(std=0.3)
    return made.eval()


def sequence(t: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, t, 36, generator=generator), torch.randn(2, t, 2, generator=generator)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("history", [2, 8])
def test_changing_a_frame_leaves_what_comes_before_it_unchanged(name: str, history: int) -> None:
    predictor, (z, command) = make(name, history), sequence(5)
    before = predictor(z, command)
    changed_z, changed_command = z.clone(), command.clone()
    changed_z[:, 3] += 1
    changed_command[:, 3] += 1
    after = predictor(changed_z, changed_command)
    torch.testing.assert_close(after[:, :3], before[:, :3], rtol=0, atol=1e-6)
    assert (after[:, 3] - before[:, 3]).abs().max() > 1e-2
    assert (after[:, 4] - before[:, 4]).abs().max() > 1e-3


@pytest.mark.parametrize("name", KINDS)
def test_all_patches_of_a_frame_see_one_another(name: str) -> None:
    predictor, (z, command) = make(name), sequence(1)
    changed = z.clone()
    changed[:, 0, 3 * 8 : 4 * 8] += 1
    moved = (predictor(changed, command) - predictor(z, command))[:, 0, : 3 * 8].abs()
    assert (moved.unflatten(1, (3, 8)).amax(2) > 1e-4).all()


@pytest.mark.parametrize("name", KINDS)
def test_a_prediction_looks_back_as_far_as_a_plan_does(name: str) -> None:
    """In spite of several layers: what is learned on windows is what is asked in planning."""
    predictor, (z, command) = make(name, 2), sequence(5)
    alone = predictor(z[:, 3:], command[:, 3:])
    torch.testing.assert_close(predictor(z, command)[:, 4], alone[:, 1])


@pytest.mark.parametrize("name", KINDS)
def test_step_k_of_a_rollout_reads_the_prediction_of_step_k_minus_1(name: str) -> None:
    predictor, (z, command) = make(name, 3), sequence(6)
    read = []
    plain = predictor.after

    def spy(seen: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        read.append((seen.clone(), given.clone()))
        return plain(seen, given)

    predictor.after = spy
    out = predictor.unroll(z[:, :2], command[:, :1], command[:, 1:5])
    timeline = torch.cat([z[:, :2], out], dim=1)
    for k, (seen, given) in enumerate(read):
        first = max(k - 1, 0)
        torch.testing.assert_close(seen, timeline[:, first : k + 2], rtol=0, atol=0)
        torch.testing.assert_close(given, command[:, first : k + 2], rtol=0, atol=0)


@pytest.mark.parametrize("name", KINDS)
def test_the_first_step_of_a_rollout_is_the_one_step_prediction(name: str) -> None:
    predictor, (z, command) = make(name), sequence(3)
    rolled = predictor.rollout(z[:, 0], command)
    torch.testing.assert_close(rolled[:, :1], predictor(z[:, :1], command[:, :1]))


def test_true_states_are_fed_back_when_they_are_given() -> None:
    predictor, (z, command) = make("action_tokens"), sequence(4)
    states = torch.randn(2, 3, 4)
    rolled = predictor.unroll(z[:, :1], command[:, :0], command[:, :3], states=states)
    torch.testing.assert_close(Layout.of(SHAPE).split(rolled)[1], states)
    free = predictor.rollout(z[:, 0], command[:, :3])
    ideal = torch.stack([command[..., 0], 0 * command[..., 0], command[..., 1]], -1)[:, :3]
    torch.testing.assert_close(Layout.of(SHAPE).split(free)[1][..., :3], ideal)
    assert (free - rolled)[:, 1, :32].abs().max() > 1e-3


def test_predicted_patches_are_normalised_before_they_are_fed_back() -> None:
    z, command = sequence(1)
    patches = Layout.of(SHAPE).split(make("action_tokens")(z, command))[0]
    torch.testing.assert_close(patches.mean(-1), torch.zeros(2, 1, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        patches.std(-1, correction=0), torch.ones(2, 1, 4), atol=1e-3, rtol=0
    )


def test_adaln_zero_at_initialisation_does_not_depend_on_the_action() -> None:
    predictor, (z, command) = make("steered_tokens", fresh=True), sequence(3)
    torch.testing.assert_close(predictor(z, command), predictor(z, command + 1), rtol=0, atol=0)


def test_a_cut_rollout_has_the_same_values_and_no_gradient_between_its_steps() -> None:
    """With a history of one frame, the second step knows the first frame by the first step only."""
    predictor, (z, command) = make("steered_tokens", 1), sequence(1)
    z.requires_grad_()
    commands = command.expand(-1, 2, -1)
    whole = predictor.unroll(z, command[:, :0], commands)
    cut = predictor.unroll(z, command[:, :0], commands, cut=True)
    torch.testing.assert_close(whole, cut)
    gradients = [
        torch.autograd.grad(out[:, 1].sum(), [z], allow_unused=True)[0] for out in (whole, cut)
    ]
    assert gradients[0].abs().max() > 1e-3
    assert not gradients[1].any()


class _Windows:
    def __init__(self, command: torch.Tensor) -> None:
        self.command = command


_TWO_FRAMES = next(
    seed
    for seed in range(99)
    if int(torch.randint(1, 3, (), generator=torch.Generator().manual_seed(seed))) == 2
)
"""Seed with which rollouts begin from two frames."""


class _Model:
    """Tokens that are given, and a predictor that writes down what it was asked."""

    def __init__(self, z: torch.Tensor) -> None:
        self.z, self.predictor, self.calls = z, self, []
        self.layout, self.history = Layout.of(SHAPE), 2

    def encode(self, windows: _Windows) -> "_Model":
        return self

    def predict(self, z: torch.Tensor, command: torch.Tensor) -> torch.Tensor:
        return z

    def unroll(self, past, done, commands, *, states=None, cut=False):
        self.calls.append((past, done, commands, states, cut))
        steps = commands.shape[1]
        return past[:, -1:].expand(-1, steps, -1)


def test_the_losses_compare_each_step_with_its_own_frame() -> None:
    """Against a predictor of no change, whose errors are known."""
    z, command = sequence(5)
    patches, state = z[..., :32], z[..., 32:]
    model = _Model(z)
    fwd = Forward(model, _Windows(command), torch.Generator().manual_seed(_TWO_FRAMES))
    expected = (patches[:, :1] - patches[:, 1:3]).abs().mean()
    torch.testing.assert_close(token_rollout.token_rollout(fwd), expected)
    past, done, commands, states, cut = model.calls[0]
    assert past.shape[1] == 1
    assert done.shape[1] == 0
    assert not cut
    torch.testing.assert_close(commands, command[:, :2])
    torch.testing.assert_close(states, state[:, 1:3])

    one = (patches[:, :-1] - patches[:, 1:]).square().mean()
    one = one + (state[:, :-1] - state[:, 1:]).square().mean()
    # Two true frames, so the second step from frame 1 is frame 3, and from frame 2 frame 4.
    two = (patches[:, 1:3] - patches[:, 3:]).square().mean()
    two = two + (state[:, 1:3] - state[:, 3:]).square().mean()
    torch.testing.assert_close(multistep.multistep(fwd), one + two)
    past, done, commands, states, cut = model.calls[1]
    assert cut
    assert states is None
    torch.testing.assert_close(past, torch.cat([z[:, 0:2], z[:, 1:3]]))
    torch.testing.assert_close(done, torch.cat([command[:, 0:1], command[:, 1:2]]))
    torch.testing.assert_close(commands, torch.cat([command[:, 1:3], command[:, 2:4]]))


@pytest.mark.parametrize("name", KINDS)
def test_heads_that_do_not_divide_the_width_are_told(name: str) -> None:
    kind = KINDS[name]
    with pytest.raises(ValueError, match="width 20 is no multiple of twice the heads 4"):
        kind.make(kind.options.model_validate({"width": 20, "heads": 4}), SHAPE)


def test_rollouts_begin_from_one_frame_as_well() -> None:
    """The first plan of an episode has no frame to look back on."""
    z, command = sequence(5)
    widths = set()
    for seed in range(12):
        model = _Model(z)
        generator = torch.Generator().manual_seed(seed)
        multistep.multistep(Forward(model, _Windows(command), generator))
        widths.add(model.calls[-1][0].shape[1])
    assert widths == {1, 2}
