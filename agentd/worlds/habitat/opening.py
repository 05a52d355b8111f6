"""Opens the simulator that is configured, here or in a process of its own, and keeps it alive."""

import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from agentd.worlds.habitat.backend import Caller, LocalCaller, Simulator, Values
from agentd.worlds.habitat.errors import HabitatError, SimulatorLostError
from agentd.worlds.habitat.remote import RemoteCaller
from configs.bodies.habitat import HabitatConfig

T = TypeVar("T")

Opener = Callable[[HabitatConfig], Caller]

_PASSED_ON = (
    *("semantics", "rebuild_navmesh", "lighting", "gpu_device_id", "sliding", "seed"),
    *("width_px", "height_px", "hfov_deg", "camera_height_m", "camera_pitch_deg"),
    *("agent_height_m", "agent_radius_m", "max_climb_m", "max_slope_deg"),
    *("forward_m", "turn_deg"),
)


def open_caller(config: HabitatConfig) -> Caller:
    """Return a running simulator.

    Raises:
        HabitatError: If it cannot be started with these settings.
    """
    if config.process == "own":
        return RemoteCaller(
            str(Path(config.python).expanduser()) if config.python else sys.executable,
            plain(config),
            start_timeout_s=config.start_timeout_s,
            timeout_s=config.timeout_s,
        )
    from agentd.worlds.habitat import sim

    return LocalCaller(
        sim, plain(config), start_timeout_s=config.start_timeout_s, timeout_s=config.timeout_s
    )


def plain(config: HabitatConfig) -> Values:
    """Return the settings as the simulator takes them; its process may work in another folder."""
    values: Values = {name: getattr(config, name) for name in _PASSED_ON}
    for name in ("dataset", "navmesh"):
        path = getattr(config, name)
        values[name] = str(Path(path).expanduser().absolute()) if path else ""
    scene = Path(config.scene).expanduser()
    is_file = scene.exists() or not config.dataset
    values["scene"] = str(scene.absolute()) if is_file else config.scene
    return values


class LastingSimulator:
    """A simulator that is started again when it ends: nothing in it lasts from call to call.

    Args:
        config: Settings.
        opener: Starts one.
        tell: Called with a sentence when it was started again.

    Raises:
        HabitatError: If it cannot be started.
    """

    def __init__(self, config: HabitatConfig, opener: Opener, tell: Callable[[str], None]) -> None:
        self._config, self._opener, self._tell = config, opener, tell
        self._ends_s: deque[float] = deque()
        try:
            self._simulator: Simulator | None = self._open()
        except HabitatError as error:
            raise type(error)(f"{error}{_advice(str(error))}") from error

    def ask(self, question: Callable[[Simulator], T]) -> T:
        """Return what the simulator answers; asked again of a new one if it ends.

        Raises:
            HabitatError: If it refuses.
            SimulatorLostError: If it ends more often than is allowed.
        """
        while True:
            try:
                if self._simulator is None:
                    self._simulator = self._open()
                return question(self._simulator)
            except SimulatorLostError as error:
                self._note_end(error)

    def close(self) -> None:
        """End the simulator."""
        if self._simulator is not None:
            self._simulator.close()

    def _open(self) -> Simulator:
        caller = self._opener(self._config)
        return Simulator(caller, self._config.width_px, self._config.height_px)

    def _note_end(self, error: SimulatorLostError) -> None:
        self._simulator = None
        now_s, config = time.monotonic(), self._config
        self._ends_s.append(now_s)
        while now_s - self._ends_s[0] > config.restart_window_s:
            self._ends_s.popleft()
        if len(self._ends_s) > config.max_restarts:
            raise SimulatorLostError(
                f"{error} (end {len(self._ends_s)} within {config.restart_window_s:g} s; "
                f"world.habitat.max_restarts = {config.max_restarts})"
            ) from error
        self._tell(f"the simulator is started again: {error}")


def _advice(text: str) -> str:
    """Return what helps against a failed start, "" if the message says enough."""
    if "habitat_sim" in text and "rror" in text:
        return "; this Python has no usable habitat_sim: see agentd doctor habitat"
    if "CUDA device" in text:
        return "; set world.habitat.gpu_device_id = -1"
    return ""
