"""What every World must do, as tests that any package can run on its own body.

    from agentd.worlds.contract import WorldContract

    class TestMyRobot(WorldContract):
        def make(self):
            return MyRobot()

pytest collects the clauses below; each makes a body of its own, closes it, and says in words what
is broken. A robot that cannot be put back sets `is_repeatable = False`.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise
from unittest import SkipTest

import numpy as np

from agentd.worlds.base import Resumable, StaleWorldError, StepResult, World, WorldClosedError
from agentd.worlds.clauses import (
    SENSED,
    BrokenClauseError,
    check_applied,
    check_observation,
    check_spec,
    draw_actions,
    must,
    must_be_same,
    pose_of,
)
from memory.frames import compose, wrap_rad
from memory.records import Action, BodySpec

__all__ = ["BrokenClauseError", "WorldContract"]

_MEMBERS = ("spec", "reset", "step", "close")


class WorldContract:
    """The clauses. A subclass gives `make`, and says what its body cannot do.

    Attributes:
        is_repeatable: Whether the same seed and actions give the same observations.
        simulates_time: Whether they give the same stamps too.
        obeys: Whether it does what it is asked, within its limits; a recording does not.
        is_resumable: Whether it must be able to save its state; None: where it can, it is tried.
        pose_tolerance_m: How far the sum of the egomotions may end from the pose.
        pose_tolerance_rad: The same for the heading.
        num_steps: Steps that the longer clauses drive.
    """

    is_repeatable: bool = True
    simulates_time: bool = False
    obeys: bool = True
    is_resumable: bool | None = None
    pose_tolerance_m: float = 1e-4
    pose_tolerance_rad: float = 1e-4
    num_steps: int = 16

    def make(self) -> World:
        """Return a new body, the same every time."""
        raise NotImplementedError(f"{type(self).__name__} must define make()")

    def go_silent(self, world: World) -> None:
        """Make the body's sensors fall silent; overridden by bodies that can."""
        raise SkipTest("go_silent() is not defined: what happens without sensors is not tried")

    # ------------------------------------------------------------------ what it is
    def test_it_is_a_world(self) -> None:
        """It has spec, reset, step and close."""
        made = self.make()
        missing = [name for name in _MEMBERS if not hasattr(made, name)]
        must(not missing, f"a World has {', '.join(_MEMBERS)}; this one lacks {missing}")
        made.close()

    def test_its_spec_is_sound_and_constant(self) -> None:
        """The spec describes a body that can be, and stays the same."""
        with self._made() as world:
            spec = world.spec
            check_spec(spec)
            world.reset(1)
            world.step(draw_actions(spec, 1, seed=0)[0])
            for field in fields(BodySpec):
                before, after = getattr(spec, field.name), getattr(world.spec, field.name)
                same = bool(np.all(before == after))
                must(same, f"the spec is constant; {field.name} was {before}, then {after}")

    def test_every_observation_matches_the_spec(self) -> None:
        """Shapes, types and ranges are those that the spec and the records promise."""
        with self._made() as world:
            check_observation(world.reset(1), world.spec)
            for result in self._driven(world, seed=0):
                check_observation(result.observation, world.spec)

    # ------------------------------------------------------------------ resets
    def test_reset_with_a_seed_is_repeatable(self) -> None:
        """The same seed opens the same episode."""
        self._needs_repeatable()
        with self._made() as world:
            first = world.reset(7)
            for _ in self._driven(world, seed=6, count=3):
                pass
            again = world.reset(7)
            must_be_same(first, again, "reset(7) gives the same observation each time")

    def test_two_bodies_of_a_kind_live_the_same_life(self) -> None:
        """The same seed and the same actions lead to the same observations."""
        self._needs_repeatable()
        streams = []
        for _ in range(2):
            with self._made() as world:
                first = world.reset(5)
                results = self._driven(world, seed=1)
                streams.append([first, *(result.observation for result in results)])
        rule = "the same seed and actions give the same observations"
        for k, (a, b) in enumerate(zip(*streams, strict=True)):
            must_be_same(a, b, f"{rule} (step {k})", stamps=self.simulates_time)

    def test_reset_without_a_seed_leaves_the_body_where_it_is(self) -> None:
        """It opens an episode where the body is, and no motion led there."""
        with self._made() as world:
            world.reset(2)
            before = world.step(draw_actions(world.spec, 1, seed=2)[0]).observation
            after = world.reset()
            moved = np.abs(pose_of(after, world.spec) - pose_of(before, world.spec))
            must(
                moved[:2].max() <= self.pose_tolerance_m,
                f"reset() leaves the body where it is; it moved by {moved[:2]} m",
            )
            must(
                not after.egomotion.any(),
                f"the first egomotion of an episode is zero, not {after.egomotion}",
            )
            must(not after.bumped, "the first observation of an episode is not bumped")

    # ------------------------------------------------------------------ time
    def test_stamps_never_stand_still(self) -> None:
        """Every observation has a later stamp than the one before it."""
        with self._made() as world:
            stamps = [world.reset(1).stamp_ns, world.reset().stamp_ns]
            stamps += [r.observation.stamp_ns for r in self._driven(world, seed=3)]
            stamps.append(world.reset(1).stamp_ns)
            for a, b in pairwise(stamps):
                must(
                    a < b,
                    f"stamps rise with every observation; {a} ns was followed by {b} ns. What is "
                    f"old must not be passed as new: raise StaleWorldError instead",
                )

    def test_an_observation_never_changes_afterwards(self) -> None:
        """Its arrays are its own: no buffer that the next image is written to."""
        with self._made() as world:
            given = world.reset(1)
            kept = {name: np.copy(getattr(given, name)) for name in SENSED}
            for _ in self._driven(world, seed=4, count=4):
                pass
            for name, before in kept.items():
                same = np.array_equal(before, getattr(given, name), equal_nan=name == "depth_m")
                must(same, f"an observation is never written to again; its {name} was")

    def test_silent_sensors_are_told(self) -> None:
        """A body that senses nothing new raises; it does not repeat what it saw."""
        with self._made() as world:
            world.reset(1)
            action = draw_actions(world.spec, 1, seed=0)[0]
            self.go_silent(world)
            try:
                world.step(action)
            except StaleWorldError:
                return
            must(False, "step raises StaleWorldError when nothing new is sensed; it returned")

    # ------------------------------------------------------------------ motion
    def test_the_applied_action_is_reported_and_within_the_limits(self) -> None:
        """Whatever is asked, what is reported lies within what the body can do."""
        with self._made() as world:
            spec = world.spec
            world.reset(1)
            for v_mps, w_radps in ((50.0, -90.0), (-50.0, 90.0)):
                wild = Action(
                    v_mps=v_mps, w_radps=w_radps, duration_s=spec.tick_s, source="operator"
                )
                check_applied(wild, world.step(wild).applied, spec, obeys=self.obeys)

    def test_egomotion_composes_to_the_pose(self) -> None:
        """The motions since the first observation of an episode add up to the pose."""
        with self._made() as world:
            spec = world.spec
            pose = pose_of(world.reset(4), spec)
            for k, result in enumerate(self._driven(world, seed=4)):
                there = pose_of(result.observation, spec)
                if result.is_first:
                    pose = there
                    continue
                pose = compose(pose, result.observation.egomotion)
                off_m = float(np.hypot(*(pose[:2] - there[:2])))
                off_rad = abs(wrap_rad(float(pose[2] - there[2])))
                must(
                    off_m <= self.pose_tolerance_m and off_rad <= self.pose_tolerance_rad,
                    f"egomotion composes to the pose; after step {k} the sum lies {off_m:.4g} m "
                    f"and {off_rad:.4g} rad from it (egomotion is dx, dy, dyaw in the body frame "
                    f"of the observation before)",
                )

    def test_an_episode_that_the_world_ends_is_told(self) -> None:
        """The observation that opens the next one follows from no action and no motion."""
        with self._made() as world:
            world.reset(1)
            for result in self._driven(world, seed=8, count=4 * self.num_steps):
                if not result.is_first:
                    must(not result.was_terminal, "was_terminal belongs to is_first results")
                    continue
                rests = result.applied.v_mps == 0 and result.applied.w_radps == 0
                must(rests, f"nothing is carried out between episodes, not {result.applied}")
                moved = result.observation.egomotion
                must(not moved.any(), f"no motion leads from one episode to another: {moved}")

    # ------------------------------------------------------------------ its end
    def test_closing_twice_is_quiet(self) -> None:
        """Everyone who is done with a body may close it."""
        world = self.make()
        world.reset(1)
        world.close()
        try:
            world.close()
        except Exception as error:  # whatever a driver may raise
            raise BrokenClauseError(
                f"closing twice is quiet; the second close raised {type(error).__name__}: {error}"
            ) from error

    def test_a_closed_body_is_not_used(self) -> None:
        """Both reset and step refuse."""
        world = self.make()
        action = draw_actions(world.spec, 1, seed=0)[0]
        world.reset(1)
        world.close()
        for name in ("reset", "step"):
            try:
                world.reset(1) if name == "reset" else world.step(action)
            except WorldClosedError:
                continue
            except Exception as error:  # whatever a driver may raise
                what = f"raised {type(error).__name__}: {error}"
                raise BrokenClauseError(
                    f"{name} after close raises WorldClosedError; it {what}"
                ) from error
            must(False, f"{name} after close raises WorldClosedError; it answered")

    # ------------------------------------------------------------------ taken up again
    def test_a_saved_world_goes_on_as_if_nothing_had_happened(self) -> None:
        """Another body that loads the state observes and does the same from there on."""
        with self._resumable() as (world, saver), self._resumable() as (other, loader):
            actions = draw_actions(world.spec, self.num_steps, seed=5)
            last = world.reset(6)
            for action in actions[:4]:
                last = world.step(action).observation
            state = saver.save_state()
            other.reset(9)
            rule = "a loaded state is where the saved one was"
            must_be_same(loader.load_state(state), last, rule, stamps=True)
            for k, action in enumerate(actions[4:]):
                a, b = world.step(action), other.step(action)
                rule = f"a loaded world goes on as the saved one did (step {k})"
                must_be_same(a.observation, b.observation, rule, stamps=True)
                must(a.applied == b.applied, f"{rule}: applied {a.applied} and {b.applied}")
                must(a.events == b.events, f"{rule}: told {a.events} and {b.events}")

    def test_a_damaged_state_is_refused_and_changes_nothing(self) -> None:
        """It raises ValueError and says that it is damaged."""
        with self._resumable() as (world, saver):
            world.reset(6)
            state = saver.save_state()
            flipped = bytearray(state)
            flipped[len(state) // 2] ^= 0xFF
            for broken in (b"", b"nonsense", state[: len(state) // 2], bytes(flipped)):
                told = ""
                try:
                    saver.load_state(broken)
                except ValueError as error:
                    told = str(error)
                must("damaged" in told, f"a damaged state is refused and named; told: {told!r}")
            must(saver.save_state() == state, "a state that is refused changes nothing")

    # ------------------------------------------------------------------ how it is asked
    @contextlib.contextmanager
    def _made(self) -> Iterator[World]:
        with contextlib.closing(self.make()) as world:
            yield world

    @contextlib.contextmanager
    def _resumable(self) -> Iterator[tuple[World, Resumable]]:
        with self._made() as world:
            if not isinstance(world, Resumable):
                must(not self.is_resumable, "is_resumable: it has save_state and load_state")
                raise SkipTest("a robot is where it is")
            yield world, world

    def _driven(self, world: World, seed: int, count: int | None = None) -> Iterator[StepResult]:
        for action in draw_actions(world.spec, count or self.num_steps, seed=seed):
            yield world.step(action)

    def _needs_repeatable(self) -> None:
        if not self.is_repeatable:
            raise SkipTest("a robot cannot be put back: is_repeatable is False")
