"""One look through the small messages of a log: how fast the body was, and whether it ends well."""

from dataclasses import dataclass

import numpy as np

from memory.logs.samples import Command, Kind, LogReader, Pose
from memory.logs.transforms import flat

_LEAST_S = 0.15
"""Poses are compared over at least this long: between nearer ones noise looks like speed."""
_MOST_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a log's motion was like.

    Attributes:
        v_mps: Largest forward speed that was commanded, or driven where nothing was.
        w_radps: Largest turn rate.
        poses: Poses that were read.
        broken: Why the log ends early, "" if it does not.
    """

    v_mps: float
    w_radps: float
    poses: int
    broken: str


def survey(reader: LogReader, *, whole: bool = False) -> Survey:
    """Read through a log.

    Args:
        reader: The log.
        whole: Whether images are read, too: finds all damage there is.
    """
    kinds = set(Kind) if whole else {Kind.POSE, Kind.COMMAND}
    commands: list[tuple[float, float]] = []
    speeds: list[tuple[float, float]] = []
    before: tuple[int, Pose] | None = None
    num_poses = 0
    for sample in reader.samples(kinds):
        value = sample.value
        if isinstance(value, Command):
            commands.append((abs(value.v_mps), abs(value.w_radps)))
        elif isinstance(value, Pose):
            num_poses += 1
            stamp_ns = sample.stamp_ns or sample.logged_ns
            if before is not None and not 0 <= stamp_ns - before[0] < _MOST_S * 1e9:
                before = None
            if before is None:
                before = stamp_ns, value
            elif stamp_ns - before[0] >= _LEAST_S * 1e9:
                speeds.append(_speed(before[1], value, (stamp_ns - before[0]) / 1e9))
                before = stamp_ns, value
    # A command is exact; of measured speeds the very largest may be an outlier.
    if commands and max(max(row) for row in commands) > 0:
        v, w = np.max(np.array(commands), axis=0).tolist()
    elif speeds:
        v, w = np.quantile(np.array(speeds), 0.995, axis=0).tolist()
    else:
        v = w = 0.0
    return Survey(v_mps=v, w_radps=w, poses=num_poses, broken=reader.broken)


def _speed(a: Pose, b: Pose, seconds: float) -> tuple[float, float]:
    way = np.hypot(b.xyz_m[0] - a.xyz_m[0], b.xyz_m[1] - a.xyz_m[1])
    za, zb = flat(a).quaternion, flat(b).quaternion
    turn = 2 * np.arctan2(za[3] * zb[2] - za[2] * zb[3], za[3] * zb[3] + za[2] * zb[2])
    turn = (turn + np.pi) % (2 * np.pi) - np.pi
    return float(way / seconds), float(abs(turn) / seconds)
