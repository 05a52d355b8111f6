"""Who plays: the floor, the ceiling, LeWM and its search, ours with and without its parts.

Axis letters: n latents, d latent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from bench.two_room import lewm, ours
from bench.two_room.episodes import BLOCK, Act, Pair, small
from bench.two_room.latent_graph import LatentGraph
from bench.two_room.peer import Rooms
from torch import Tensor

from learners.recipes.model import ComposedModel

AHEAD_BLOCKS = 5
"""The map hands over a place so far ahead: as far as a plan looks."""


class Lab(Protocol):
    """What arms are made from."""

    rooms: Rooms
    action_std: Tensor

    def lewm(self, seed: int) -> lewm.LeWM:
        """Return the trained LeWM of a seed."""

    def agentd(self, seed: int) -> ComposedModel:
        """Return our trained model of a seed."""

    def graph(self, seed: int) -> LatentGraph:
        """Return the map in the latents of our model."""


Player = Callable[[Pair, int], Act]
"""From a pair and its number to what acts in its episode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A way to act.

    Attributes:
        make: Returns the player of a training seed.
        trained: Whether it differs from one training seed to the next.
        num_pairs: Pairs it plays, None for all; those with a number play one seed alone.
    """

    make: Callable[[Lab, int], Player]
    trained: bool = True
    num_pairs: int | None = None


def _random(lab: Lab, seed: int) -> Player:
    def player(pair: Pair, number: int) -> Act:
        rng = np.random.default_rng([seed, number])
        return lambda picture: rng.uniform(-1, 1, (BLOCK, 2))

    return player


def _expert(lab: Lab, seed: int) -> Player:
    def player(pair: Pair, number: int) -> Act:
        expert = lab.rooms.expert(number, noise=0.0, repeat=0.0)
        expert.begin()
        return lambda picture: expert.act()[None]

    return player


def _lewm(iterations: int) -> Callable[[Lab, int], Player]:
    def make(lab: Lab, seed: int) -> Player:
        model = lab.lewm(seed)

        def player(pair: Pair, number: int) -> Act:
            return lewm.Planner(
                model,
                lab.action_std,
                goal_picture(lab.rooms, pair),
                iterations=iterations,
                seed=number,
            )

        return player

    return make


def _ours(distance: "Callable[[Lab, int, ComposedModel, Tensor], ours.Towards]") -> Callable:
    def make(lab: Lab, seed: int) -> Player:
        model = lab.agentd(seed)

        def player(pair: Pair, number: int) -> Act:
            goal = ours.latents(model, goal_picture(lab.rooms, pair)[None])[0]
            towards = distance(lab, seed, model, goal)
            return ours.Planner(model, towards, block_steps=BLOCK, seed=number)

        return player

    return make


def _by_head(lab: Lab, seed: int, model: ComposedModel, goal: Tensor) -> ours.Towards:
    far = _steps_to(model, goal)
    return lambda z: far


def _by_map(lab: Lab, seed: int, model: ComposedModel, goal: Tensor) -> ours.Towards:
    way = lab.graph(seed).way_to(goal)
    return lambda z: _steps_to(model, way.ahead(z, AHEAD_BLOCKS))


def _straight(lab: Lab, seed: int, model: ComposedModel, goal: Tensor) -> ours.Towards:
    return lambda z: lambda latents: (latents - goal).square().sum(dim=-1)


def _steps_to(model: ComposedModel, goal: Tensor) -> ours.Distance:
    head = model.quasi_distance
    with torch.no_grad():
        point = head.points(goal)

    def far(z: Tensor) -> Tensor:
        points = head.points(z)
        steps: Tensor = head.between(points, point.expand_as(points))
        return steps

    return far


def goal_picture(rooms: Rooms, pair: Pair) -> np.ndarray:
    """Return what the agent would see at the goal."""
    return small(rooms.image(np.array(pair.goal, dtype=np.float32)))


ARMS: dict[str, Arm] = {
    "random": Arm(make=_random, trained=False),
    "expert": Arm(make=_expert, trained=False),
    "lewm": Arm(make=_lewm(10)),
    "agentd": Arm(make=_ours(_by_head)),
    "agentd-map": Arm(make=_ours(_by_map)),
    "agentd-straight": Arm(make=_ours(_straight)),
    "lewm-30": Arm(make=_lewm(30), num_pairs=50),
}
"""`lewm` searches with the 10 iterations of its paper for this task, `lewm-30` with the published
default. `agentd` goes by the learned distance alone, `agentd-map` by the map for the long way;
`agentd-straight` by the distance of latents, as LeWM does: what is left of ours without its head.
"""
