"""Opens everything that a guardian's process runs on, and guards."""

import signal
import threading

from agentd.events import EventLog
from agentd.exit_codes import UsageError
from agentd.guardian.door import Door
from agentd.guardian.places import Places
from agentd.guardian.process import GuardianProcess
from agentd.guardian.robot import fingerprint, settings_for
from agentd.guardian.ros import RosBody
from agentd.home import Home
from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.drive import command_type
from agentd.worlds.ros2.link import LinkError
from agentd.worlds.ros2.open_link import open_link
from configs.bodies.ros2 import Ros2Config
from configs.guardian import GuardianConfig
from configs.schema import AgentConfig


def guard(home: Home, config: AgentConfig, leave_s: float | None = None) -> None:
    """Open the link and the socket, and tick until SIGTERM or SIGINT.

    Args:
        home: Of the life; it need not be born.
        config: All settings.
        leave_s: End when nobody was connected for so long; None: never.

    Raises:
        UsageError: If the body is not driven over a link, or cannot be reached.
        DoorInUseError: If a guardian runs already.
    """
    if config.world.kind != "ros2":
        raise UsageError(
            f"world.kind = {config.world.kind!r}: its guardian runs inside the life; this "
            f"process is for robots that are driven over a link (accepted: 'ros2')"
        )
    robot = config.world.ros2
    places = Places(home)
    for folder in (home.path, home.state_folder, home.log_folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    settings = settings_for(robot, config.guardian)
    door = Door(places.socket)
    try:
        body = _open_body(robot, settings)
    except BaseException:
        door.close()
        raise
    process = GuardianProcess(
        settings,
        settings.footprint.radius_m,
        body,
        door,
        places.kept,
        EventLog(home.log_folder / "guardian.jsonl"),
        settings=fingerprint(robot, config.guardian),
        leave_s=leave_s,
    )
    process.run(stop)


def _open_body(robot: Ros2Config, settings: GuardianConfig) -> RosBody:
    try:
        codec = Codec(robot.link.distro)
        link = open_link(robot.link, codec)
        try:
            return RosBody(
                link,
                codec,
                settings,
                settings.footprint.height_m or robot.height_m,
                command_type=command_type(link, robot),
            )
        except BaseException:
            link.close()
            raise
    except LinkError as error:
        raise UsageError(f"the robot is not reached: {error}") from error
