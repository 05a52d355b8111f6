"""How often the rows of life are trained on.

    frames drawn for training, over the lineage <= max_samples_per_insert * rows of life

Few rows seen too often are learned by heart; the bound lets a young life start and then holds the
learner to the pace at which the life goes on. The lower bound is only told: what the machine cannot
train in time cannot be made up for by waiting.

References:
    Cassirer et al. 2021, Reverb, arXiv:2102.04736, section 3.3 (SampleToInsertRatio).
"""

from typing import Any

from memory.config import SamplingConfig


def allowed_updates(
    config: SamplingConfig, num_rows: int, frames_before: int, frames_per_update: int
) -> int:
    """Return how many updates may be made before the upper bound is passed.

    Args:
        config: Settings.
        num_rows: Rows of life at the table version that is trained from.
        frames_before: Frames that the lineage was trained on before.
        frames_per_update: Windows of a batch times frames of a window.
    """
    left = config.max_samples_per_insert * num_rows - frames_before
    return max(0, int(left // frames_per_update))


def limiter_metrics(
    config: SamplingConfig, num_rows: int, frames: int, *, limited: bool
) -> dict[str, Any]:
    """Return what a checkpoint tells about it.

    Args:
        config: Settings.
        num_rows: Rows of life at the table version that was trained from.
        frames: Frames that the lineage was trained on, this round included.
        limited: Whether the upper bound made the round shorter than its `max_updates`.
    """
    ratio = frames / num_rows
    return {
        "samples_per_insert": ratio,
        "max_samples_per_insert": config.max_samples_per_insert,
        "min_samples_per_insert": config.min_samples_per_insert,
        "limited": limited,
        "too_little": ratio < config.min_samples_per_insert,
    }
