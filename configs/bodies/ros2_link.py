"""How a robot that speaks ROS is reached."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Transport = Literal["auto", "dds", "zenoh", "rosbridge"]
Distro = Literal["foxy", "galactic", "humble", "iron", "jazzy", "kilted", "lyrical", "noetic"]
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class LinkConfig(BaseModel):
    """How a robot that speaks ROS is reached."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    transport: Transport = "auto"
    """Rosbridge where an url is given, else DDS where it is installed, else Zenoh."""
    distro: Distro = "humble"
    """ROS distribution of the robot; `noetic` is ROS 1 and needs rosbridge."""
    domain: int = Field(0, ge=0, le=232)
    """`ROS_DOMAIN_ID` of the robot, for DDS and Zenoh."""
    interface: str | None = None
    """Network interface of DDS, by name or address; DDS chooses where none is given."""
    peers: tuple[str, ...] = ()
    """Addresses that DDS asks for participants where multicast does not reach."""
    multicast: bool = True
    """Whether DDS may find the robot by multicast."""
    zenoh_endpoint: str = "tcp/localhost:7447"
    """Where the robot's Zenoh router listens; nothing else is contacted."""
    zenoh_listen: str | None = None
    """Be the router at this loopback address, instead of connecting to one."""
    rosbridge_url: str | None = None
    """Address of the robot's rosbridge server, as in `ws://robot.local:9090`."""

    @field_validator("zenoh_endpoint", "zenoh_listen")
    @classmethod
    def _endpoint(cls, value: str | None) -> str | None:
        if value is not None and not _host(value):
            raise ValueError(f"{value!r} is no Zenoh endpoint, as tcp/HOST:7447 is")
        return value

    @field_validator("zenoh_listen")
    @classmethod
    def _listen(cls, value: str | None) -> str | None:
        if value is not None and _host(value) not in _LOOPBACK:
            raise ValueError(
                f"{value!r} would listen beyond this machine; a router for others runs on the "
                f"robot (accepted: {', '.join(_LOOPBACK)})"
            )
        return value

    @field_validator("rosbridge_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme != "ws" or not parts.hostname:
            raise ValueError(f"{value!r} is no address of a rosbridge, as ws://HOST:9090 is")
        return value

    @model_validator(mode="after")
    def _fits(self) -> "LinkConfig":
        if self.transport == "rosbridge" and self.rosbridge_url is None:
            raise ValueError("transport 'rosbridge' needs rosbridge_url, as ws://HOST:9090")
        if self.distro == "noetic" and self.rosbridge_url is None:
            raise ValueError("distro 'noetic' is ROS 1: it needs rosbridge_url, as ws://HOST:9090")
        if self.distro == "noetic" and self.transport in ("dds", "zenoh"):
            raise ValueError(f"distro 'noetic' is ROS 1: transport {self.transport!r} is ROS 2's")
        return self


def _host(endpoint: str) -> str:
    """Return the host of a Zenoh endpoint, empty where there is none."""
    protocol, slash, rest = endpoint.partition("/")
    host, colon, port = rest.rpartition(":")
    return host if protocol and slash and colon and port.isdigit() else ""
