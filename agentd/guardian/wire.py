"""What goes over the guardian's socket: one JSON object per packet, with a version, checked.

Clients send commands and questions; the guardian answers questions and tells its state. Nothing
that comes in can do more than be refused.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

from agentd.guardian.records import Command

VERSION = 1
MAX_BYTES = 4096
QUESTIONS = ("status", "arm", "disarm", "estop", "release", "events", "measure", "heartbeat")
_SOURCES = ("planner", "reactive", "explorer", "operator", "safety", "recovery", "none")


class WireError(ValueError):
    """A packet cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something asked of the guardian.

    Attributes:
        do: One of `QUESTIONS`.
        reason: Why, for the log.
        since: First event that is wanted, for `events`.
    """

    do: str
    reason: str = ""
    since: int = 0


def pack(kind: str, **fields: Any) -> bytes:
    """Return one packet; numbers that are none become strings, as JSON has no word for them."""
    return json.dumps({"v": VERSION, "kind": kind, **fields}).encode()


def pack_command(command: Command) -> bytes:
    """Return the packet of a command."""
    return pack(
        "command",
        v_mps=command.v_mps,
        w_radps=command.w_radps,
        stamp_ns=round(command.stamp_s * 1e9),
        seq=command.seq,
        session=command.session,
        source=command.source,
        is_recovery=command.is_recovery,
    )


def read(data: bytes) -> Command | Question:
    """Return what a client's packet says.

    A command whose speeds are NaN or infinite is read: the guardian counts those.

    Raises:
        WireError: If it is no packet of this version.
    """
    if len(data) > MAX_BYTES:
        raise WireError(f"{len(data)} bytes or more; accepted: {MAX_BYTES}")
    try:
        packet = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WireError(f"no JSON: {str(error)[:80]}") from error
    if not isinstance(packet, dict):
        raise WireError("a packet is one JSON object")
    if packet.get("v") != VERSION:
        raise WireError(f"version {str(packet.get('v'))[:20]}; accepted: {VERSION}")
    match packet.get("kind"):
        case "command":
            return _command(packet)
        case "ask":
            return _question(packet)
    raise WireError(f"kind {str(packet.get('kind'))[:40]!r}; accepted: command, ask")


def _command(packet: dict[str, Any]) -> Command:
    numbers = {}
    for name in ("v_mps", "w_radps"):
        value = packet.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WireError(f"{name} is no number")
        numbers[name] = _float(value)
    counts = {}
    for name in ("stamp_ns", "seq", "session"):
        value = packet.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
            raise WireError(f"{name} is no count")
        counts[name] = value
    source, is_recovery = packet.get("source"), packet.get("is_recovery", False)
    if source not in _SOURCES:
        raise WireError(f"source {str(source)[:20]!r}; accepted: {', '.join(_SOURCES)}")
    if not isinstance(is_recovery, bool):
        raise WireError("is_recovery is neither true nor false")
    return Command(
        **numbers,
        stamp_s=counts["stamp_ns"] * 1e-9,
        seq=counts["seq"],
        session=counts["session"],
        source=source,
        is_recovery=is_recovery,
    )


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _question(packet: dict[str, Any]) -> Question:
    do, reason, since = packet.get("do"), packet.get("reason", ""), packet.get("since", 0)
    if do not in QUESTIONS:
        raise WireError(f"do {str(do)[:20]!r}; accepted: {', '.join(QUESTIONS)}")
    if not isinstance(reason, str) or len(reason) > 200:
        raise WireError("reason is no text of at most 200 characters")
    if isinstance(since, bool) or not isinstance(since, int):
        raise WireError("since is no number of an event")
    return Question(do=do, reason=reason, since=since)
