"""Bounds for a simulated body: what its own description allows, and its own ground rules."""

from typing import Any

from configs.guardian import (
    BudgetConfig,
    CommandConfig,
    ContactConfig,
    FreshConfig,
    GuardianConfig,
    LimitConfig,
    ZoneConfig,
)
from memory.records import BodySpec

_ANY = 1e9
"""A ramp that never binds: the simulation has its own physics."""

_MARGIN_M = 0.03
"""Less than the safety filter keeps: it has the first word."""


def body_bounds(config: GuardianConfig, spec: BodySpec) -> GuardianConfig:
    """Return the settings with the limits of a simulated body in place of a robot's.

    The body's speeds, no ramps beyond its own physics, one tick of reaction. The safety filter of
    the policy keeps its distances there; the guardian behind it steps in only where the body would
    touch something within the tick, and never where the filter has done its work. A touch forbids
    forward motion while it lasts; nothing is backed off, and touches do not use up a budget: a
    simulated body may learn from them.
    """
    limit = LimitConfig.model_construct(
        v_fwd_mps=spec.v_max_mps,
        v_rev_mps=spec.v_max_mps,
        w_radps=spec.w_max_radps,
        accel_mps2=_ANY,
        decel_mps2=_ANY,
        w_accel_radps2=_ANY,
    )
    zone = _with(
        config.zone,
        react_s=spec.tick_s,
        decel_mps2=_ANY,
        margin_m=_MARGIN_M,
        slow_extra_m=0.0,
        contact_s=0.0,
        num_points=1,
        remember_s=0.0,  # the filter remembers, in three dimensions
        creep_mps=0.02,
    )
    command = _with(config.command, max_age_s=max(config.command.max_age_s, 2 * spec.tick_s))
    fresh = _with(config.fresh, rejoin_s=0.0)
    contact = _with(config.contact, hold_s=0.0, back_off_m=0.0)
    return config.model_copy(
        update={
            "limit": limit,
            "zone": zone,
            "command": command,
            "fresh": fresh,
            "contact": contact,
            "budget": BudgetConfig(enabled=False),
        }
    )


def _with(section: Any, **values: Any) -> Any:
    """Return a section with values that its own bounds would not accept."""
    assert isinstance(section, ZoneConfig | CommandConfig | FreshConfig | ContactConfig)
    return section.model_copy(update=values)
