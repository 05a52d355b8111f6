"""Why a goal of a life failed.

References:
    Habitat-style taxonomy: never seen, seen and not detected, detected and not reached, stopped too
    far away, wrong object, stuck.
"""

import numpy as np
from jaxtyping import Float64

from agentd.evaluate.life.rows import LifeFailure
from policies.protocols import Decision

STUCK_STEPS = 60
STUCK_M = 0.3


def failure_of(
    *,
    success: bool,
    decision: Decision,
    in_view: bool,
    detected: bool,
    final_m: float,
    near_m: float,
    poses: Float64[np.ndarray, "t 3"],
) -> LifeFailure:
    """Return why a goal failed, "" if it did not.

    Args:
        success: Whether it succeeded.
        decision: The agent's last decision.
        in_view: Whether the camera ever showed an object of the category.
        detected: Whether the detector ever reported one.
        final_m: True geodesic to the success region at the end.
        near_m: A stop within this way of the region is one at the right object, too far away.
        poses: True poses of the goal.

    Returns:
        wrong_object: it stopped at something else. stop_too_far: it stopped near the object,
        outside of the region. stuck: the steps ran out on one spot. never_seen, seen_not_detected:
        it ended without. gave_up: it gave up a goal that it had detected.
        detected_not_reached: the steps ran out on the way.
    """
    if success:
        return ""
    if decision.done:
        return "stop_too_far" if final_m <= near_m else "wrong_object"
    last = poses[-STUCK_STEPS:, :2]
    if not decision.failed and len(last) == STUCK_STEPS and np.ptp(last, axis=0).max() < STUCK_M:
        return "stuck"
    if not in_view:
        return "never_seen"
    if not detected:
        return "seen_not_detected"
    return "gave_up" if decision.failed else "detected_not_reached"
