"""stable-worldmodel's TwoRoom and its expert."""

import bench.two_room.mend  # noqa: F401
import numpy as np
import torch
from stable_worldmodel.envs.two_room.env import TwoRoomEnv
from stable_worldmodel.envs.two_room.expert_policy import ExpertPolicy

NOISE = 2.0
REPEAT = 0.05


class Rooms:
    """The environment, reset to chosen places, and its expert."""

    def __init__(self) -> None:
        self.env = TwoRoomEnv()
        self.env.reset(seed=0)

    def begin(self, start: np.ndarray, goal: np.ndarray) -> None:
        """Put the agent and its goal where they are told to be (px of 224)."""
        self.env.reset(seed=0, options={"state": start, "target_state": goal})

    def step(self, action: np.ndarray) -> bool:
        """Take one step of 2 numbers in [-1, 1]; return whether the goal is reached."""
        return bool(self.env.step(action)[2])

    @property
    def place(self) -> np.ndarray:
        """Where the agent is, for scoring and for rendering a goal."""
        return self.env.agent_position.numpy().copy()

    @property
    def goal(self) -> np.ndarray:
        """Where it should go."""
        return self.env.target_position.numpy().copy()

    def image(self, place: np.ndarray | None = None) -> np.ndarray:
        """Return the picture (224 224 3) of the agent where it is, or at another place."""
        where = self.env.agent_position if place is None else torch.as_tensor(place)
        return self.env._render_frame(where).permute(1, 2, 0).numpy()

    def expert(self, seed: int, noise: float = NOISE, repeat: float = REPEAT) -> "Expert":
        """Return the scripted expert."""
        return Expert(self, seed, noise, repeat)


class Expert:
    """The peer's expert; it goes through the door."""

    def __init__(self, rooms: Rooms, seed: int, noise: float, repeat: float) -> None:
        self._rooms = rooms
        self._policy = ExpertPolicy(action_noise=noise, seed=seed)
        # Version 0.1.1 takes this probability but keeps neither it nor the last action.
        self._policy.action_repeat_prob = repeat
        self._policy.set_env(rooms.env)

    def begin(self) -> None:
        """Forget the last action."""
        self._policy._last_action = None

    def act(self) -> np.ndarray:
        """Return the next action."""
        env = self._rooms.env
        info = {"state": env.agent_position.numpy(), "goal_state": env.target_position.numpy()}
        action = self._policy.get_action(info)
        self._policy._last_action = action
        return action
