"""Whether what care is told to do is what the guardian lets it do."""

from agentd.exit_codes import UsageError
from agentd.guardian.bounds import BAND
from agentd.guardian.fence import Fence
from configs.schema import AgentConfig


def check_care(config: AgentConfig, *, has_ladder: bool) -> None:
    """Check settings of care against those of the guardian.

    Args:
        config: All settings.
        has_ladder: Whether the recovery ladder is used.

    Raises:
        UsageError: If they contradict each other; names both, and what is accepted.
    """
    care, guardian = config.care, config.guardian
    enough = min(1.0, guardian.energy.dock + BAND)
    if care.dock.charged < enough:
        raise UsageError(
            f"care.dock.charged = {care.dock.charged:g}: it would be sent back to the dock "
            f"at once; accepted: {enough:g} or more "
            f"(guardian.energy.dock = {guardian.energy.dock:g})"
        )
    fence = Fence(guardian.fence, guardian.limit.decel_mps2)
    if care.dock.xy_m is not None and fence.is_set and not fence.contains(care.dock.xy_m):
        raise UsageError(
            f"care.dock.xy_m = {list(care.dock.xy_m)} is where guardian.fence forbids to be: "
            f"set it to a place within keep_in and outside keep_out"
        )
    if not has_ladder or not guardian.enabled:
        return
    ladder, bounds = care.ladder, guardian.recovery
    if ladder.rounds > bounds.rounds:
        raise UsageError(
            f"care.ladder.rounds = {ladder.rounds}: the guardian disarms after "
            f"guardian.recovery.rounds = {bounds.rounds}; accepted: 1 to {bounds.rounds}"
        )
    if ladder.window_s < bounds.window_s:
        raise UsageError(
            f"care.ladder.window_s = {ladder.window_s:g}: the guardian counts recoveries over "
            f"guardian.recovery.window_s = {bounds.window_s:g}; accepted: "
            f"{bounds.window_s:g} or more"
        )
    if ladder.rung_s >= bounds.step_s:
        raise UsageError(
            f"care.ladder.rung_s = {ladder.rung_s:g}: the guardian stops a recovery after "
            f"guardian.recovery.step_s = {bounds.step_s:g}; accepted: less than that"
        )
