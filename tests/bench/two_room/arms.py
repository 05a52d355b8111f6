"""Who plays: the floor, the ceiling, LeWM and its search, ours with and without its parts.

Axis letters: n latents, d latent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from bench.two_room import lewm, ours
from bench.two_room.episodes import BLOCK, Act, Pair, small
from bench.two_room.peer import Rooms
from torch import Tensor

from learners.recipes.model import ComposedModel


class Lab(Protocol):
    """What arms are made from."""

    rooms: Rooms
    action_std: Tensor

    def lewm(self, seed: int) -> lewm.LeWM:
        """Return the trained LeWM of a seed."""

    def agentd(self, seed: int) -> ComposedModel:
        """Return our trained model of a seed."""


Player = Callable[[Pair, int], Act]
"""From a pair and its number to what acts in its episode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A way to act.

    Attributes:
        make: Returns the player of a training seed.
        trained: Whether it differs from one training seed to the next.
        num_pairs: Pairs it plays, with one training alone; None for all pairs and all trainings.
    """

    make: Callable[[Lab, int], Player]
    trained: bool = True
    num_pairs: int | None = None

    def seeds(self, seeds: Sequence[int]) -> Sequence[int]:
        """Return those of the training seeds that it plays."""
        return seeds if self.trained and self.num_pairs is None else seeds[:1]


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


def _searched(
    model_of: Callable[[Lab, int], ours.Imagines],
    distance: Callable[[ours.Imagines, Tensor], ours.Distance],
    **search: int,
) -> Callable[[Lab, int], Player]:
    def make(lab: Lab, seed: int) -> Player:
        model = model_of(lab, seed)

        def player(pair: Pair, number: int) -> Act:
            goal = model.latents(goal_picture(lab.rooms, pair)[None])[0]
            return ours.Planner(model, distance(model, goal), seed=number, **search)

        return player

    return make


def _agentd(lab: Lab, seed: int) -> ours.Imagines:
    return ours.Imagined(lab.agentd(seed))


def _lewm_model(lab: Lab, seed: int) -> ours.Imagines:
    return lewm.Imagined(lab.lewm(seed), lab.action_std)


def _straight(model: ours.Imagines, goal: Tensor) -> ours.Distance:
    return lambda z: (z - goal).square().sum(dim=-1)


def goal_picture(rooms: Rooms, pair: Pair) -> np.ndarray:
    """Return what the agent would see at the goal."""
    return small(rooms.image(np.array(pair.goal, dtype=np.float32)))


ARMS: dict[str, Arm] = {
    "random": Arm(make=_random, trained=False),
    "expert": Arm(make=_expert, trained=False),
    "lewm": Arm(make=_lewm(10)),
    "agentd": Arm(make=_searched(_agentd, ours.steps_to)),
    "agentd-quick": Arm(make=_searched(_agentd, ours.steps_to, samples=32, iterations=2)),
    "agentd-straight": Arm(make=_searched(_agentd, _straight), num_pairs=200),
    "lewm-searched": Arm(make=_searched(_lewm_model, _straight), num_pairs=50),
    "lewm-30": Arm(make=_lewm(30), num_pairs=50),
}
"""`lewm` searches with the 10 iterations that its paper gives this task, `lewm-30` with the
published default; `agentd` spends as many predictions per environment step as `lewm`, and
`agentd-quick` a ninth of them. Two arms tell what is owed to what: `agentd-straight` goes by the
squared distance of latents, as LeWM does, and `lewm-searched` is LeWM's model in our search.
"""
