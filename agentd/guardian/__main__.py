"""Runs the guardian of a robot: `python -m agentd.guardian --home FOLDER`."""

import argparse
import signal
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

from agentd.exit_codes import AgentdError, UsageError
from agentd.guardian.places import Places
from agentd.home import Home, default_home
from configs.errors import ConfigError
from configs.load import LoadedConfig, load_config

_OPENER = "agentd.worlds.ros2.open_link"


def main(words: list[str] | None = None) -> int:
    """Guard until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m agentd.guardian", description=__doc__)
    parser.add_argument("--home", type=Path, default=None, help="folder of the life")
    parser.add_argument("--profile", default=None, help="settings to begin with")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="sets")
    options = parser.parse_args(words)
    home = Home(options.home or default_home())
    try:
        born = home.read().born if home.exists else None
        loaded = load_config(options.profile, home.config_file, None, options.sets, born=born)
        guard(home, loaded)
    except (AgentdError, ConfigError) as error:
        sys.stderr.write(f"error: {error}\n")
        return int(getattr(error, "exit_code", 2))
    return 0


def guard(home: Home, loaded: LoadedConfig) -> None:
    """Open the link and the socket, and tick until a signal.

    Raises:
        UsageError: If the body is a simulated one, or there is no link to it.
        DoorInUseError: If a guardian runs already.
    """
    from agentd.events import EventLog
    from agentd.guardian.door import Door
    from agentd.guardian.process import GuardianProcess

    body_config = loaded.config.world.body
    if body_config.SIMULATED or body_config.GUARDED:
        raise UsageError(
            f"world.kind = {loaded.config.world.kind!r}: its guardian runs inside the life; this "
            f"process is for robots that are driven over a link"
        )
    places = Places(home)
    for folder in (home.path, home.state_folder, home.log_folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = loaded.config.guardian
    radius_m = config.footprint.radius_m or getattr(body_config, "radius_m", None)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    door = Door(places.socket)
    try:
        body = _open_body(loaded, body_config)
    except BaseException:
        door.close()
        raise
    events = EventLog(home.log_folder / "guardian.jsonl")
    GuardianProcess(config, radius_m, body, door, places.kept, events).run(stop)


def _open_body(loaded: LoadedConfig, body_config: Any) -> Any:
    from agentd.guardian.ros import RosBody
    from agentd.worlds.ros2.codec import Codec
    from agentd.worlds.ros2.link import LinkError

    try:
        opener = import_module(_OPENER)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"world.kind = {loaded.config.world.kind!r}: there is no link to such a body ({error})"
        ) from error
    link_config = getattr(body_config, "link", body_config)
    config = loaded.config.guardian
    height_m: float = config.footprint.height_m or body_config.height_m
    try:
        codec = Codec(getattr(link_config, "distro", "humble"))
        return RosBody(opener.open_link(link_config, codec), codec, config, height_m)
    except LinkError as error:
        raise UsageError(f"the robot is not reached: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
