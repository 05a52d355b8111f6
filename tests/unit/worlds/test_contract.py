"""The contract bites: each broken body fails its clause, that clause alone, and is told why."""

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import SkipTest

import numpy as np
import pytest
from my_robot import MyRobot

from agentd.worlds.base import StepResult, WorldClosedError
from agentd.worlds.contract import BrokenClauseError, WorldContract
from memory.records import Action, Observation

CLAUSES = [name for name in dir(WorldContract) if name.startswith("test_")]


class Good(MyRobot):
    """MyRobot where a seed puts it; keeps every clause."""

    def reset(self, seed: int | None = None) -> Observation:
        if seed is not None:
            self.robot.place(*np.random.default_rng(seed).uniform(-1, 1, 3))
        return super().reset()


class Altered(Good):
    """Good, but for what `change` makes of every observation."""

    def change(self, seen: Observation) -> Observation:
        return seen

    def _sense(self, before: np.ndarray, bumped: bool) -> Observation:
        return self.change(super()._sense(before, bumped))


class WrongShape(Altered):
    def change(self, seen: Observation) -> Observation:
        return replace(seen, rgb=seen.rgb[:-1])


class WrongType(Altered):
    def change(self, seen: Observation) -> Observation:
        return replace(seen, depth_m=seen.depth_m.astype(np.float64))


class TooFar(Altered):
    def change(self, seen: Observation) -> Observation:
        return replace(seen, depth_m=seen.depth_m + np.float32(50))


class NothingIsZero(Altered):
    """Depth without a return is NaN, not 0."""

    def change(self, seen: Observation) -> Observation:
        depth_m = seen.depth_m.copy()
        depth_m[0] = 0.0
        return replace(seen, depth_m=depth_m)


class Unlabelled(Altered):
    def change(self, seen: Observation) -> Observation:
        instances = np.ones(seen.depth_m.shape, np.int32)
        return replace(seen, instances=instances, labels=("",))


class StandingStamps(Altered):
    def change(self, seen: Observation) -> Observation:
        return replace(seen, stamp_ns=1)


class LyingEgomotion(Altered):
    """Two in a hundred too long, as of a wheel that is worn."""

    def change(self, seen: Observation) -> Observation:
        ahead = seen.egomotion.copy()
        ahead[0] *= 1.02
        return replace(seen, egomotion=ahead)


class OwnBuffer(Altered):
    """Hands out the array that the next image is written to."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = np.zeros((64, 64, 3), np.uint8)

    def change(self, seen: Observation) -> Observation:
        self.buffer[:] = seen.rgb
        return replace(seen, rgb=self.buffer)


class UnseededCamera(Altered):
    """Noise that no seed governs."""

    count = itertools.count()

    def change(self, seen: Observation) -> Observation:
        rgb = seen.rgb.copy()
        rgb[0, 0] = next(self.count) % 251
        return replace(seen, rgb=rgb)


class RepeatsTheLastImage(Good):
    def _sense(self, before: np.ndarray, bumped: bool) -> Observation:
        if not self.robot.is_plugged:
            return replace(self.last, stamp_ns=self.last.stamp_ns + 1)
        self.last = super()._sense(before, bumped)
        return self.last


class ReportsTheWish(Good):
    def step(self, action: Action) -> StepResult:
        return replace(super().step(action), applied=action)


class ForgetsTheSource(Good):
    def step(self, action: Action) -> StepResult:
        result = super().step(action)
        return replace(result, applied=replace(result.applied, source="none"))


class WandersOff(Good):
    """A reset without a seed moves it."""

    def reset(self, seed: int | None = None) -> Observation:
        if seed is None:
            self.robot.place(0.0, 0.0, 0.0)
        return super().reset(seed)


class IgnoresTheSeed(MyRobot):
    pass


class ClosesOnce(Good):
    def close(self) -> None:
        if not self.robot.is_open:
            raise OSError("bad file descriptor")
        super().close()


class AnswersWhenClosed(Good):
    def _sense(self, before: np.ndarray, bumped: bool) -> Observation:
        self.robot.is_open = True
        return super()._sense(before, bumped)


class ChangingSpec(Good):
    @property
    def spec(self):
        self.reads = getattr(self, "reads", 0) + 1
        return replace(MyRobot.spec, height_m=0.6 if self.reads < 4 else 0.7)


class NoTick(Good):
    spec = replace(MyRobot.spec, tick_s=float("nan"))

    def __init__(self) -> None:
        super().__init__()
        self.robot._spec = MyRobot.spec


class MovesBetweenEpisodes(Good):
    """Ends its episodes, and calls the way to the next start a motion."""

    def step(self, action: Action) -> StepResult:
        self.steps = getattr(self, "steps", 0) + 1
        result = super().step(action)
        return replace(result, is_first=self.steps % 5 == 0)


class NoStep:
    spec = MyRobot.spec

    def reset(self, seed: int | None = None) -> Observation:
        return MyRobot().reset()

    def close(self) -> None:
        pass


def broken_clauses(kind: type) -> dict[str, str]:
    """Run all clauses on a kind of body; return those that failed and what they told."""

    class Owned(WorldContract):
        def make(self):
            return kind()

        def go_silent(self, world):
            world.robot.is_plugged = False

    failed = {}
    for name in CLAUSES:
        try:
            getattr(Owned(), name)()
        except SkipTest:
            continue
        except BrokenClauseError as error:
            failed[name] = str(error)
    return failed


def test_a_good_body_keeps_every_clause() -> None:
    assert broken_clauses(Good) == {}


@pytest.mark.parametrize(
    ("kind", "clause", "told"),
    [
        (WrongShape, "test_every_observation_matches_the_spec", "rgb has the shape of the spec"),
        (WrongType, "test_every_observation_matches_the_spec", "depth_m is float32, not float64"),
        (TooFar, "test_every_observation_matches_the_spec", "at most spec.depth_max_m"),
        (NothingIsZero, "test_every_observation_matches_the_spec", "NaN where nothing returned"),
        (Unlabelled, "test_every_observation_matches_the_spec", "labels name the instances"),
        (StandingStamps, "test_stamps_never_stand_still", "raise StaleWorldError instead"),
        (LyingEgomotion, "test_egomotion_composes_to_the_pose", "egomotion composes to the pose"),
        (OwnBuffer, "test_an_observation_never_changes_afterwards", "its rgb was"),
        (RepeatsTheLastImage, "test_silent_sensors_are_told", "raises StaleWorldError"),
        (ReportsTheWish, "test_the_applied_action_is_reported_and_within_the_limits", "50"),
        (
            ForgetsTheSource,
            "test_the_applied_action_is_reported_and_within_the_limits",
            "keeps its source, operator",
        ),
        (
            WandersOff,
            "test_reset_without_a_seed_leaves_the_body_where_it_is",
            "leaves the body where it is",
        ),
        (IgnoresTheSeed, "test_reset_with_a_seed_is_repeatable", "rgb differs"),
        (ClosesOnce, "test_closing_twice_is_quiet", "bad file descriptor"),
        (AnswersWhenClosed, "test_a_closed_body_is_not_used", "reset after close"),
        (ChangingSpec, "test_its_spec_is_sound_and_constant", "height_m was 0.6, then 0.7"),
        (MovesBetweenEpisodes, "test_an_episode_that_the_world_ends_is_told", "between episodes"),
    ],
)
def test_a_broken_body_fails_its_clause_alone(kind: type, clause: str, told: str) -> None:
    failed = broken_clauses(kind)
    assert list(failed) == [clause], failed
    assert told in failed[clause]


def test_noise_that_no_seed_governs_breaks_both_clauses_of_repetition() -> None:
    assert list(broken_clauses(UnseededCamera)) == [
        "test_reset_with_a_seed_is_repeatable",
        "test_two_bodies_of_a_kind_live_the_same_life",
    ]


def test_a_body_without_a_member_is_told_which() -> None:
    class Owned(WorldContract):
        def make(self):
            return NoStep()

    with pytest.raises(BrokenClauseError, match=r"lacks \['step'\]"):
        Owned().test_it_is_a_world()


def test_a_spec_that_no_body_can_have_is_told() -> None:
    class Owned(WorldContract):
        def make(self):
            return NoTick()

    with pytest.raises(BrokenClauseError, match=r"spec\.tick_s is a positive number, not nan"):
        Owned().test_its_spec_is_sound_and_constant()


def test_the_owner_of_a_robot_runs_it_with_pytest_and_reads_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(
        "from my_robot import MyRobot\n"
        "from agentd.worlds.contract import WorldContract\n"
        "class Slow(MyRobot):\n"
        "    def close(self):\n"
        "        assert self.robot.is_open, 'already closed'\n"
        "        super().close()\n"
        "class TestMyRobot(WorldContract):\n"
        "    is_repeatable = False\n"
        "    def make(self):\n"
        "        return Slow()\n"
    )
    tests = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o",
         f"pythonpath={tests} {tests.parent}", "test_theirs.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"1 failed, {len(CLAUSES) - 6} passed, 5 skipped" in done.stdout
    assert "closing twice is quiet; the second close raised AssertionError" in done.stdout


def test_the_contract_needs_no_pytest() -> None:
    code = "import sys, agentd.worlds.contract; print('pytest' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"


def test_a_closed_robot_says_so() -> None:
    robot = MyRobot()
    robot.close()
    with pytest.raises(WorldClosedError):
        robot.reset()
