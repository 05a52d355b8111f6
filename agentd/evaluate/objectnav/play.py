"""Plays episodes of one scene, each by an agent that knows nothing yet."""

import math
import time
from collections import Counter
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, ConfigDict

from agentd.build import build_detector, build_policy
from agentd.evaluate.objectnav.rows import EpisodeRow, PartResult
from agentd.evaluate.runner import failure_of
from agentd.worlds.habitat.episodes import Episode, SceneEpisodes, read_dataset
from agentd.worlds.habitat.metrics import path_length_m, score
from agentd.worlds.habitat.place import by_scene, in_scene
from agentd.worlds.habitat.world import HabitatWorld
from configs.bodies.habitat import HabitatConfig
from memory.config import ObjectConfig
from memory.objects.memory import SlotMemory
from memory.records import ObjectGoal, Observation
from policies.config import PoliciesConfig
from policies.protocols import Decision


class PartJob(BaseModel):
    """Some episodes of one scene, as they travel to a worker process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path
    """File of the episodes."""
    scene: str
    """As the file names it."""
    indices: tuple[int, ...]
    """Numbers of the episodes in the file."""
    budget_steps: int
    seed: int
    world: HabitatConfig
    objects: ObjectConfig
    policies: PoliciesConfig


def open_world(config: HabitatConfig) -> HabitatWorld:
    """Return the scene that is configured."""
    return HabitatWorld(config)


def play_part(job: PartJob) -> PartResult:
    """Play the episodes of a job in their scene.

    Raises:
        HabitatError: If the file or the scene cannot be used.
    """
    started_s = time.perf_counter()
    episodes = next(
        part
        for found in read_dataset(job.file)
        for part in by_scene(found)
        if part.episodes[0].scene_id == job.scene
    )
    asked = [episode for episode in episodes.episodes if episode.index in job.indices]
    config = in_scene(job.world.model_copy(update={"episodes": ""}), episodes)
    world = open_world(config)
    try:
        rows = tuple(_play(world, episodes, episode, job) for episode in asked)
    finally:
        world.close()
    return PartResult(scene=job.scene, rows=rows, seconds=time.perf_counter() - started_s)


class _Trace:
    """What is noted while an episode is played."""

    def __init__(self) -> None:
        self.feet_m: list[Float64[np.ndarray, "3"]] = []
        self.modes: Counter[str] = Counter()
        self.decision: Decision | None = None
        self.first_seen_step: int | None = None
        self.steps = self.bumps = self.restarts = self.interventions = 0
        self.act_s = 0.0


def _play(
    world: HabitatWorld, episodes: SceneEpisodes, episode: Episode, job: PartJob
) -> EpisodeRow:
    observation = world.begin(episode)
    ends_m = episodes.view_points_m(episode)
    start_m = _distances_m(world, [world.feet_m], ends_m)[0]
    trace = _Trace()
    trace.feet_m.append(world.feet_m)
    if math.isfinite(start_m):
        _act(world, observation, ObjectGoal(goal_id="episode", label=episode.category), job, trace)
    return _row(world, episode, job, trace, float(start_m), ends_m)


def _act(
    world: HabitatWorld, observation: Observation, goal: ObjectGoal, job: PartJob, trace: _Trace
) -> None:
    """Let a newborn agent look for the goal until it stops, gives up, or the steps run out."""
    spec = world.spec
    memory = SlotMemory(None, job.objects, spec)
    policy, safety = build_policy(spec, job.policies, memory, job.seed)
    detector = build_detector(spec, job.policies.perception, job.seed)
    while trace.steps < job.budget_steps:
        started_s = time.thread_time()
        detections = detector.detect(observation)
        memory.update(observation, detections, trace.steps)
        decision = trace.decision = policy.act(observation, detections, goal)
        action = safety.clip(decision.action, observation)
        trace.act_s += time.thread_time() - started_s
        trace.modes[decision.mode.value] += 1
        if trace.first_seen_step is None and any(d.label == goal.label for d in detections):
            trace.first_seen_step = trace.steps
        trace.steps += 1  # saying stop is a step of the task
        if decision.done or decision.failed:
            break
        result = world.step(action)
        policy.note_applied(result.applied)
        observation = result.observation
        trace.restarts += sum("started again" in event for event in result.events)
        trace.bumps += observation.bumped
        trace.feet_m.append(world.feet_m)
    trace.interventions = safety.interventions


def _row(
    world: HabitatWorld,
    episode: Episode,
    job: PartJob,
    trace: _Trace,
    start_m: float,
    ends_m: Float64[np.ndarray, "n 3"],
) -> EpisodeRow:
    decision = trace.decision
    stopped = decision is not None and decision.done
    limit_m = job.world.success_m
    final_m = float(_distances_m(world, trace.feet_m[-1:], ends_m)[0])
    path_m = path_length_m(trace.feet_m)
    scored = score(
        stopped=stopped, start_m=start_m, final_m=final_m, path_m=path_m, success_m=limit_m
    )
    reachable = not math.isnan(scored.spl)
    failure = ""
    if decision is not None and not scored.success:
        stood_there = not stopped and (_distances_m(world, trace.feet_m, ends_m) < limit_m).any()
        failure = failure_of(
            success=False,
            decision=decision,
            seen=trace.first_seen_step is not None,
            stood_there=bool(stood_there),
        )
    return EpisodeRow(
        scene=episode.scene_id,
        index=episode.index,
        episode_id=episode.episode_id,
        category=episode.category,
        success=bool(scored.success) if reachable else None,
        spl=scored.spl if reachable else None,
        soft_spl=scored.soft_spl if reachable else None,
        distance_to_goal_m=final_m if reachable and math.isfinite(final_m) else None,
        start_m=start_m if reachable else None,
        path_m=path_m,
        steps=trace.steps,
        stopped=stopped,
        reason=(decision.failed or decision.reason) if decision else "no view point is reachable",
        failure=failure,
        first_seen_step=trace.first_seen_step,
        modes=dict(trace.modes),
        bumps=trace.bumps,
        interventions=trace.interventions,
        act_ms=1e3 * trace.act_s / max(trace.steps, 1),
        restarts=trace.restarts,
    )


def _distances_m(
    world: HabitatWorld,
    feet_m: list[Float64[np.ndarray, "3"]],
    ends_m: Float64[np.ndarray, "n 3"],
) -> Float64[np.ndarray, "k"]:
    """Return DistanceToGoal from each of some places."""
    starts = np.array(feet_m)
    return world.ask(lambda simulator: simulator.geodesics(starts, ends_m))[0]
