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
from jaxtyping import Float64

from agentd.worlds.base import Resumable, StaleWorldError, StepResult, World, WorldClosedError
from memory.frames import body_pose, compose, wrap_rad
from memory.records import Action, BodySpec, Observation

_MEMBERS = ("spec", "reset", "step", "close")
_SLACK = 1 + 1e-6
_SENSED = ("rgb", "depth_m", "instances", "T_world_camera", "egomotion")


class BrokenClauseError(AssertionError):
    """The body does not keep a clause; the message says which, and what it did instead."""


class WorldContract:
    """The clauses. A subclass gives `make`, and says what its body cannot do.

    Attributes:
        is_repeatable: Whether the same seed and actions give the same observations.
        simulates_time: Whether they give the same stamps too.
        is_resumable: Whether it must be able to save its state; None: where it can, it is tried.
        pose_tolerance_m: How far the sum of the egomotions may end from the pose.
        pose_tolerance_rad: The same for the heading.
        num_steps: Steps that the longer clauses drive.
    """

    is_repeatable: bool = True
    simulates_time: bool = False
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
        _must(not missing, f"a World has {', '.join(_MEMBERS)}; this one lacks {missing}")
        made.close()

    def test_its_spec_is_sound_and_constant(self) -> None:
        """The spec describes a body that can be, and stays the same."""
        with self._made() as world:
            spec = world.spec
            _check_spec(spec)
            world.reset(1)
            world.step(_actions(spec, 1, seed=0)[0])
            for field in fields(BodySpec):
                before, after = getattr(spec, field.name), getattr(world.spec, field.name)
                same = bool(np.all(before == after))
                _must(same, f"the spec is constant; {field.name} was {before}, then {after}")

    def test_every_observation_matches_the_spec(self) -> None:
        """Shapes, types and ranges are those that the spec and the records promise."""
        with self._made() as world:
            _check_observation(world.reset(1), world.spec)
            for result in self._driven(world, seed=0):
                _check_observation(result.observation, world.spec)

    # ------------------------------------------------------------------ resets
    def test_reset_with_a_seed_is_repeatable(self) -> None:
        """The same seed opens the same episode."""
        self._needs_repeatable()
        with self._made() as world:
            first = world.reset(7)
            for _ in self._driven(world, seed=6, count=3):
                pass
            again = world.reset(7)
            _must_be_same(first, again, "reset(7) gives the same observation each time")

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
            _must_be_same(a, b, f"{rule} (step {k})", stamps=self.simulates_time)

    def test_reset_without_a_seed_leaves_the_body_where_it_is(self) -> None:
        """It opens an episode where the body is, and no motion led there."""
        with self._made() as world:
            world.reset(2)
            before = world.step(_actions(world.spec, 1, seed=2)[0]).observation
            after = world.reset()
            moved = np.abs(_pose(after, world.spec) - _pose(before, world.spec))
            _must(
                moved[:2].max() <= self.pose_tolerance_m,
                f"reset() leaves the body where it is; it moved by {moved[:2]} m",
            )
            _must(
                not after.egomotion.any(),
                f"the first egomotion of an episode is zero, not {after.egomotion}",
            )
            _must(not after.bumped, "the first observation of an episode is not bumped")

    # ------------------------------------------------------------------ time
    def test_stamps_never_stand_still(self) -> None:
        """Every observation has a later stamp than the one before it."""
        with self._made() as world:
            stamps = [world.reset(1).stamp_ns, world.reset().stamp_ns]
            stamps += [r.observation.stamp_ns for r in self._driven(world, seed=3)]
            stamps.append(world.reset(1).stamp_ns)
            for a, b in pairwise(stamps):
                _must(
                    a < b,
                    f"stamps rise with every observation; {a} ns was followed by {b} ns. What is "
                    f"old must not be passed as new: raise StaleWorldError instead",
                )

    def test_an_observation_never_changes_afterwards(self) -> None:
        """Its arrays are its own: no buffer that the next image is written to."""
        with self._made() as world:
            given = world.reset(1)
            kept = {name: np.copy(getattr(given, name)) for name in _SENSED}
            for _ in self._driven(world, seed=4, count=4):
                pass
            for name, before in kept.items():
                same = np.array_equal(before, getattr(given, name), equal_nan=name == "depth_m")
                _must(same, f"an observation is never written to again; its {name} was")

    def test_silent_sensors_are_told(self) -> None:
        """A body that senses nothing new raises; it does not repeat what it saw."""
        with self._made() as world:
            world.reset(1)
            action = _actions(world.spec, 1, seed=0)[0]
            self.go_silent(world)
            try:
                world.step(action)
            except StaleWorldError:
                return
            _must(False, "step raises StaleWorldError when nothing new is sensed; it returned")

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
                _check_applied(wild, world.step(wild).applied, spec)

    def test_egomotion_composes_to_the_pose(self) -> None:
        """The motions since the first observation of an episode add up to the pose."""
        with self._made() as world:
            spec = world.spec
            pose = _pose(world.reset(4), spec)
            for k, result in enumerate(self._driven(world, seed=4)):
                there = _pose(result.observation, spec)
                if result.is_first:
                    pose = there
                    continue
                pose = compose(pose, result.observation.egomotion)
                off_m = float(np.hypot(*(pose[:2] - there[:2])))
                off_rad = abs(wrap_rad(float(pose[2] - there[2])))
                _must(
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
                    _must(not result.was_terminal, "was_terminal belongs to is_first results")
                    continue
                rests = result.applied.v_mps == 0 and result.applied.w_radps == 0
                _must(rests, f"nothing is carried out between episodes, not {result.applied}")
                moved = result.observation.egomotion
                _must(not moved.any(), f"no motion leads from one episode to another: {moved}")

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
        action = _actions(world.spec, 1, seed=0)[0]
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
            _must(False, f"{name} after close raises WorldClosedError; it answered")

    # ------------------------------------------------------------------ taken up again
    def test_a_saved_world_goes_on_as_if_nothing_had_happened(self) -> None:
        """Another body that loads the state observes and does the same from there on."""
        with self._resumable() as (world, saver), self._resumable() as (other, loader):
            actions = _actions(world.spec, self.num_steps, seed=5)
            last = world.reset(6)
            for action in actions[:4]:
                last = world.step(action).observation
            state = saver.save_state()
            other.reset(9)
            rule = "a loaded state is where the saved one was"
            _must_be_same(loader.load_state(state), last, rule, stamps=True)
            for k, action in enumerate(actions[4:]):
                a, b = world.step(action), other.step(action)
                rule = f"a loaded world goes on as the saved one did (step {k})"
                _must_be_same(a.observation, b.observation, rule, stamps=True)
                _must(a.applied == b.applied, f"{rule}: applied {a.applied} and {b.applied}")
                _must(a.events == b.events, f"{rule}: told {a.events} and {b.events}")

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
                _must("damaged" in told, f"a damaged state is refused and named; told: {told!r}")
            _must(saver.save_state() == state, "a state that is refused changes nothing")

    # ------------------------------------------------------------------ how it is asked
    @contextlib.contextmanager
    def _made(self) -> Iterator[World]:
        with contextlib.closing(self.make()) as world:
            yield world

    @contextlib.contextmanager
    def _resumable(self) -> Iterator[tuple[World, Resumable]]:
        with self._made() as world:
            if not isinstance(world, Resumable):
                _must(not self.is_resumable, "is_resumable: it has save_state and load_state")
                raise SkipTest("a robot is where it is")
            yield world, world

    def _driven(self, world: World, seed: int, count: int | None = None) -> Iterator[StepResult]:
        for action in _actions(world.spec, count or self.num_steps, seed=seed):
            yield world.step(action)

    def _needs_repeatable(self) -> None:
        if not self.is_repeatable:
            raise SkipTest("a robot cannot be put back: is_repeatable is False")


def _must(holds: bool, rule: str) -> None:
    if not holds:
        raise BrokenClauseError(rule)


def _must_be_same(a: Observation, b: Observation, rule: str, *, stamps: bool = False) -> None:
    _must(not stamps or a.stamp_ns == b.stamp_ns, f"{rule}: stamps {a.stamp_ns} and {b.stamp_ns}")
    _must(a.labels == b.labels, f"{rule}: labels {a.labels} and {b.labels}")
    _must(a.bumped == b.bumped, f"{rule}: bumped {a.bumped} and {b.bumped}")
    for name in _SENSED:
        one, other = getattr(a, name), getattr(b, name)
        if one is None or other is None:
            _must(one is other, f"{rule}: one of them has no {name}")
            continue
        same = np.array_equal(one, other, equal_nan=name == "depth_m")
        _must(same, f"{rule}: {name} differs")


def _actions(spec: BodySpec, count: int, seed: int) -> list[Action]:
    rng = np.random.default_rng(seed)
    v, w = rng.uniform(-0.3, 1, count), rng.uniform(-1, 1, count)
    return [
        Action(
            v_mps=float(a) * spec.v_max_mps,
            w_radps=float(b) * spec.w_max_radps,
            duration_s=spec.tick_s,
            source="planner",
        )
        for a, b in zip(v, w, strict=True)
    ]


def _pose(observation: Observation, spec: BodySpec) -> Float64[np.ndarray, "3"]:
    return np.asarray(body_pose(observation.T_world_camera, spec), dtype=np.float64)


def _check_spec(spec: BodySpec) -> None:
    _must(isinstance(spec, BodySpec), f"spec is a BodySpec, not a {type(spec).__name__}")
    for field in fields(BodySpec):
        value = getattr(spec, field.name)
        if field.name in ("name", "T_body_camera"):
            continue
        is_sound = bool(np.isfinite(value)) and value > 0
        _must(is_sound, f"spec.{field.name} is a positive number, not {value!r}")
    _check_rigid("spec.T_body_camera", spec.T_body_camera)


def _check_rigid(name: str, T: Float64[np.ndarray, "4 4"]) -> None:
    found = np.asarray(T)
    _must(found.shape == (4, 4), f"{name} has shape (4, 4), not {found.shape}")
    _must(found.dtype == np.float64, f"{name} is float64, not {found.dtype}")
    R = found[:3, :3]
    is_rigid = np.allclose(R @ R.T, np.eye(3), atol=1e-6) and np.linalg.det(R) > 0
    _must(bool(is_rigid), f"{name} is a rotation and a translation; its rotation is {R.tolist()}")


def _check_array(name: str, found: object, shape: tuple[int, ...], kind: type) -> None:
    _must(isinstance(found, np.ndarray), f"{name} is an array, not a {type(found).__name__}")
    array = np.asarray(found)
    _must(array.shape == shape, f"{name} has the shape of the spec, {shape}, not {array.shape}")
    _must(array.dtype == kind, f"{name} is {np.dtype(kind)}, not {array.dtype}")


def _check_observation(seen: Observation, spec: BodySpec) -> None:
    shape = (spec.height_px, spec.width_px)
    _check_array("rgb", seen.rgb, (*shape, 3), np.uint8)
    _check_array("depth_m", seen.depth_m, shape, np.float32)
    depth = seen.depth_m[~np.isnan(seen.depth_m)]
    if depth.size:
        low, high = float(depth.min()), float(depth.max())
        _must(low > 0, f"depth_m is above 0, or NaN where nothing returned; found {low}")
        limit = spec.depth_max_m * _SLACK
        _must(high <= limit, f"depth_m is at most spec.depth_max_m, {spec.depth_max_m}, not {high}")
    _check_rigid("T_world_camera", seen.T_world_camera)
    _check_array("egomotion", seen.egomotion, (3,), np.float32)
    _must(bool(np.isfinite(seen.egomotion).all()), f"egomotion is finite, not {seen.egomotion}")
    # The types of numpy have names like those of Python.
    _must(isinstance(seen.bumped, bool), f"bumped is a plain bool, not {type(seen.bumped)}")
    _must(isinstance(seen.stamp_ns, int), f"stamp_ns is a plain int, not {type(seen.stamp_ns)}")
    is_charge = np.isnan(seen.battery) or 0 <= seen.battery <= 1
    _must(bool(is_charge), f"battery is 0 to 1, or NaN where unknown, not {seen.battery}")
    if seen.instances is None:
        return
    _check_array("instances", seen.instances, shape, np.int32)
    _must(seen.labels[:1] == ("",), f"labels[0] is '', for nothing; labels are {seen.labels}")
    _must(all(seen.labels[1:]), f"every instance has a label; labels are {seen.labels}")
    present = {int(number) for number in np.unique(seen.instances)} | {0}
    named = set(range(len(seen.labels)))
    _must(present == named, f"labels name the instances: {len(named)} labels for {present}")


def _check_applied(asked: Action, applied: Action, spec: BodySpec) -> None:
    numbers = (applied.v_mps, applied.w_radps, applied.duration_s)
    _must(bool(np.isfinite(numbers).all()), f"the applied action is finite, not {applied}")
    limits = (
        ("v_mps", asked.v_mps, applied.v_mps, spec.v_max_mps),
        ("w_radps", asked.w_radps, applied.w_radps, spec.w_max_radps),
    )
    for name, wanted, done, most in limits:
        _must(
            abs(done) <= most * _SLACK,
            f"the applied action is what the body did: {name} {wanted:g} was asked, its limit is "
            f"{most:g}, reported was {done:g}",
        )
        _must(done * wanted >= 0, f"{name} {wanted:g} was asked; applied is the opposite, {done:g}")
    _must(applied.duration_s > 0, f"duration_s is positive, not {applied.duration_s}")
    _must(
        applied.source == asked.source,
        f"the applied action keeps its source, {asked.source}, not {applied.source}",
    )
