"""How the body moves when it is told to, learned while it lives.

Linear models with memory, fitted by recursive least squares: the motion of a tick is a weighted
sum of two commands and of the motion before. Gain, weak motors, wheels that turn the body by the
metre and inertia are linear in it; one model for each delay competes, and the one that lately
foresaw the motion best is believed. Such shallow models, fitted to the whole stream, forget
nothing that they do not learn anew (Follow-The-Leader: Liu et al. 2025, "Continual reinforcement
learning by planning with online world models"). Old samples fade only along the directions that
new ones inform about (directional forgetting: Cao and Schwartz 2000, Automatica 36), so a long
straight drive does not blur how the body turns.

Axis letters: m models by delay, k commands newest first, f features, o outputs (way forward, turn),
t time.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from memory.frames import wrap_rad
from memory.records import Action, BodySpec, Observation
from policies.config import DriveConfig

NUM_DELAYS = 5
"""Delays of 0 to 4 ticks, with what lies between two of them."""
NUM_COMMANDS = NUM_DELAYS + 1
NUM_FEATURES = 6
"""Two commands and the motion before, each (forward, turn)."""
PRIOR = 1.0
"""Weight of the body as it is specified, in samples."""
LEAST_EXCITATION = 1e-4
"""Squared length of the features below which nothing is learned: the body stands."""
QUICK, SLOW = 0.2, 0.01
"""Rates of the running means of the error: of each model and short, and long."""
BETTER_RATIO = 0.7
"""A model of another delay must have so much less squared error to be believed."""
SURPRISE_RATIO = 4.0
LEAST_SURPRISE = 0.05
"""Error, as a share of the fastest motion, below which nothing is surprising."""
SURPRISES, CALMING = 3, 0.25
"""Surprising ticks, less a share of those that are not, after which the body counts as changed;
until then they are taken for outliers and teach nothing."""
CHANGED_PRIOR = 0.1
"""Weight of all that was learned when the body has changed, in samples."""
BACK_RATIO = 1.2
LONGEST_CHANGE = 75
"""Ticks after which the error that is left counts as normal."""
STALL_TICKS = 4
STALLED_SHARE = 0.2
"""A body that should move and covers less than this for so many ticks is held by something."""
MOST_MOTION = 4.0
"""Share of the fastest motion that no wheels bring about: the body was carried."""
LEAST_DET = 0.05
"""Of the gain, as a share of its diagonal's product: below, way and turn cannot be told apart (one
wheel does nothing), and each is commanded by itself."""
MOST_MEMORY = 0.95
"""Share of a motion that may go on into the next tick."""
COAST_TICKS = 24
STANDS = 1e-3
"""Share of the fastest motion below which the body has come to rest."""
LEAST_GAIN, MOST_GAIN = 0.15, 2.0


@dataclass(slots=True, kw_only=True)
class Drift:
    """A change of the body that was noticed.

    Attributes:
        step: Tick of the body model at which it was noticed.
        error: Prediction error then, as a share of the fastest motion.
        adapted_after: Ticks until the error was back within 1.2 times what it had been, or was
            taken for normal; None while it is not.
    """

    step: int
    error: float
    adapted_after: int | None = None


class BodyModel:
    """Predicts the motion that commands bring, and finds the command that brings a motion.

    Attributes:
        frozen: What was learned stays as it is.
        drift: The last change that was noticed.
        error: Running mean of the prediction error, as a share of the fastest motion.
        step: Ticks so far of which command and motion are known.
    """

    def __init__(self, spec: BodySpec, config: DriveConfig) -> None:
        self._spec = spec
        self._config = config
        self.frozen = not config.adapt
        self._most = np.array([spec.v_max_mps, spec.w_max_radps]) * spec.tick_s
        self._window = np.arange(NUM_DELAYS)[:, None] * 2 + np.arange(4)
        self.clear()

    def clear(self) -> None:
        """Believe in the body as it is specified."""
        self._theta = np.zeros((NUM_DELAYS, NUM_FEATURES, 2))
        self._theta[:, [0, 1], [0, 1]] = 1.0
        self._information = np.tile(PRIOR * np.eye(NUM_FEATURES), (NUM_DELAYS, 1, 1))
        self._scores = np.full(NUM_DELAYS, 1.0)
        self._scores[0] = 0.0
        self._delay = 0
        self.error, self._slow = 0.0, LEAST_SURPRISE
        self._surprises = 0.0
        self.step = 0
        self.drift: Drift | None = None
        self.interrupt()
        self._refresh()

    def interrupt(self) -> None:
        """Start over with a body that stands: it was carried, or put somewhere."""
        self._told = np.zeros((NUM_COMMANDS, 2))
        self._moved = np.zeros(2)
        self._stalled = 0
        self._is_known = False

    def note_told(self, v_mps: float, w_radps: float) -> None:
        """Take in the command of this tick."""
        self._told[1:] = self._told[:-1].copy()
        self._told[0] = np.array([v_mps, w_radps]) * self._spec.tick_s / self._most
        self._is_known = True

    def note_applied(self, action: Action) -> None:
        """Correct the command of this tick: it was changed on its way to the wheels."""
        told = np.array([action.v_mps, action.w_radps]) * (action.duration_s / self._most)
        if self._is_known and np.isfinite(told).all():
            self._told[0] = told

    def note_unseen(self) -> None:
        """Take in a tick in which nothing can be sensed and the body is told to stand."""
        first, second = self._told[self._delay : self._delay + 2]
        memory = np.array(self._memory) @ self._moved
        self._moved = np.array(self._first) @ first + np.array(self._second) @ second + memory
        self.note_told(0.0, 0.0)
        self._stalled, self._is_known = 0, False

    def sense(self, observation: Observation) -> None:
        """Learn from the motion that the last command brought.

        A tick in which the body bumped, is held by something or was not driven teaches nothing.
        """
        moved = _forward_and_turn(observation.egomotion.astype(np.float64)) / self._most
        if np.abs(moved).max() > MOST_MOTION:
            self.interrupt()
            return
        known, self._is_known = self._is_known, False
        before, self._moved = self._moved, np.nan_to_num(moved)
        if not known or observation.bumped or not np.isfinite(moved).all():
            return
        self.step += 1
        features = np.empty((NUM_DELAYS, NUM_FEATURES))
        features[:, :4] = self._told.ravel()[self._window]
        features[:, 4:] = before
        foreseen = (features[:, None] @ self._theta)[:, 0]
        errors = moved - foreseen
        if self._is_held(moved, foreseen[self._delay]):
            return
        is_outlier = self._watch(math.hypot(*errors[self._delay].tolist()))
        if is_outlier or self.frozen or not features.any():
            return
        self._learn(features, errors)
        self._scores += QUICK * (np.square(errors).sum(axis=1) - self._scores)
        best = int(np.argmin(self._scores))
        if self._scores[best] < BETTER_RATIO * self._scores[self._delay]:
            self._delay = best
        self._refresh()

    def coast(self, pose: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3"]:
        """Return where the body will stand when all that it was told has acted."""
        last: Float64[np.ndarray, "3"] = self.coasting(pose)[-1]
        return last

    def coasting(self, pose: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "t 3"]:
        """Return the poses of the next ticks, at least one, if the body is told to stand."""
        x, y, yaw = (float(u) for u in pose)
        v, w = self._moved.tolist()
        (vv, vw), (wv, ww) = self._memory
        most_v, most_w = self._most.tolist()
        # Commands by the tick that they act in first.
        old = self._told.tolist()
        (a, b), (c, d) = self._first
        (e, f), (g, h) = self._second
        poses = []
        for n in range(1, COAST_TICKS + 1):
            v, w = vv * v + vw * w, wv * v + ww * w
            if n <= self._delay:
                v0, w0 = old[self._delay - n]
                v, w = v + a * v0 + b * w0, w + c * v0 + d * w0
            if n <= self._delay + 1:
                v1, w1 = old[self._delay + 1 - n]
                v, w = v + e * v1 + f * w1, w + g * v1 + h * w1
            elif max(abs(v), abs(w)) < STANDS:
                break
            half = 0.5 * most_w * w
            chord = most_v * v * (math.sin(half) / half if half else 1.0)
            x, y = x + chord * math.cos(yaw + half), y + chord * math.sin(yaw + half)
            yaw = wrap_rad(yaw + 2 * half)
            poses.append((x, y, yaw))
        return np.array(poses)

    def command(self, v_mps: float, w_radps: float) -> tuple[float, float]:
        """Return the command that in the end moves the body as (v, w) would move an ideal one.

        What the motors cannot reach is scaled, so that the arc keeps its curvature.
        """
        most_v, most_w = self._spec.v_max_mps, self._spec.w_max_radps
        (a, b), (c, d) = self._inverse
        x, y = v_mps / most_v, w_radps / most_w
        v, w = a * x + b * y, c * x + d * y
        scale = max(1.0, abs(v), abs(w) if v_mps else 1.0)
        v, w = (min(max(u / scale, -1.0), 1.0) for u in (v, w))
        return v * most_v, w * most_w

    def foreseen_mps(self) -> float:
        """Return the mean forward speed that the body should have in this tick."""
        commands = self._told[self._delay : self._delay + 2]
        features = np.concatenate([commands.ravel(), self._moved])
        return float(features @ self._theta[self._delay, :, 0]) * self._spec.v_max_mps

    @property
    def late_s(self) -> float:
        """Mean time from a command to its effect, beyond that of an ideal body."""
        return self._late_ticks * self._spec.tick_s

    @property
    def turn_radpm(self) -> float:
        """Turn to the left per metre that nobody asked for."""
        most_v, most_w = self._most.tolist()
        return float(self._gain[1][0] * most_w / (self._gain[0][0] * most_v))

    def about(self) -> str:
        """Return what is unlike the body as specified, "" if nothing is worth a word."""
        parts = []
        if abs(self._gain[0][0] - 1) > 0.1:
            parts.append(f"covers {self._gain[0][0]:.0%} of the way")
        if abs(self._gain[1][1] - 1) > 0.1:
            parts.append(f"turns by {self._gain[1][1]:.0%} of the angle")
        if abs(self.turn_radpm) > 0.05:
            parts.append(f"turns {self.turn_radpm:+.2f} rad/m more")
        if self.late_s > 0.2:
            parts.append(f"acts {self.late_s:.1f} s later")
        return f"the body {', '.join(parts)} than told" if parts else ""

    def save(self) -> dict[str, np.ndarray]:
        """Return what was learned, as plain arrays."""
        return {
            "body_theta": self._theta.copy(),
            "body_information": self._information.copy(),
            "body_errors": np.array([*self._scores, self.error, self._slow]),
            "body_counts": np.array([self._delay, self.step]),
        }

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over what `save` returned; what does not fit is learned anew."""
        self.clear()
        like = self.save()
        saved = {key: arrays[key] for key in like if key in arrays}
        if {k: v.shape for k, v in saved.items()} != {k: v.shape for k, v in like.items()}:
            return
        if not all(np.isfinite(values).all() for values in saved.values()):
            return
        self._theta = arrays["body_theta"].copy()
        self._information = arrays["body_information"].copy()
        *scores, self.error, self._slow = (float(v) for v in arrays["body_errors"])
        self._scores = np.array(scores)
        self._delay, self.step = (int(v) for v in arrays["body_counts"])
        self._refresh()

    def _is_held(self, moved: Float64[np.ndarray, "2"], foreseen: Float64[np.ndarray, "2"]) -> bool:
        held = abs(foreseen[0]) > 0.2 and abs(moved[0]) < STALLED_SHARE * abs(foreseen[0])
        self._stalled = self._stalled + 1 if held else 0
        return self._stalled >= STALL_TICKS

    def _learn(
        self, features: Float64[np.ndarray, "m f"], errors: Float64[np.ndarray, "m o"]
    ) -> None:
        information = self._information
        seen = (information @ features[..., None])[..., 0]
        excited = np.square(features).sum(axis=1) > LEAST_EXCITATION
        known = np.where(excited, (features * seen).sum(axis=1), 1.0)
        fade = np.where(excited, (1 - self._config.forgetting) / known, 0.0)
        information -= (fade[:, None] * seen)[:, :, None] * seen[:, None, :]
        information += features[:, :, None] * features[:, None, :]
        gain = np.linalg.solve(information, features[..., None])
        self._theta += gain * errors[:, None, :]

    def _watch(self, error: float) -> bool:
        """Keep running means of the error and notice a change; return if it is an outlier."""
        error = min(error, 1.0)
        self.error += QUICK * (error - self.error)
        drift = self.drift
        if drift is not None and drift.adapted_after is None:
            age = self.step - drift.step
            if self.error <= BACK_RATIO * max(self._slow, LEAST_SURPRISE / SURPRISE_RATIO):
                drift.adapted_after = age
            elif age >= LONGEST_CHANGE:
                drift.adapted_after, self._slow = age, self.error
            return False
        if error <= max(SURPRISE_RATIO * self._slow, LEAST_SURPRISE):
            self._slow += SLOW * (error - self._slow)
            self._surprises = max(0.0, self._surprises - CALMING)
            return False
        self._surprises += 1.0
        if self._surprises < SURPRISES:
            return True
        self._surprises = 0.0
        self.drift = Drift(step=self.step, error=self.error)
        if not self.frozen:
            # Whatever its delay is now, at first it is taken for the body that is known.
            self._theta[:] = self._theta[self._delay]
            self._information[:] = CHANGED_PRIOR * np.eye(NUM_FEATURES)
        return False

    def _refresh(self) -> None:
        """Derive what is asked for in every tick: memory, gain and lateness."""
        theta = self._theta[self._delay]
        first, second, memory = (theta[i : i + 2].T for i in (0, 2, 4))
        trace, det = memory.trace(), memory[0, 0] * memory[1, 1] - memory[0, 1] * memory[1, 0]
        spread = trace * trace / 4 - det
        radius = math.sqrt(det) if spread < 0 else abs(trace) / 2 + math.sqrt(spread)
        if radius > MOST_MEMORY:
            memory = memory * (MOST_MEMORY / radius)
        lasting = np.linalg.inv(np.eye(2) - memory)
        gain = lasting @ (first + second)
        # Mean times of the impulse responses.
        late = lasting @ (memory @ gain + self._delay * first + (self._delay + 1) * second)
        diagonal = np.diag(gain)
        usable = ((diagonal > LEAST_GAIN) & (diagonal < MOST_GAIN)).all()
        if not (usable and np.linalg.det(gain) > LEAST_DET * diagonal.prod()):
            gain = np.diag(np.clip(diagonal, LEAST_GAIN, MOST_GAIN))
        self._late_ticks = float(np.mean(np.diag(late) / np.diag(gain)))
        self._inverse = np.linalg.inv(gain).tolist()
        self._gain, self._memory = gain.tolist(), memory.tolist()
        self._first, self._second = first.tolist(), second.tolist()


def _forward_and_turn(egomotion: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "2"]:
    """Return length (negative: backwards) and turn of the arc that leads to a pose."""
    dx, dy, turn = egomotion.tolist()
    chord = math.copysign(math.hypot(dx, dy), dx)
    half = 0.5 * turn
    return np.array([chord * (half / math.sin(half)) if half else chord, turn])
