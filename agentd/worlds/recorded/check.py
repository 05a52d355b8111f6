"""Whether a log makes steps at all, before anything is made of it."""

from configs.bodies.recorded import RecordedConfig
from memory.logs.camera import Lens
from memory.logs.errors import LogError
from memory.logs.report import LogReport
from memory.logs.resample import Resampler
from memory.logs.samples import Kind, LogReader

_FROZEN_SHARE = 0.5


def check_steps(config: RecordedConfig, reader: LogReader, lens: Lens) -> None:
    """Look for two steps of one episode.

    Args:
        config: How the log is read.
        reader: The log.
        lens: Makes the images.

    Raises:
        LogError: If there are none; says what became of the images instead.
    """
    summary = reader.summary
    kinds = {kind for kind in Kind if summary.role(kind)} | {Kind.POSE}
    report = LogReport()
    resampler = Resampler(
        config.resample,
        tick_s=config.tick_s,
        period_s=summary.period_s,
        kinds=kinds,
        lens=lens,
        report=report,
    )
    ticks = resampler.ticks(reader.samples(kinds))
    if any(tick.led is not None for tick in ticks):
        return
    master = summary.role(Kind(config.resample.master)) or summary.role(Kind.COLOUR)
    stream = report.stream(master[0])
    frozen = stream.duplicates > _FROZEN_SHARE * max(1, stream.received)
    why = "; ".join(report.lines()[1:]) or f"{master[0]} has {stream.received} images"
    if frozen:
        why = (
            f"the clock of {master[0]} stands still: {stream.duplicates} of {stream.received} "
            'images bear the stamp of the one before; world.recorded.resample.clock = "log" takes '
            f"the times at which they were written ({why})"
        )
    damaged = [*reader.undecodable, *([reader.broken] if reader.broken else [])]
    tail = f"; {'; '.join(damaged)}" if damaged else ""
    raise LogError(f"the log makes no two steps: {why}{tail}")
