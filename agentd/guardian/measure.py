"""Measures after how long without commands a robot stops by itself: S2."""

from agentd.guardian.records import Odometry, Verdict

SPEED_MPS = 0.1
_RUN_S = 1.5
_LONGEST_S = 2.0
_REST_MPS = 0.02
_DRIVING_MPS = 0.05


class Measurement:
    """Drives a little, falls silent, and watches odometry.

    Attributes:
        watchdog_s: The result, None while there is none.
        problem: Why there is none, "" while it goes on.
    """

    def __init__(self, now_s: float) -> None:
        self._began_s = now_s
        self._silent_s: float | None = None
        self.watchdog_s: float | None = None
        self.problem = ""

    @property
    def is_over(self) -> bool:
        """Whether there is a result or a problem."""
        return self.watchdog_s is not None or bool(self.problem)

    @property
    def is_silent(self) -> bool:
        """Whether nothing may be sent."""
        return self._silent_s is not None and not self.is_over

    def step(self, verdict: Verdict, odom: Odometry | None, now_s: float) -> None:
        """Look at one tick.

        Args:
            verdict: Of the guardian, for a command of `SPEED_MPS`.
            odom: Newest odometry.
            now_s: Time of this tick.
        """
        if self.is_over:
            return
        if odom is None:
            self.problem = "odometry does not deliver"
        elif self._silent_s is None:
            if now_s - self._began_s < _RUN_S:
                return
            if abs(odom.v_mps) < _DRIVING_MPS:
                self.problem = (
                    f"the robot drives at {odom.v_mps:.2f} m/s where {SPEED_MPS:g} m/s were "
                    f"commanded ({verdict.text or 'nothing holds it'})"
                )
                return
            self._silent_s = now_s
        elif abs(odom.v_mps) < _REST_MPS:
            self.watchdog_s = now_s - self._silent_s
        elif now_s - self._silent_s > _LONGEST_S:
            self.problem = f"the robot still drives {_LONGEST_S:g} s after the last command"
