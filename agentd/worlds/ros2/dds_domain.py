"""The DDS domains of this process, and which network they use."""

import threading
from typing import ClassVar
from xml.sax.saxutils import quoteattr

from cyclonedds.core import DDSException
from cyclonedds.domain import Domain

from agentd.worlds.ros2.link import LinkError


class Domains:
    """The domains of this process: DDS configures each once, and links share it."""

    _lock = threading.Lock()
    _joined: ClassVar[dict[int, tuple[Domain, str, list[None]]]] = {}

    @classmethod
    def join(cls, domain: int, settings: str | None) -> int | None:
        """Configure a domain, None where the environment does that; returns what to leave."""
        if settings is None:
            return None
        with cls._lock:
            if domain not in cls._joined:
                try:
                    cls._joined[domain] = (Domain(domain, settings), settings, [])
                except DDSException as error:
                    raise LinkError(
                        f"DDS domain {domain} cannot be configured, or is in use in this process "
                        f"with other settings: {error}"
                    ) from error
            _, known, links = cls._joined[domain]
            if known != settings:
                raise LinkError(
                    f"DDS domain {domain} is in use in this process with other settings"
                )
            links.append(None)
            return domain

    @classmethod
    def leave(cls, domain: int | None) -> None:
        """Give a domain up; the last link ends it."""
        if domain is None:
            return
        with cls._lock:
            links = cls._joined[domain][2]
            links.pop()
            if not links:
                del cls._joined[domain]


def settings_xml(
    interface: str | None, peers: tuple[str, ...], multicast: bool, lease_s: float | None
) -> str:
    """Return Cyclone's configuration for a network."""
    allowed = "true" if multicast else "false"
    chosen = 'autodetermine="true"'
    if interface is not None:
        kind = "address" if interface.replace(".", "").isdigit() or ":" in interface else "name"
        chosen = f"{kind}={quoteattr(interface)}"
    asked = "".join(f"<Peer address={quoteattr(peer)}/>" for peer in peers)
    lease = "" if lease_s is None else f"<LeaseDuration>{lease_s:g} s</LeaseDuration>"
    # Peers are asked at the ports of this many participants, one for each process of a robot.
    return f"""<CycloneDDS><Domain Id="any">
<General>
<Interfaces><NetworkInterface {chosen} multicast="{allowed}"/></Interfaces>
<AllowMulticast>{allowed}</AllowMulticast>
</General>
<Discovery>
<ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>99</MaxAutoParticipantIndex>
<Peers>{asked}</Peers>{lease}
</Discovery>
</Domain></CycloneDDS>"""
