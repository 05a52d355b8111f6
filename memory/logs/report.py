"""What became of the samples of a log: taken, dropped and why, cut, out of step."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(slots=True)
class StreamReport:
    """What one stream was like.

    Attributes:
        received: Samples.
        no_stamp: Those without a time in their header: the recorder's was taken.
        duplicates: Those with the stamp of the one before.
        out_of_order: Those older than the one before; they were sorted in, or dropped as too late.
        set_back: Times that the clock was set back.
    """

    received: int = 0
    no_stamp: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    set_back: int = 0


@dataclass(slots=True)
class LogReport:
    """What became of a log.

    Attributes:
        streams: By topic.
        steps: Steps that were made.
        between_ticks: Images that the control rate leaves out.
        dropped: Images that could make no step, by reason.
        cuts: Ends of episodes, by reason.
        commanded: Steps whose action was commanded.
        derived: Steps whose action was derived from the motion.
        moved_without_command: Steps in which the body moved although nothing was commanded.
        clipped: Steps whose action was beyond the body's limits.
        bumps: Steps with a collision.
        depth_off_s: Time between an image and its depth, by step.
        damaged: What could not be read, by reason.
    """

    streams: dict[str, StreamReport] = field(default_factory=dict)
    steps: int = 0
    between_ticks: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    cuts: Counter[str] = field(default_factory=Counter)
    commanded: int = 0
    derived: int = 0
    moved_without_command: int = 0
    clipped: int = 0
    bumps: int = 0
    depth_off_s: list[float] = field(default_factory=list)
    damaged: Counter[str] = field(default_factory=Counter)

    def stream(self, topic: str) -> StreamReport:
        """Return the report of a stream."""
        return self.streams.setdefault(topic, StreamReport())

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        off = np.abs(self.depth_off_s) if self.depth_off_s else np.zeros(1)
        return {
            "steps": self.steps,
            "between_ticks": self.between_ticks,
            "dropped": dict(self.dropped),
            "cuts": dict(self.cuts),
            "actions": {
                "commanded": self.commanded,
                "derived": self.derived,
                "moved_without_command": self.moved_without_command,
                "clipped": self.clipped,
            },
            "bumps": self.bumps,
            "depth_off_s": {
                "median": round(float(np.median(off)), 4),
                "most": round(float(off.max()), 4),
            },
            "streams": {
                topic: {name: getattr(report, name) for name in StreamReport.__slots__}
                for topic, report in sorted(self.streams.items())
            },
            "damaged": dict(self.damaged),
        }

    def lines(self) -> list[str]:
        """Return it in words, what is worth knowing only."""
        told = [f"{self.steps} steps; {self.between_ticks} images lie between the ticks"]
        told += [f"dropped: {count} images: {why}" for why, count in self.dropped.most_common()]
        told += [f"cut: {count} times: {why}" for why, count in self.cuts.most_common()]
        for topic, report in sorted(self.streams.items()):
            faults = {
                "without a header's time": report.no_stamp,
                "with the stamp of the one before": report.duplicates,
                "out of order": report.out_of_order,
                "times the clock was set back": report.set_back,
            }
            told += [f"{topic}: {n} {what}" for what, n in faults.items() if n]
        if self.derived:
            told.append(f"{self.derived} actions were derived from the motion: none was commanded")
        if self.moved_without_command:
            told.append(
                f"the body moved in {self.moved_without_command} steps without a command: another "
                "topic may have driven it (world.recorded.streams.command)"
            )
        if self.clipped:
            told.append(f"{self.clipped} actions were beyond the body's limits and are clipped")
        told += [f"cannot be read: {what} ({n} times)" for what, n in self.damaged.most_common()]
        return told
