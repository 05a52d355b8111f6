"""Settings of how a body is looked after: charging, and getting out of where it is boxed in."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DockConfig(BaseModel):
    """Where it charges, and for how long. When it goes there: `guardian.energy`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    xy_m: tuple[float, float] | None = None
    """In the frame of the map. Unset: where it charged last, else where the life began."""
    charged: float = Field(0.9, gt=0, le=1)
    """It stays until so much is charged."""
    tries: int = Field(3, ge=1)
    """Ways to the dock that may fail before it stands still and reports."""
    retry_s: float = Field(60.0, ge=0)
    wait_s: float = Field(120.0, gt=0)
    """At the dock without the charge rising for so long: reported."""


class LadderConfig(BaseModel):
    """What is tried when the body comes nowhere, each step bounded. Source: S17 of the guardian."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    use: Literal["auto", "on", "off"] = "auto"
    """`auto`: robots only; in a simulated body the policy gets itself out."""
    stuck_s: float = Field(20.0, gt=0)
    """Driving for so long without leaving a circle of `stuck_m` counts as boxed in."""
    stuck_m: float = Field(0.3, gt=0)
    try_s: float = Field(12.0, gt=0)
    """Time for the policy between two rungs."""
    wait_s: float = Field(5.0, ge=0, le=10)
    turn_rad: float = Field(1.57, gt=0, le=6.3)
    back_m: float = Field(0.30, gt=0, le=0.5)
    back_mps: float = Field(0.15, gt=0, le=0.3)
    rung_s: float = Field(9.0, gt=0, le=10)
    """Longest time on one rung; the guardian stops one of 10 s."""
    rounds: int = Field(3, ge=1)
    window_s: float = Field(600.0, gt=0)
    """More than `rounds` within this time: it stands still and reports."""

    @model_validator(mode="after")
    def _waits_no_longer_than_a_rung(self) -> "LadderConfig":
        if self.wait_s > self.rung_s:
            raise ValueError(
                f"wait_s is {self.wait_s:g}, at most rung_s = {self.rung_s:g} is accepted"
            )
        return self


class CareConfig(BaseModel):
    """How the body is looked after."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dock: DockConfig = DockConfig()
    ladder: LadderConfig = LadderConfig()
    lost_s: float = Field(3.0, ge=0)
    """The guardian must say for so long that the place is not known before the body turns to look
    around."""
    look_s: float = Field(16.0, ge=0, le=20)
    """Longest time of looking around, whether or not the body turns; then it stands and reports."""
