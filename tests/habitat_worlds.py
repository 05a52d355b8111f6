"""Habitat worlds with the fake simulator behind them, in this process or in one of its own."""

import sys
from pathlib import Path
from typing import Any

import habitat_fake

from agentd.worlds.habitat.backend import Caller, LocalCaller
from agentd.worlds.habitat.opening import Opener, plain
from agentd.worlds.habitat.remote import RemoteCaller
from agentd.worlds.habitat.world import HabitatWorld
from configs.bodies.habitat import HabitatConfig

FAKE = Path(habitat_fake.__file__)


def local(config: HabitatConfig) -> Caller:
    return LocalCaller(habitat_fake, plain(config), start_timeout_s=30, timeout_s=30)


def served(config: HabitatConfig, python: str = sys.executable) -> RemoteCaller:
    return RemoteCaller(
        python,
        plain(config),
        start_timeout_s=config.start_timeout_s,
        timeout_s=config.timeout_s,
        backend=FAKE,
    )


def settings(**changes: Any) -> HabitatConfig:
    small = {"scene": "rooms", "width_px": 32, "height_px": 24, "camera_pitch_deg": 10}
    return HabitatConfig.model_validate(small | changes)


def fake_world(opener: Opener = local, **changes: Any) -> HabitatWorld:
    return HabitatWorld(settings(**changes), opener)
