"""The one place that names concrete classes: configuration in, a life's parts out."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agentd.acting import Acting
from agentd.care.care import Care
from agentd.care.fits import check_care
from agentd.events import EventLog
from agentd.exit_codes import UsageError
from agentd.goals import GoalBook
from agentd.guardian.fence import Fence
from agentd.guardian.in_life import GuardianDesk, InLifeDesk, ProcessDesk
from agentd.guardian.places import Places
from agentd.guardian.room import speed_law
from agentd.guardian.world import GuardedWorld, guarded
from agentd.home import Home
from agentd.loop import Loop, Parts, Safety, SurprisingModel
from agentd.provenance import git_commit
from agentd.recorder import Recorder
from agentd.trial import Trials
from agentd.worlds.base import World
from agentd.worlds.oracle import Oracle
from configs.guardian import GuardianConfig
from configs.schema import AgentConfig
from configs.worlds import WorldConfig
from learners.config import LearnersConfig
from learners.recipes.spec import Recipe
from learners.registry import Registry
from learners.round_spec import RoundSpec, body_to_dict
from memory.claim import settle_place
from memory.objects.memory import SlotMemory
from memory.records import BodySpec
from memory.replay.spooled import SpooledReplay
from memory.replay.store import LanceReplay
from policies.aimless import Aimless, Unguarded
from policies.config import PerceptionConfig, PoliciesConfig
from policies.detectors.components import ComponentsDetector
from policies.detectors.instances import InstanceDetector
from policies.detectors.noisy import NoisyDetector
from policies.detectors.open_vocabulary import OpenVocabularyDetector
from policies.navigator import Navigator
from policies.perception import object_rows
from policies.protocols import ClosedDetector, Detector, Policy, SlotSource
from policies.route import Area
from policies.safety import SafetyFilter
from policies.surprise import SurpriseMeter, contradiction_nats
from policies.words import Meaning, Spelling, TextEncoder, TextMatcher

_FENCE_MARGIN_M = 0.2
"""Ways are planned so far from the fence: the guardian looks at where the body would stop."""


def build_world(config: WorldConfig) -> World:
    """Return the configured body, without anything that guards it.

    Raises:
        UsageError: If it is a robot: those are driven by a life alone; see `open_body`.
    """
    match config.kind:
        case "house":
            from agentd.worlds.house.world import HouseWorld

            return HouseWorld(config.house)
        case "plugin":
            from agentd.worlds.plugin import open_plugin

            return open_plugin(config.plugin)
        case "gymnasium":
            from agentd.worlds.gymnasium.world import GymnasiumWorld

            return GymnasiumWorld(config.gymnasium)
        case "recorded":
            from agentd.worlds.recorded.world import RecordedWorld

            return RecordedWorld(config.recorded)
        case "habitat":
            from agentd.worlds.habitat.world import HabitatWorld

            return HabitatWorld(config.habitat)
        case "ros2":
            raise UsageError(
                f"{config.ros2.place} is driven by a life alone, whose guardian runs beside it: "
                f"agentd run"
            )


def open_body(home: Home, config: AgentConfig) -> World:
    """Return the body that a life drives; a robot with its guardian's process before it.

    Raises:
        AgentdError: If the body, or the guardian of a robot, cannot be had.
    """
    if config.world.kind != "ros2":
        return build_world(config.world)
    from agentd.guardian.robot import bounded_by
    from agentd.guardian.start import guardian_sink
    from agentd.worlds.ros2.world import open_robot

    # The guardian comes first: it stops whatever somebody else has set in motion.
    sink = guardian_sink(home, config)
    return open_robot(bounded_by(config.world.ros2, config.guardian), sink)


def build_desk(
    world: World, home: Home, config: AgentConfig, tell: Callable[[str], None]
) -> GuardianDesk:
    """Return who answers for the guardian of a life."""
    places = Places(home)
    if config.world.kind == "ros2":
        return ProcessDesk(places.socket)
    return InLifeDesk(world, places, tell)


def guard_world(world: World, config: AgentConfig) -> World:
    """Return the body with a guardian in front of it, if it is one that runs in this process."""
    is_simulated = config.world.is_simulated
    if not config.world.is_guarded or (is_simulated and not config.guardian.enabled):
        return world
    return guarded(world, config.guardian, is_simulated=is_simulated)


def build_oracle(world: World) -> Oracle | None:
    """Return the ground truth of a simulated world, None of a real one. For scoring only."""
    from agentd.worlds.habitat.truth import HabitatOracle
    from agentd.worlds.habitat.world import HabitatWorld
    from agentd.worlds.house.truth import HouseOracle
    from agentd.worlds.house.world import HouseWorld

    body = world.inner if isinstance(world, GuardedWorld) else world
    if isinstance(body, HabitatWorld):
        return HabitatOracle(body)
    return HouseOracle(body) if isinstance(body, HouseWorld) else None


def build_policy(
    spec: BodySpec,
    config: PoliciesConfig,
    slots: SlotSource,
    seed: int,
    law: Callable[[float], float] | None = None,
    area: Area | None = None,
) -> tuple[Navigator, SafetyFilter]:
    """Return a navigator and the safety filter that has the policy's last word.

    Args:
        spec: The body.
        config: Settings.
        slots: Objects that are known.
        seed: Of its draws.
        law: Speeds that the guardian of a robot lets go; see `build_speed_law`.
        area: Where it may drive; see `build_area`.
    """
    navigator = Navigator(spec, config, slots, np.random.default_rng(seed), area=area)
    return navigator, SafetyFilter(spec, config.safety, law)


def build_kept_policy(
    spec: BodySpec, config: AgentConfig, slots: SlotSource
) -> tuple[Navigator, SafetyFilter]:
    """Return navigator and filter of a life: they keep to what its guardian will let go."""
    law, area = build_speed_law(spec, config), build_area(config.guardian)
    return build_policy(spec, config.policies, slots, config.life.seed, law, area)


def build_speed_law(spec: BodySpec, config: AgentConfig) -> Callable[[float], float] | None:
    """Return how fast a robot may be at which distance, by its guardian; None for simulations.

    A policy that keeps to it does not need the guardian, whose interventions use up a budget.
    """
    return None if config.world.is_simulated else speed_law(config.guardian, spec.tick_s)


def build_area(config: GuardianConfig) -> Area | None:
    """Return where the fence lets the body drive, with some distance; None for everywhere."""
    fence = Fence(config.fence, config.limit.decel_mps2)
    return fence.area(_FENCE_MARGIN_M) if fence.is_set else None


def build_care(
    config: AgentConfig, spec: BodySpec, goals: GoalBook, tell: Callable[[str], None]
) -> Care:
    """Return who looks after the body.

    Raises:
        UsageError: If its settings and those of the guardian contradict each other.
    """
    use = config.care.ladder.use
    has_ladder = use == "on" or (use == "auto" and not config.world.is_simulated)
    check_care(config, has_ladder=has_ladder)
    return Care(
        config.care,
        goals,
        tell,
        tick_s=spec.tick_s,
        w_max_radps=spec.w_max_radps,
        has_ladder=has_ladder,
    )


def build_driver(
    world: World,
    config: AgentConfig,
    navigator: Navigator,
    safety: SafetyFilter,
    recorder: Recorder,
) -> tuple[Policy, Safety]:
    """Return what drives, and what guards it: chance where nobody could navigate."""
    if config.world.kind == "gymnasium":
        from agentd.worlds.gymnasium.world import GymnasiumWorld

        wanted = config.world.gymnasium
        explore, hold_steps = wanted.explore, wanted.hold_steps
        if isinstance(world, GymnasiumWorld) and (
            explore == "random" or (explore == "auto" and not world.has_depth)
        ):
            spec = world.spec
            # Not the same draws again when the life goes on.
            rng = np.random.default_rng([config.life.seed, recorder.version])
            return Aimless(spec, world.primitives, hold_steps, rng), Unguarded(spec)
    return navigator, safety


def build_detector(spec: BodySpec, config: PerceptionConfig, seed: int) -> Detector:
    """Return the configured detector.

    Args:
        spec: Body that carries the camera.
        config: Which one, and its settings.
        seed: Of its errors, if it is one that makes them on purpose.

    Raises:
        ValueError: If the weights of a network are not where they should be.
    """
    match config.detector:
        case "instances":
            return InstanceDetector(spec, config)
        case "noisy":
            return NoisyDetector(spec, config, seed)
        case "components":
            return ComponentsDetector(spec, config)
        case "open_vocabulary":
            from learners.zero_shot import ZeroShotBoxes

            asked = config.open_vocabulary
            finder = ZeroShotBoxes.load(asked.folder, asked.labels, asked.threshold)
            return OpenVocabularyDetector(spec, config, finder)


def build_stores(
    folder: Path, config: AgentConfig, spec: BodySpec, tell: Callable[[str], None]
) -> tuple[LanceReplay, SlotMemory]:
    """Open the replay store and the object memory of a home, for the one process that writes them.

    Args:
        folder: Folder of the memory.
        config: Settings.
        spec: Body that the memory is of.
        tell: Called with a sentence when tables that lie elsewhere are lost or back.

    Raises:
        StoreError: If a table is damaged or newer than this program, or lies elsewhere and cannot
            be reached.
    """
    place = settle_place(folder, config.memory.storage)
    replay = (
        LanceReplay(folder, config.memory.replay)
        if place is None
        else SpooledReplay(folder, config.memory, tell)
    )
    return replay, SlotMemory(folder, config.memory.objects, spec)


def build_parts(
    *,
    world: World,
    slots: SlotMemory,
    navigator: Navigator,
    safety: SafetyFilter,
    recorder: Recorder,
    goals: GoalBook,
    events: EventLog,
    care: Care | None = None,
    config: AgentConfig,
) -> Parts:
    """Return what the loop runs on."""
    spec = world.spec
    policy, guard = build_driver(world, config, navigator, safety, recorder)
    return Parts(
        world=world,
        detector=build_detector(spec, config.policies.perception, config.life.seed),
        object_rows=lambda detections: object_rows(detections, spec),
        slots=slots,
        policy=policy,
        safety=guard,
        meter=SurpriseMeter(),
        contradiction_nats=lambda: contradiction_nats(
            slots.news.missed_nats, slots.news.fresh_m, lambda xy_m: navigator.map.is_state(xy_m)[0]
        ),
        recorder=recorder,
        goals=goals,
        events=events,
        care=care,
    )


class Words(NamedTuple):
    """How the words of people become labels; `vocabulary` is None where any label may come."""

    matcher: TextMatcher
    vocabulary: tuple[str, ...] | None


def build_words(detector: Detector) -> Words:
    """Return what resolves the text of an object goal.

    Where the detector is a network that has vectors of texts, these help to find a label.
    """
    matcher: TextMatcher = Spelling()
    finder = detector.finder if isinstance(detector, OpenVocabularyDetector) else None
    if isinstance(finder, TextEncoder) and finder.has_text_vectors:
        matcher = Meaning(finder)
    vocabulary = detector.vocabulary if isinstance(detector, ClosedDetector) else None
    return Words(matcher, None if vocabulary is None else tuple(vocabulary))


def build_model_loader(registry: Registry) -> Callable[[str], SurprisingModel]:
    """Return a function that loads a checkpoint for acting.

    The function raises DamagedCheckpointError if a file is missing or altered.
    """

    def load(checkpoint_id: str) -> SurprisingModel:
        from learners.inference import TorchModel

        registry.verify(checkpoint_id)
        return TorchModel.load(registry.path(checkpoint_id), registry.manifest(checkpoint_id))

    return load


def build_trials(
    registry: Registry,
    config: LearnersConfig,
    recipe: Recipe,
    spec: BodySpec,
    loop: Loop,
    slots: SlotMemory,
    events: EventLog,
) -> tuple[Acting, Trials]:
    """Return what swaps models, and what tries candidates in life."""

    def emit(text: str) -> None:
        events.emit("learning", loop.state.step, text)

    acting = Acting(load_model=build_model_loader(registry), loop=loop, vectors=slots, emit=emit)
    trials = Trials(
        config=config.gate,
        recipe=recipe,
        body=body_to_dict(spec),
        registry=registry,
        acting=acting,
        life_steps=lambda: loop.state.step,
        executor=ThreadPoolExecutor(max_workers=1, thread_name_prefix="shadow"),
        emit=emit,
    )
    return acting, trials


def build_spec_maker(
    home: Home,
    config: AgentConfig,
    recipe: Recipe,
    spec: BodySpec,
    version: Callable[[], int],
) -> Callable[[str | None], RoundSpec]:
    """Return a function that describes the next learning round."""

    def make(parent_id: str | None) -> RoundSpec:
        return RoundSpec(
            memory_folder=home.memory_folder,
            checkpoints_folder=home.checkpoints_folder,
            replay_version=version(),
            parent_id=parent_id,
            learners=config.learners,
            recipe=recipe,
            replay=config.memory.replay,
            body=body_to_dict(spec),
            git_commit=git_commit(),
        )

    return make
