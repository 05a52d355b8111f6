"""Distances that are learned from steps, on a grid where the straight line is wrong."""

from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from tiny_recipes import tiny_recipe
from torch import nn

from configs.recipes import load_recipe
from learners.batch import Scale, to_windows
from learners.costs.reach import FLOOR, multiplier, reach_cost
from learners.errors import RecipeError
from learners.losses.catalogue import LOSSES
from learners.losses.forward import Forward
from learners.losses.multi_horizon import multi_horizon
from learners.losses.qrl import qrl
from learners.losses.reachability import reachability
from learners.losses.value import expectile_error, value
from learners.parts.distances import (
    LatentDistance,
    LatentOptions,
    Multiplier,
    MultiplierOptions,
    Reachability,
    ReachOptions,
)
from learners.parts.kinds import Encoded, Shape
from learners.quasidistance import QuasiDistance
from learners.recipes.build import build, check
from learners.recipes.model import ComposedModel
from learners.recipes.spec import Recipe
from memory.records import BodySpec
from memory.replay.ram import RamReplay

SIDE, DIM, FRAMES, BATCH = 6, 32, 10, 32
WALL = SIDE // 2
"""Left of this column stands a wall. It is open in the first row, and in the last row to the right
only."""


def _moves(cell: int) -> list[int]:
    y, x = divmod(cell, SIDE)
    found = []
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        ny, nx = y + dy, x + dx
        if not (0 <= ny < SIDE and 0 <= nx < SIDE):
            continue
        crosses = {x, nx} == {WALL - 1, WALL}
        if crosses and y != 0 and not (y == SIDE - 1 and nx == WALL):
            continue
        found.append(ny * SIDE + nx)
    return found


MOVES = [_moves(cell) for cell in range(SIDE**2)]


def _steps() -> np.ndarray:
    steps = np.full((SIDE**2, SIDE**2), -1)
    for start in range(SIDE**2):
        steps[start, start] = 0
        queue = deque([start])
        while queue:
            cell = queue.popleft()
            for after in MOVES[cell]:
                if steps[start, after] < 0:
                    steps[start, after] = steps[start, cell] + 1
                    queue.append(after)
    return steps


STEPS = _steps()
START, GOAL = np.nonzero(STEPS > 0)


class Grid(nn.Module):
    """Cells of the grid as latents, and the parts of a recipe that losses ask for."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(SIDE**2, DIM))
        for name, part in parts.items():
            self.add_module(name, part)

    def encode(self, windows: Any) -> Encoded:
        return Encoded(z=self.table[windows.cells])

    @torch.no_grad()
    def rank_correlation(self) -> float:
        found = self.quasi_distance(self.table[START], self.table[GOAL])
        return float(spearmanr(found, STEPS[START, GOAL]).statistic)


def _walks(rng: np.random.Generator) -> Any:
    cells = np.empty((BATCH, FRAMES), dtype=np.int64)
    cells[:, 0] = rng.integers(SIDE**2, size=BATCH)
    for row in cells:
        for t in range(1, FRAMES):
            row[t] = rng.choice(MOVES[row[t - 1]])
    return SimpleNamespace(cells=torch.from_numpy(cells), pairs=None)


def _grid(loss: str) -> Grid:
    torch.manual_seed(0)
    if loss == "value":
        return Grid(quasi_distance=LatentDistance(LatentOptions(), Shape(latent_dim=DIM)))
    head = QuasiDistance(DIM, 64, 8, 8)
    price = Multiplier(MultiplierOptions(start=1.0), Shape(latent_dim=DIM))
    return Grid(quasi_distance=head, multiplier=price)


RATES = {"value": 0.1, "qrl": 3e-3}
"""A table of latents has to move far, one cell at a time; the head of QRL moves all cells."""


@pytest.fixture(scope="module", params=list(RATES))
def trained(request: pytest.FixtureRequest) -> tuple[float, Grid]:
    """A loss's grid after training, and its rank correlation before."""
    grid, rng = _grid(request.param), np.random.default_rng(0)
    untrained = grid.rank_correlation()
    walks = [_walks(rng) for _ in range(50)]
    optimizer = torch.optim.Adam(grid.parameters(), lr=RATES[request.param])
    generator = torch.Generator().manual_seed(0)
    for step in range(400):
        optimizer.zero_grad()
        LOSSES[request.param].of(Forward(grid, walks[step % 50], generator)).backward()
        optimizer.step()
    return untrained, grid


def test_it_ranks_steps_to_go_better_than_a_straight_line_and_than_untrained(
    trained: tuple[float, Grid],
) -> None:
    untrained, grid = trained
    y, x = np.divmod(np.arange(SIDE**2), SIDE)
    line = np.hypot(y[START] - y[GOAL], x[START] - x[GOAL])
    straight = spearmanr(line, STEPS[START, GOAL]).statistic
    found = grid.rank_correlation()
    assert found > straight + 0.05, (found, straight)
    assert found > untrained + 0.3, (found, untrained)


def test_the_way_back_through_a_one_way_door_is_longer(trained: tuple[float, Grid]) -> None:
    _, grid = trained
    left, right = (grid.table[(SIDE - 1) * SIDE + x][None] for x in (WALL - 1, WALL))
    assert grid.quasi_distance(right, left) > 1.5 * grid.quasi_distance(left, right)


def test_it_stays_a_quasimetric_after_training(trained: tuple[float, Grid]) -> None:
    _, grid = trained
    a, b, c = grid.table[torch.randint(SIDE**2, (3, 200), generator=torch.Generator())]
    d = grid.quasi_distance
    with torch.no_grad():
        torch.testing.assert_close(d(a, a), torch.zeros(200))
        assert (d(a, c) <= d(a, b) + d(b, c) + 1e-4).all()


def test_the_distance_of_latents_gives_the_golden_values() -> None:
    head = LatentDistance(LatentOptions(intervals=3), Shape(latent_dim=3))
    x, y = torch.tensor([[0.0, 1.0, 5.0]]), torch.tensor([[2.0, 4.0, 3.0]])
    assert head(x, y).item() == pytest.approx(4)
    assert head(y, x).item() == pytest.approx(2)


def test_the_expectile_weighs_by_the_sign_and_one_half_is_half_the_mean_square() -> None:
    delta = torch.tensor([2.0, -2.0])
    assert expectile_error(delta[:1], 0.6).item() == pytest.approx(0.6 * 4)
    assert expectile_error(delta[1:], 0.6).item() == pytest.approx(0.4 * 4)
    assert expectile_error(delta, 0.5).item() == pytest.approx(delta.square().mean().item() / 2)


def test_a_value_that_obeys_its_equation_costs_nothing() -> None:
    class Discounted(nn.Module):
        """Steps along a line, discounted as returns are."""

        def points(self, z: torch.Tensor) -> torch.Tensor:
            return z

        def between(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return (1 - 0.93 ** (y - x)[..., 0]) / (1 - 0.93)

    class Line(nn.Module):
        quasi_distance = Discounted()

        def __init__(self, stride: float) -> None:
            super().__init__()
            self.stride = stride

        def encode(self, windows: Any) -> Encoded:
            return Encoded(z=self.stride * torch.arange(3.0).expand(2, -1)[..., None])

    def cost(stride: float) -> float:
        fwd = Forward(Line(stride), SimpleNamespace(), torch.Generator())  # type: ignore[arg-type]
        return value(fwd).item()

    # The equation holds for any two places on the line, ahead or behind.
    assert cost(1.0) == pytest.approx(0, abs=1e-8)
    assert cost(2.0) > 0.1
    assert cost(0.5) > 0.05


def test_the_price_rises_while_steps_are_too_long_and_falls_when_they_are_short() -> None:
    for scale, rises in ((10.0, True), (0.0, False)):
        grid = _grid("qrl")
        torch.nn.init.constant_(grid.quasi_distance.raw_scale, scale)
        if scale == 0:
            torch.nn.init.zeros_(grid.quasi_distance.project[-1].weight)
        walks = _walks(np.random.default_rng(0))
        qrl(Forward(grid, walks, torch.Generator().manual_seed(0))).backward()
        raw = grid.multiplier.raw
        assert raw.grad is not None
        assert (raw.grad < 0) == rises


def test_qrl_leaves_the_latents_alone_and_the_value_shapes_them() -> None:
    for loss, reaches in (("qrl", False), ("settled_value", False), ("value", True)):
        grid = _grid(loss)
        fwd = Forward(grid, _walks(np.random.default_rng(0)), torch.Generator().manual_seed(0))
        LOSSES[loss].of(fwd).backward()
        assert (grid.table.grad is not None) == reaches


def _forward(recipe: Recipe, replay: RamReplay, spec: BodySpec) -> Forward:
    rng = np.random.default_rng(0)
    batch = replay.sample(8, recipe.training.horizon, rng)
    windows = to_windows(batch, Scale.of(spec), rng, crops=8, pairs=64)
    return Forward(build(recipe, 0).train(), windows, torch.Generator().manual_seed(0))


def test_prediction_is_separated_from_value(arena_replay: RamReplay, spec: BodySpec) -> None:
    fwd = _forward(tiny_recipe("value-jepa"), arena_replay, spec)
    LOSSES["separate_prediction"].of(fwd).backward()
    assert all(p.grad is None for p in fwd.model.encoder.parameters())
    assert any(p.grad is not None for p in fwd.model.predictor.parameters())


def test_reach_tells_goals_within_the_budget_from_those_beyond() -> None:
    torch.manual_seed(0)

    class Walk(Grid):
        def predict(self, z: torch.Tensor, command: torch.Tensor) -> torch.Tensor:
            return z + 0.05

    grid = Walk(reachability=Reachability(ReachOptions(width=64, budgets=4), Shape(latent_dim=DIM)))
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(grid.parameters(), lr=3e-3)
    losses = []
    for _ in range(250):
        walks = _walks(rng)
        walks.command = torch.zeros(BATCH, FRAMES, 2)
        optimizer.zero_grad()
        loss = reachability(Forward(grid, walks, generator))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    by_base_rate = 1.5 * -(np.log(1 / 3) / 3 + 2 * np.log(2 / 3) / 3)
    assert np.mean(losses[-50:]) < 0.9 * by_base_rate
    with torch.no_grad():
        z = grid.table
        logit = grid.reachability(z[START], z[GOAL], torch.full((len(START),), 3))
    steps = STEPS[START, GOAL]
    near, far = logit[steps <= 3], logit[steps >= 6]
    assert (near[:, None] > far).float().mean() > 0.8


def test_a_goal_within_reach_takes_its_share_of_the_cost_and_no_more() -> None:
    logits = torch.tensor([[-50.0, -50.0], [-50.0, 50.0], [0.0, -50.0]])
    torch.testing.assert_close(multiplier(logits, 0.35), torch.tensor([1.0, 0.65, 0.825]))
    assert multiplier(logits, 1.0)[1].item() == pytest.approx(FLOOR)


def test_reach_is_asked_with_the_steps_that_are_left() -> None:
    asked = []

    def head(z: torch.Tensor, goal: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
        asked.append(left)
        return torch.full(z.shape[:-1], -50.0)

    rolled = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(0))
    cost = reach_cost(rolled, torch.zeros(3), head)  # type: ignore[arg-type]
    torch.testing.assert_close(cost, rolled[:, -1].square().sum(-1))
    assert asked[0][0].tolist() == [3, 2, 1, 0]


def test_far_steps_count_more_and_the_horizon_grows() -> None:
    z = torch.zeros(4, 6, 3)
    rolled = torch.stack([torch.ones(4, 5, 3) * torch.arange(1.0, 6)[:, None]], dim=1)

    class Rolled(nn.Module):
        def encode(self, windows: Any) -> Encoded:
            return Encoded(z=z)

        def rollout(self, start: torch.Tensor, commands: torch.Tensor) -> torch.Tensor:
            return rolled[:, 0]

    windows: Any = SimpleNamespace(command=torch.zeros(4, 6, 2))
    expected = {h: sum(j**3 for j in range(1, h + 1)) / (h * (h + 1) / 2) for h in range(1, 5)}

    def seen(progress: float) -> set[float]:
        draws = range(40)
        found = [
            multi_horizon(Forward(Rolled(), windows, torch.Generator().manual_seed(i), progress))
            for i in draws
        ]
        return {round(float(value), 3) for value in found}

    assert seen(0.0) == {expected[1]}
    assert seen(1.0) == {round(value, 3) for value in expected.values()}


def test_windows_too_short_for_the_budget_are_refused(
    arena_replay: RamReplay, spec: BodySpec
) -> None:
    recipe = tiny_recipe("rc-aux")
    short = recipe.model_copy(
        update={"training": recipe.training.model_copy(update={"horizon": 6})}
    )
    with pytest.raises(ValueError, match="horizon has to be at least 8"):
        reachability(_forward(short, arena_replay, spec))


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ({"quasi_distance": {"kind": "motion"}}, "stands under the name motion"),
        ({"latent_distance": {}}, "stands under the name quasi_distance"),
        ({"quasi_distance": {"kind": "latent_distance", "components": 3}}, "accepted: intervals"),
        ({}, "loss value needs quasi_distance"),
    ],
)
def test_a_head_that_is_none_is_refused(heads: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        check(tiny_recipe("value-jepa", heads=heads))


def test_intervals_that_do_not_divide_the_latent_are_refused() -> None:
    heads = {"quasi_distance": {"kind": "latent_distance", "intervals": 7}}
    with pytest.raises(RecipeError, match="intervals 7 do not divide latent_dim 16"):
        build(tiny_recipe("value-jepa", heads=heads), 0)


NAMES = ["value-jepa", "qrl", "rc-aux", "vjepa-var", "lejepa", "identifiability"]


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_reach_every_trainable_part(
    name: str, arena_replay: RamReplay, spec: BodySpec
) -> None:
    recipe = tiny_recipe(name)
    fwd = _forward(recipe, arena_replay, spec)
    model: ComposedModel = fwd.model
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        again = Forward(model, fwd.windows, fwd.generator)
        total = sum(w * LOSSES[loss].of(again) for loss, w in recipe.losses.items())
        total.backward()  # type: ignore[union-attr]
        optimizer.step()
    for part in model.names:
        for key, parameter in getattr(model, part).named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, (part, key)
                assert torch.isfinite(parameter.grad).all(), (part, key)


@pytest.mark.parametrize("name", NAMES)
def test_it_stays_below_three_million_parameters(name: str) -> None:
    model = build(load_recipe(name), 0)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) <= 3_000_000


def test_the_value_is_asked_for_goals_of_the_same_and_of_other_walks() -> None:
    grid = _grid("value")
    fwd = Forward(grid, _walks(np.random.default_rng(1)), torch.Generator().manual_seed(0))
    asked = []
    between = grid.quasi_distance.between
    grid.quasi_distance.between = lambda x, y: asked.append(y) or between(x, y)  # type: ignore[method-assign,func-returns-value,assignment]
    value(fwd)
    goals = asked[-1][:, :, 0]
    torch.testing.assert_close(goals[:, 0], grid.quasi_distance.points(fwd.z[:, -1]))
    assert not torch.equal(goals[:, 1], goals[:, 0])
