"""The motion model of the body: what it finds out, how fast, and what it is not fooled by."""

import math
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from fakes_policies import fake_spec

from memory.frames import compose
from memory.records import Action
from policies.body_model import BodyModel
from policies.config import DriveConfig, PoliciesConfig
from policies.follower import LocalClearance
from policies.helm import Helm
from policies.occupancy import OccupancyMap

SPEC = fake_spec()
TRACK_M = 0.3


@dataclass
class Body:
    """A unicycle with a delay in ticks, inertia, weak motors, and wheels that turn by the metre."""

    delay: int = 0
    lag_s: float = 0.0
    left: float = 1.0
    right: float = 1.0
    drift_radpm: float = 0.0
    speed: np.ndarray = field(default_factory=lambda: np.zeros(2))
    pipe: deque = field(default_factory=lambda: deque([(0.0, 0.0)] * 8, maxlen=8))

    def step(self, v: float, w: float) -> np.ndarray:
        """Return the egomotion of one tick."""
        self.pipe.appendleft((v, w))
        share = -math.expm1(-SPEC.tick_s / self.lag_s) if self.lag_s else 1.0
        self.speed = self.speed + share * (np.array(self.pipe[self.delay]) - self.speed)
        half = 0.5 * self.speed[1] * TRACK_M
        a, b = self.left * (self.speed[0] - half), self.right * (self.speed[0] + half)
        v, w = (a + b) / 2, (b - a) / TRACK_M
        turn = (w + v * self.drift_radpm) * SPEC.tick_s
        chord = v * SPEC.tick_s * np.sinc(turn / (2 * np.pi))
        return np.array([chord * math.cos(turn / 2), chord * math.sin(turn / 2), turn])


def seen(egomotion: np.ndarray, *, bumped: bool = False) -> SimpleNamespace:
    """Return what the model reads of an observation."""
    return SimpleNamespace(egomotion=egomotion.astype(np.float32), bumped=bumped)


def live(model: BodyModel, body: Body, ticks: int, rng: np.random.Generator) -> None:
    """Drive about for a while: straight, in arcs, and turning on the spot."""
    for tick in range(ticks):
        if tick % 6 == 0:
            v = rng.uniform(0, SPEC.v_max_mps) * rng.integers(2)
            w = rng.uniform(-SPEC.w_max_radps, SPEC.w_max_radps)
        model.note_told(v, w)
        model.sense(seen(body.step(v, w)))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (Body(delay=2), "acts 0.4 s later"),
        (Body(delay=3), "acts 0.6 s later"),
        (Body(lag_s=0.5), "s later than told"),
        (Body(left=0.5, right=0.5), "turns by 50% of the angle"),
        (Body(drift_radpm=1.0), "rad/m more than told"),
    ],
)
def test_it_finds_out_what_has_become_of_the_body(body: Body, words: str) -> None:
    rng, model = np.random.default_rng(0), BodyModel(SPEC, DriveConfig())
    live(model, Body(), 40, rng)
    assert model.about() == ""
    live(model, body, 120, rng)
    assert model.error < 0.02
    assert words in model.about()
    assert model.drift is not None
    assert model.drift.adapted_after is not None


def test_a_frozen_model_notices_and_stays_as_it_is() -> None:
    rng, model = np.random.default_rng(1), BodyModel(SPEC, DriveConfig(adapt=False))
    live(model, Body(delay=2), 60, rng)
    assert model.about() == ""
    assert model.drift is not None
    assert model.error > 0.1


def test_it_learns_the_sound_body_anew() -> None:
    rng, model = np.random.default_rng(2), BodyModel(SPEC, DriveConfig())
    live(model, Body(delay=2, left=0.7), 90, rng)
    live(model, Body(), 90, rng)
    assert model.about() == ""


def test_outliers_bumps_and_what_holds_the_body_teach_nothing() -> None:
    rng, model = np.random.default_rng(3), BodyModel(SPEC, DriveConfig())
    live(model, Body(), 60, rng)
    before = model.save()["body_theta"]
    for kick in (np.array([0.1, 0.2, 1.0]), np.array([np.nan, 0.0, 0.0])):
        model.note_told(0.3, 0.0)
        model.sense(seen(kick))
    model.note_told(0.5, 0.0)
    model.sense(seen(np.zeros(3), bumped=True))
    np.testing.assert_allclose(model.save()["body_theta"], before, atol=0.02)


def test_a_long_straight_drive_does_not_blur_how_it_turns() -> None:
    rng, model, body = (
        np.random.default_rng(4),
        BodyModel(SPEC, DriveConfig()),
        Body(0, 0, 0.6, 0.6),
    )
    live(model, body, 90, rng)
    for _ in range(600):
        model.note_told(0.5, 0.0)
        model.sense(seen(body.step(0.5, 0.0)))
    v, w = model.command(0.0, 0.9)
    assert v == pytest.approx(0.0, abs=0.02)
    assert w == pytest.approx(0.9 / 0.6, rel=0.05)


def test_what_safety_made_of_a_command_is_what_counts() -> None:
    model, body = BodyModel(SPEC, DriveConfig()), Body()
    for _ in range(30):
        model.note_told(0.6, 0.0)
        model.note_applied(Action(v_mps=0.2, w_radps=0.0, duration_s=SPEC.tick_s))
        model.sense(seen(body.step(0.2, 0.0)))
    assert model.about() == ""


def test_it_is_saved_and_what_does_not_fit_is_learned_anew() -> None:
    rng, model = np.random.default_rng(5), BodyModel(SPEC, DriveConfig())
    live(model, Body(delay=2), 90, rng)
    again, fresh = BodyModel(SPEC, DriveConfig()), BodyModel(SPEC, DriveConfig())
    again.load(model.save())
    assert again.about() == model.about() != ""
    fresh.load({"body_theta": np.zeros(3)})
    assert fresh.about() == ""


@pytest.mark.parametrize(("adapt", "arrives"), [(True, True), (False, False)])
def test_a_late_body_follows_a_path_once_it_is_known(adapt: bool, arrives: bool) -> None:
    config = PoliciesConfig(drive=DriveConfig(adapt=adapt))
    occupancy = OccupancyMap(SPEC, config.map)
    helm, body, rng = Helm(SPEC, config, occupancy), Body(delay=2), np.random.default_rng(6)
    live(helm.body, body, 60, rng)
    helm.body.interrupt()
    body.pipe.extendleft([(0.0, 0.0)] * 8)
    pose, path = np.zeros(3), np.stack([np.linspace(0, 3, 61), np.zeros(61)], axis=1)
    pose[2], egomotion, turned_rad = 2.0, np.zeros(3), 0.0
    for _ in range(60):
        helm.sense(seen(egomotion), pose)
        command = helm.follow(path, LocalClearance(occupancy, pose[:2]))
        assert command is not None
        helm.note_told(*command)
        egomotion = body.step(*command)
        pose = compose(pose, egomotion)
        turned_rad += abs(float(egomotion[2]))
    assert (math.dist(pose[:2], path[-1]) < 0.1 and turned_rad < 3.0) == arrives


def test_what_no_wheels_bring_about_and_no_numbers_spoil_nothing() -> None:
    rng, model = np.random.default_rng(6), BodyModel(SPEC, DriveConfig())
    live(model, Body(), 40, rng)
    before = model.save()["body_theta"]
    for _ in range(6):
        model.note_told(0.5, 0.0)
        model.sense(seen(np.array([5.0, 0.0, 0.0])))
    model.note_told(0.5, 0.0)
    model.note_applied(Action(v_mps=math.nan, w_radps=0.0, duration_s=SPEC.tick_s))
    model.sense(seen(Body().step(0.5, 0.0)))
    assert model.drift is None
    np.testing.assert_allclose(model.save()["body_theta"], before, atol=0.02)
    assert np.isfinite(model.coast(np.zeros(3))).all()


def test_a_dead_wheel_leaves_commands_that_can_be_given() -> None:
    rng, model = np.random.default_rng(7), BodyModel(SPEC, DriveConfig())
    live(model, Body(left=0.0), 150, rng)
    for wanted in ((0.5, 0.0), (0.0, 0.6), (0.3, -0.6)):
        v, w = model.command(*wanted)
        assert v * wanted[0] >= 0
        assert w * wanted[1] >= 0
        assert (v, w) != (0.0, 0.0)
    model._theta[:, :2] = 0.5  # without any noise way and turn are one and the same
    model._theta[:, 2:] = 0.0
    model._refresh()
    v, w = model.command(0.5, 0.0)
    assert v > 0
    assert w == 0


def test_what_acts_while_nothing_is_seen_is_not_driven_twice() -> None:
    rng, model, body = np.random.default_rng(8), BodyModel(SPEC, DriveConfig()), Body(delay=2)
    live(model, body, 90, rng)
    for _ in range(4):
        model.note_told(0.5, 0.0)
        model.sense(seen(body.step(0.5, 0.0)))
    assert model.coast(np.zeros(3))[0] > 0.15
    before = model.save()["body_theta"]
    for _ in range(5):
        model.note_unseen()
        moved = body.step(0.0, 0.0)
    model.sense(seen(moved))
    assert abs(model.coast(np.zeros(3))[0]) < 0.02
    np.testing.assert_array_equal(model.save()["body_theta"], before)
