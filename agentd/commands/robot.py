"""Commands around robots: robot check, simulate, fault."""

import signal
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from agentd.commands.options import (
    HomeOption,
    JsonOption,
    ProfileOption,
    SetOption,
    load_settings,
    open_home,
)
from agentd.commands.output import print_json, print_table, say
from agentd.exit_codes import ExitCode, NotFoundError, UsageError

if TYPE_CHECKING:
    from agentd.home import Home
    from agentd.worlds.ros2.check_driving import Driving
    from configs.bodies.ros2 import Ros2Config
    from configs.guardian import GuardianConfig

app = typer.Typer(no_args_is_help=True, help="Robots that speak ROS 2, and one that is simulated.")

_EXAMPLE = "/odom"
_MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}

DomainOption = Annotated[
    int | None,
    typer.Option("--domain", min=0, max=232, help="ROS_DOMAIN_ID [default: the robot's own]."),
]
RobotOption = Annotated[
    str, typer.Option("--robot", metavar="NAME", help="Its settings: a name or a .toml file.")
]


@app.command()
def check(
    robot: Annotated[
        str | None, typer.Option("--robot", metavar="NAME", help="In place of the settings' own.")
    ] = None,
    domain: DomainOption = None,
    listen_s: Annotated[
        float, typer.Option("--for", metavar="SECONDS", min=1, max=600, help="How long to listen.")
    ] = 5.0,
    home: HomeOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Look at a robot before anybody lives in it.

    What it says, how often, how late; nothing is driven. Refuses a robot that lacks a topic or a
    transform, falls silent for too long, has clocks that differ, stops too late by itself (once
    that was measured), or is commanded by others; each with its reason.

    Example: agentd robot check --robot turtlebot4 --domain 0
    """
    from dataclasses import asdict

    from agentd.worlds.ros2.check import examine
    from agentd.worlds.ros2.codec import Codec
    from agentd.worlds.ros2.link import LinkError
    from agentd.worlds.ros2.open_link import open_link

    chosen = [] if robot is None else [f"world.ros2.robot={robot}"]
    chosen += [] if domain is None else [f"world.ros2.link.domain={domain}"]
    place = open_home(home)
    settings = load_settings(place, profile, [*chosen, *(set_ or [])])
    config = settings.config.world.ros2
    codec = Codec(config.link.distro)
    try:
        link = open_link(config.link, codec)
    except LinkError as error:
        raise UsageError(str(error)) from error
    try:
        say(f"listening to {config.place} in domain {config.link.domain}; nothing is driven")
        report = examine(link, config, codec, listen_s, _driving(place, settings.config.guardian))
    finally:
        link.close()
    if json_:
        print_json(report.as_dict())
    else:
        rows = [list(asdict(heard).values())[1:] for heard in report.topics]
        headers = ("topic", "count", "hz", "gap_s", "late_s", "worst_late_s", "skew_s", "by")
        print_table(headers, rows)
        for finding in report.findings:
            typer.echo(f"{_MARKS[finding.level]}  {finding.check}: {finding.found}")
            if finding.fix:
                typer.echo(f"      fix: {finding.fix}")
    if not report.is_fit:
        raise typer.Exit(ExitCode.WORLD_SILENT)


@app.command()
def simulate(
    robot: RobotOption = "simulated",
    domain: DomainOption = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which house.")] = 0,
    rooms: Annotated[
        int | None, typer.Option("--rooms", min=5, max=16, help="Rooms [default: by the seed].")
    ] = None,
    image_px: Annotated[
        int, typer.Option("--image-px", min=16, max=512, help="Side of its square images.")
    ] = 128,
) -> None:
    """Serve the embedded house as a ROS 2 robot, in real time.

    Images at 10 Hz, odometry at 20 Hz, on loopback alone unless the robot's settings say
    otherwise. It stops by itself a quarter of a second after the last command. Ends on Ctrl-C or
    SIGTERM.

    Example: agentd robot simulate --seed 3
    """
    from agentd.worlds.ros2.codec import Codec
    from agentd.worlds.ros2.faults import FaultSocket, socket_path
    from agentd.worlds.ros2.link import LinkError
    from agentd.worlds.ros2.open_link import open_link
    from agentd.worlds.ros2.simulate import SimulatedRobot, check_served
    from configs.worlds import HouseConfig

    config = _settings(robot, domain)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    codec = Codec(config.link.distro)
    try:
        check_served(config)
        link = open_link(config.link, codec)
        try:
            house = HouseConfig(seed=seed, num_rooms=rooms, image_px=image_px)
            served = SimulatedRobot(link, codec, config, house)
            faults = FaultSocket(socket_path(config.link.domain), served.faults)
            try:
                _tell(served.served.topics, served.served.command, served.served.command_type)
                _tell_use(robot, domain)
                typer.echo("ready")
                served.run(ended.wait)
            finally:
                faults.close()
                served.close()
        finally:
            link.close()
    except LinkError as error:
        raise UsageError(str(error)) from error
    say("ended")


@app.command()
def fault(
    kind: Annotated[
        str,
        typer.Argument(
            help="freeze, stale (old data, new stamps), drop, delay, ignore-commands or clock."
        ),
    ],
    topic: Annotated[
        str, typer.Argument(help="Which topic; not for ignore-commands and clock.")
    ] = "",
    for_s: Annotated[float, typer.Option("--for", metavar="SECONDS", help="How long.")] = 3.0,
    value: Annotated[
        float, typer.Option("--value", help="Seconds of a delay, or that the clock leaps by.")
    ] = 0.0,
    robot: RobotOption = "simulated",
    domain: DomainOption = None,
) -> None:
    """Have a simulated robot fail for a while.

    Example: agentd robot fault freeze /odom --for 3
    """
    from agentd.worlds.ros2.faults import ask_fault, socket_path
    from agentd.worlds.ros2.link import LinkError

    config = _settings(robot, domain)
    try:
        say(ask_fault(socket_path(config.link.domain), kind, topic, for_s, value))
    except LinkError as error:
        raise NotFoundError(str(error)) from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def _driving(home: "Home", guardian: "GuardianConfig") -> "Driving":
    from agentd.guardian.door import answers
    from agentd.guardian.keeping import read_kept
    from agentd.guardian.places import Places
    from agentd.worlds.ros2.check_driving import Driving

    places = Places(home)
    return Driving(
        max_skew_s=guardian.arm.max_clock_skew_s,
        watchdog_s=guardian.arm.watchdog_s or read_kept(places.kept).watchdog_s,
        max_watchdog_s=guardian.arm.max_watchdog_s,
        is_guarded=answers(places.socket),
    )


def _settings(robot: str, domain: int | None) -> "Ros2Config":
    from pydantic import ValidationError

    from configs.bodies.ros2 import Ros2Config

    link = {} if domain is None else {"domain": domain}
    try:
        return Ros2Config.model_validate({"robot": robot, "link": link})
    except ValidationError as error:
        raise UsageError(f"--robot {robot}: {error.errors()[0]['msg']}") from error


def _tell(topics: dict[str, str], command: str, command_type: str) -> None:
    for topic, msgtype in topics.items():
        say(f"sends  {topic}  {msgtype}")
    say(f"takes  {command}  {command_type}")


def _tell_use(robot: str, domain: int | None) -> None:
    chosen = "" if domain is None else f" --domain {domain}"
    chosen += "" if robot == "simulated" else f" --robot {robot}"
    if robot == "simulated":
        reached = "" if domain is None else f" --set world.ros2.link.domain={domain}"
        say(f"live in it: agentd run --profile robot-sim{reached}")
    else:
        say("live in it: agentd run --profile robot-sim --set world.ros2.robot=FILE, where FILE")
        say("            has the same topics and a link that reaches this one")
    say(f"break it:   agentd robot fault freeze {_EXAMPLE} --for 3{chosen}")
