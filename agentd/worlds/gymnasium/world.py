"""Any Gymnasium environment with images as a World."""

import hashlib
import math
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from agentd.exit_codes import UsageError
from agentd.worlds.base import StepResult, WorldClosedError
from agentd.worlds.gymnasium.commands import commands_of
from agentd.worlds.gymnasium.opening import open_env
from agentd.worlds.gymnasium.sight import Sight, body_spec, pose_of
from agentd.worlds.gymnasium.state import SavedEpisode, pack, picture_of, unpack
from configs.bodies.gymnasium import GymnasiumConfig
from memory.frames import compose, egomotion_between, se3_from_pose
from memory.records import Action, BodySpec, Observation

_NS = 1_000_000_000
_SENT_STEPS = 20_000
"""An episode is lived again from its seed when a life goes on, unless it was longer than this."""
_STILL = 0.05
"""A body that moved less than this share of what it was told was stopped."""


class GymnasiumWorld:
    """One environment; satisfies World and Resumable.

    Turn-based: it waits where no action comes near to what is wanted, so that the command to rest
    never moves it. When an episode of the environment ends, the next step carries nothing out and
    opens another one, which `StepResult.is_first` tells. Time is simulated, one tick a step.

    Where it has an agent with a pose (MiniWorld, MiniGrid), pose and egomotion are that agent's;
    elsewhere they are dead reckoning from the speeds that stand for the actions, and each episode
    begins at the origin.

    Attributes:
        has_depth: Whether a depth image comes with the colours.
    """

    def __init__(self, config: GymnasiumConfig) -> None:
        """Make the environment and open its first episode.

        Raises:
            UsageError: If Gymnasium is missing, the id is unknown, or the environment has no images
                or no actions that two speeds can stand for.
        """
        self._config = config
        self._env = open_env(config)
        try:
            self._commands = commands_of(self._env, config)
            self._sight = Sight(self._env, config)
            self._closed = False
            self._seed = self._clock_ns = 0
            self._news: tuple[str, ...] = ()
            self._sent: list[int | tuple[float, ...]] = []
            self._pose: Float64[np.ndarray, "3"]
            self._egomotion: Float32[np.ndarray, "3"]
            self._begin(0, 0)
            self._rest()
            self._look_once()
            self._spec = body_spec(
                self._env,
                config,
                self._sight,
                self._commands.v_max_mps,
                self._commands.w_max_radps,
            )
        except BaseException:
            self._env.close()
            raise
        self.has_depth = self._sight.has_depth
        born = {name: getattr(config, name) for name in (*config.BORN_WITH, "depth", "hfov_deg")}
        self._settings = hashlib.sha256(repr(born).encode()).hexdigest()

    @property
    def spec(self) -> BodySpec:
        """Constant description of the body."""
        return self._spec

    @property
    def primitives(self) -> tuple[tuple[float, float], ...]:
        """v_mps, w_radps of all that it can do; empty where any speed goes."""
        return self._commands.primitives

    def reset(self, seed: int | None = None) -> Observation:
        """Open an episode.

        Args:
            seed: Draws this episode and those after it. None stays where the environment is, or
                opens the next episode if the last one has ended.
        """
        self._check_open()
        if seed is not None:
            self._begin(seed, 0)
        elif self._is_over:
            self._begin(self._seed, self._episode + 1)
        self._rest()
        return self._observe()

    def step(self, action: Action) -> StepResult:
        """Carry out one action and sense.

        Of discrete actions the one is taken that brings the body nearest to what was wanted up to
        now; the applied action holds the speeds that stand for it, also where something stops it.

        Raises:
            WorldClosedError: If the world was closed.
            ValueError: If the action is not finite or its duration is not positive.
            RuntimeError: If the environment fails twice without a step in between.
        """
        self._check_open()
        if not all(map(math.isfinite, (action.v_mps, action.w_radps, action.duration_s))):
            raise ValueError(f"the action {action} is not finite")
        if action.duration_s <= 0:
            raise ValueError(f"duration_s is {action.duration_s}; it must be positive")
        if self._broken:
            raise RuntimeError(self._broken)
        if self._is_over:
            return self._open_next(action)
        order = self._commands.choose(action.v_mps, action.w_radps)
        events: tuple[str, ...] = ()
        self._rest()
        if order.action is not None:
            events = self._carry_out(order.action, order.v_mps, order.w_radps)
        return self._result(action, order.v_mps, order.w_radps, events)

    def close(self) -> None:
        """Release the environment; quiet when called twice."""
        if not self._closed:
            self._closed = True
            self._env.close()

    def save_state(self) -> bytes:
        """Return how the episode began and all that was done in it, without pickle."""
        self._check_open()
        sent = self._sent if len(self._sent) <= _SENT_STEPS else None
        saved = SavedEpisode(
            settings=self._settings,
            seed=self._seed,
            episode=self._episode,
            clock_ns=self._clock_ns,
            sent=None if sent is None else tuple(sent),
            is_over=self._is_over,
            was_terminal=self._was_terminal,
            returned=self._returned,
            owed=self._commands.owed,
            pose=_three(self._pose),
            egomotion=_three(self._egomotion),
            bumped=self._bumped,
            picture=picture_of(self._observe()),
        )
        return pack(saved)

    def load_state(self, state: bytes) -> Observation:
        """Live the saved episode again, up to where it was.

        Returns:
            The observation that was current when the state was saved, with its stamp. Where the
            episode was too long to be kept, or goes another way this time (an environment that
            draws without its seed), the first one of the next episode; the log says so.

        Raises:
            ValueError: If the state belongs to another environment or is damaged.
        """
        self._check_open()
        saved = unpack(state, self._settings)
        why = self._live_again(saved)
        if why:
            self._begin(saved.seed, saved.episode + 1)
            self._clock_ns = saved.clock_ns
            self._rest()
            self._news = (f"episode {saved.episode} cannot be taken up ({why}): another is opened",)
        return self._observe()

    def _live_again(self, saved: SavedEpisode) -> str:
        """Return why that led elsewhere, "" if it did not."""
        if saved.sent is None:
            return f"it was longer than {_SENT_STEPS} steps"
        try:
            self._begin(saved.seed, saved.episode)
            for sent in saved.sent:
                self._raw = self._env.step(self._action_of(sent))[0]
        except Exception as error:  # an environment runs code of others
            return f"the environment failed: {type(error).__name__}: {error}"
        self._sent = list(saved.sent)
        self._clock_ns, self._returned = saved.clock_ns - self._tick_ns, saved.returned
        self._is_over, self._was_terminal = saved.is_over, saved.was_terminal
        self._commands.owed = saved.owed
        self._rest()
        self._pose = np.array(saved.pose)
        self._egomotion = np.array(saved.egomotion, dtype=np.float32)
        self._bumped = saved.bumped
        same = picture_of(self._observe()) == saved.picture
        return "" if same else "the environment went another way this time"

    # ------------------------------------------------------------------ episodes
    def _begin(self, seed: int, episode: int) -> None:
        drawn = np.random.SeedSequence([seed, episode]).generate_state(1)[0]
        self._raw = self._env.reset(seed=int(drawn >> 1))[0]
        self._seed, self._episode = seed, episode
        self._sent = []
        self._returned = 0.0
        self._is_over = self._was_terminal = self._has_failed = False
        self._broken = ""
        self._commands.owed = (0.0, 0.0)
        pose = pose_of(self._env)
        self._pose = np.zeros(3) if pose is None else pose

    def _open_next(self, action: Action) -> StepResult:
        was_terminal, had_failed = self._was_terminal, self._has_failed
        self._begin(self._seed, self._episode + 1)
        self._has_failed = had_failed
        self._rest()
        opened = self._result(action, 0.0, 0.0, ())
        return StepResult(
            observation=opened.observation,
            applied=opened.applied,
            events=opened.events,
            is_first=True,
            was_terminal=was_terminal,
        )

    def _carry_out(self, order: Any, v_mps: float, w_radps: float) -> tuple[str, ...]:
        """Step the environment; return what there is to tell."""
        try:
            raw, reward, terminated, truncated, _ = self._env.step(order)
        except Exception as error:
            why = f"the environment {self._config.id} failed: {type(error).__name__}: {error}"
            # Asked again, it opens another episode, once: it may have been that one.
            if self._has_failed:
                self._broken = why
            self._is_over = self._has_failed = True
            self._was_terminal = False
            raise RuntimeError(why) from error
        self._raw, self._has_failed = raw, False
        if len(self._sent) <= _SENT_STEPS:
            self._sent.append(_kept(order))
        self._returned += float(reward)
        self._note_motion(v_mps, w_radps)
        self._is_over = bool(terminated or truncated)
        self._was_terminal = bool(terminated)
        if not self._is_over:
            return ()
        return (
            f"episode {self._episode} of {self._config.id} "
            f"{'ended' if terminated else 'was cut'}: return {self._returned:g}",
        )

    def _note_motion(self, v_mps: float, w_radps: float) -> None:
        told = np.array([v_mps, 0.0, w_radps]) * self._config.tick_s
        pose = pose_of(self._env)
        if pose is None:
            # The same numbers in the log and in the pose: they compose.
            self._egomotion = told.astype(np.float32)
            self._pose = compose(self._pose, self._egomotion)
            return
        self._egomotion = egomotion_between(self._pose, pose)
        self._pose = pose
        moved_m = math.hypot(*self._egomotion[:2].tolist())
        told_m = abs(float(told[0]))
        self._bumped = told_m > 0 and moved_m < _STILL * told_m

    # ------------------------------------------------------------------ sensing
    def _look_once(self) -> None:
        try:
            self._sight.look(self._raw)
        except Exception as error:  # drawing may need packages that are not there
            raise UsageError(
                f"world.gymnasium.id = {self._config.id!r}: no image from {self._sight.source}: "
                f"{type(error).__name__}: {error}"
            ) from error

    @property
    def _tick_ns(self) -> int:
        return round(self._config.tick_s * _NS)

    def _rest(self) -> None:
        """Let a tick pass in which the body does not move."""
        self._clock_ns += self._tick_ns
        self._egomotion = np.zeros(3, dtype=np.float32)
        self._bumped = False

    def _result(
        self, action: Action, v_mps: float, w_radps: float, events: tuple[str, ...]
    ) -> StepResult:
        news, self._news = self._news, ()
        applied = Action(
            v_mps=v_mps, w_radps=w_radps, duration_s=self._config.tick_s, source=action.source
        )
        return StepResult(observation=self._observe(), applied=applied, events=(*news, *events))

    def _observe(self) -> Observation:
        rgb, depth_m = self._sight.look(self._raw)
        return Observation(
            stamp_ns=self._clock_ns,
            rgb=rgb,
            depth_m=depth_m,
            instances=None,
            labels=("",),
            T_world_camera=se3_from_pose(self._pose) @ self._spec.T_body_camera,
            egomotion=self._egomotion.copy(),
            bumped=self._bumped,
        )

    def _action_of(self, sent: int | tuple[float, ...]) -> Any:
        if isinstance(sent, int):
            return sent
        return np.array(sent, dtype=self._env.action_space.dtype)

    def _check_open(self) -> None:
        if self._closed:
            raise WorldClosedError(f"the environment {self._config.id} was closed")


def _kept(order: Any) -> int | tuple[float, ...]:
    if isinstance(order, np.ndarray):
        return tuple(float(number) for number in order)
    return int(order)


def _three(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
