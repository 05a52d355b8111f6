"""Explores one house with one strategy and keeps the curves.

Axis letters: t steps, n things.
"""

import time

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict

from agentd.build import build_oracle, build_policy, build_world
from agentd.evaluate.coverage import coverage
from agentd.evaluate.episodes import draw_start
from agentd.evaluate.errors import EvaluationError
from agentd.evaluate.explore.rows import EVERY_STEPS, ExploreRow
from agentd.evaluate.explore.screen import NoisyScreen, screen_category
from agentd.evaluate.runner import NoSlots
from agentd.worlds.oracle import Oracle, TrueObject
from configs.worlds import HouseConfig, WorldConfig
from memory.records import Detection
from policies.config import PoliciesConfig, StrategyName
from policies.detectors.instances import InstanceDetector

SEEN_PX = 30
"""Pixels from which a thing counts as seen, and the screen as in view."""
SAME_THING_M = 0.4
"""A detection is of the thing of its label whose box is nearer than this."""


class ExploreJob(BaseModel):
    """One house, start and strategy, as it travels to a worker process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    house: int
    seed: int
    strategy: StrategyName
    num_steps: int
    world: HouseConfig
    policies: PoliciesConfig


class SeenThings:
    """Which of the things of a house were seen so far."""

    def __init__(self, things: list[TrueObject]) -> None:
        self._things = things
        self._seen: set[int] = set()

    @property
    def share(self) -> float:
        """Share of the things, 0 to 1; 1 in an empty house."""
        return len(self._seen) / len(self._things) if self._things else 1.0

    def note(self, detections: list[Detection]) -> None:
        """Tick off what is seen with enough pixels."""
        for found in detections:
            if found.num_px < SEEN_PX:
                continue
            same = [thing for thing in self._things if thing.label == found.label]
            gaps = [_gap_m(thing, found.xyz_m) for thing in same]
            if gaps and min(gaps) < SAME_THING_M:
                self._seen.add(same[int(np.argmin(gaps))].object_id)


def explore_job(job: ExploreJob) -> ExploreRow:
    """Explore one house with one strategy from a start that is the same for all strategies."""
    started_s = time.perf_counter()
    house = job.world.model_copy(update={"seed": job.house})
    world = build_world(WorldConfig(house=house))
    oracle = build_oracle(world)
    if oracle is None:
        raise EvaluationError("a world that does not know the truth about itself scores nobody")
    screen = NoisyScreen(world, screen_category(oracle), job.seed)
    try:
        return _explore(screen, oracle, job, started_s)
    finally:
        world.close()


def _explore(screen: NoisyScreen, oracle: Oracle, job: ExploreJob, started_s: float) -> ExploreRow:
    explore = job.policies.explore.model_copy(update={"strategy": job.strategy})
    planner = job.policies.planner.model_copy(update={"enabled": False})
    policies = job.policies.model_copy(update={"explore": explore, "planner": planner})
    policy, safety = build_policy(screen.spec, policies, NoSlots(), job.seed)
    detector = InstanceDetector(screen.spec, policies.perception)
    true_map, seen = oracle.true_map(), SeenThings(oracle.objects())
    oracle.place(draw_start(oracle, house=job.house, seed=job.seed))
    observation = screen.reset(None)
    covered, things, path_m, stares, act_s, bumps = [], [], [0.0], 0, 0.0, 0
    before = oracle.pose()
    for step in range(job.num_steps):
        began_s = time.thread_time()
        detections = detector.detect(observation)
        decision = policy.act(observation, detections, None)
        action = safety.clip(decision.action, observation)
        act_s += time.thread_time() - began_s
        seen.note(detections)
        stares += int(np.count_nonzero(screen.shown(observation)) >= SEEN_PX)
        if step % EVERY_STEPS == 0:
            known, origin_m = policy.map, policy.map.origin_m
            covered.append(
                coverage(known.grid(), (origin_m[0], origin_m[1]), known.cell_m, true_map)
            )
            things.append(seen.share)
        result = screen.step(action)
        policy.note_applied(result.applied)
        observation = result.observation
        bumps += observation.bumped
        pose = oracle.pose()
        path_m.append(path_m[-1] + float(np.hypot(*(pose - before)[:2])))
        before = pose
    return ExploreRow(
        house=job.house,
        seed=job.seed,
        strategy=job.strategy,
        screen=screen.category,
        num_steps=job.num_steps,
        coverage=tuple(covered),
        things=tuple(things),
        path_m=path_m[-1],
        stare_steps=stares,
        bumps=bumps,
        act_ms=1e3 * act_s / job.num_steps,
        seconds=time.perf_counter() - started_s,
    )


def _gap_m(thing: TrueObject, xyz_m: Float64[np.ndarray, "3"]) -> float:
    """Return the distance from a point to a thing's box."""
    outside = np.abs(xyz_m - thing.xyz_m) - thing.extent_m / 2
    return float(np.linalg.norm(np.maximum(outside, 0.0)))
