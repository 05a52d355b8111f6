"""Whether the body is where it believes to be: S11, S12."""

import math
from dataclasses import dataclass

from agentd.guardian.records import Advice, Cause, Imu, MapPose, Odometry, Ruling, stop
from configs.guardian import BeliefConfig

_ONE_TURN_RAD = 2 * math.pi
_LONGEST_SPIN_S = 20.0
_HOLD_S = 5.0
"""After a stop because nothing agreed, this long at rest before another try."""


@dataclass(slots=True)
class BeliefMemory:
    """How long things have not fitted together."""

    differs_since_s: float | None = None
    slips_since_s: float | None = None
    jump_until_s: float = -math.inf
    last_xy: tuple[float, float] | None = None
    last_stamp_s: float = -math.inf
    stopped_until_s: float = -math.inf
    stopped_why: str = ""
    lost_since_s: float | None = None
    spun_rad: float = 0.0
    last_yaw_rad: float | None = None


class Belief:
    """Compares what should agree: odometry with the gyroscope, with itself, with the map."""

    def __init__(self, config: BeliefConfig, v_max_mps: float) -> None:
        self._config = config
        self._v_max_mps = v_max_mps
        self.memory = BeliefMemory()

    def rule(
        self, odom: Odometry | None, imu: Imu | None, pose: MapPose | None, now_s: float
    ) -> tuple[list[Ruling], tuple[Advice, ...]]:
        """Return bounds and advice."""
        if odom is None:
            return [], ()
        slips = self._slips(odom, imu, now_s)
        rulings: list[Ruling] = []
        advice: tuple[Advice, ...] = ()
        slips_s = 0.0
        if slips:
            since_s = self.memory.slips_since_s
            self.memory.slips_since_s = now_s if since_s is None else since_s
            slips_s = now_s - self.memory.slips_since_s
        else:
            self.memory.slips_since_s = None
        if slips and slips_s < self._config.stop_s:
            slow = self._config.slow_mps
            rulings.append(Ruling(cause=Cause.SLIP, detail=slips, v_fwd_mps=slow, v_rev_mps=slow))
        elif slips:
            self.memory.stopped_until_s = now_s + _HOLD_S
            self.memory.stopped_why = slips
        if now_s < self.memory.stopped_until_s:
            # At rest everything agrees: that alone proves nothing.
            rulings.append(stop(Cause.SLIP, self.memory.stopped_why))
            advice = (Advice.RELOCALISE,)
        lost, told = self._lost(odom, pose, bool(slips), now_s)
        return rulings + lost, advice + told

    @property
    def is_lost(self) -> bool:
        """Whether the pose on the map means nothing."""
        return self.memory.lost_since_s is not None

    def _slips(self, odom: Odometry, imu: Imu | None, now_s: float) -> str:
        """Return what does not agree, "" if all does."""
        config, memory = self._config, self.memory
        if odom.stamp_s != memory.last_stamp_s:
            passed_s = odom.stamp_s - memory.last_stamp_s
            here = (odom.x_m, odom.y_m)
            if memory.last_xy is not None:
                drivable_m = self._v_max_mps * min(max(passed_s, 0.0), 1.0)
                if math.dist(here, memory.last_xy) > max(config.jump_m, 2 * drivable_m):
                    memory.jump_until_s = now_s + config.stop_s
            memory.last_xy, memory.last_stamp_s = here, odom.stamp_s
        differs = imu is not None and abs(imu.w_radps - odom.w_radps) > config.yaw_rate_radps
        since_s = memory.differs_since_s
        memory.differs_since_s = (now_s if since_s is None else since_s) if differs else None
        if now_s < memory.jump_until_s:
            return "the pose jumped"
        since_s = memory.differs_since_s
        if imu is None or since_s is None or now_s - since_s < config.yaw_rate_s - 1e-9:
            return ""
        return (
            f"turns at {imu.w_radps:.2f} rad/s by the gyroscope and at "
            f"{odom.w_radps:.2f} rad/s by the wheels"
        )

    def _lost(
        self, odom: Odometry, pose: MapPose | None, slips: bool, now_s: float
    ) -> tuple[list[Ruling], tuple[Advice, ...]]:
        memory, config = self.memory, self._config
        votes = ["odometry disagrees"] if slips else []
        if pose is not None:
            votes += ["the localisation is unsure"] if pose.std_m >= config.std_m else []
            votes += ["the map does not fit"] if pose.match < config.match else []
            votes += ["the map contradicts"] if pose.is_contradicted else []
        is_found = pose is not None and not votes
        if len(votes) >= 2 and memory.lost_since_s is None:
            memory.lost_since_s, memory.spun_rad = now_s, 0.0
            memory.last_yaw_rad = odom.yaw_rad
        elif memory.lost_since_s is not None and (is_found or (pose is None and not slips)):
            memory.lost_since_s = None
        if memory.lost_since_s is None:
            return [], ()
        if memory.last_yaw_rad is not None:
            step = math.remainder(odom.yaw_rad - memory.last_yaw_rad, 2 * math.pi)
            memory.spun_rad += abs(step)
        memory.last_yaw_rad = odom.yaw_rad
        lost_s = now_s - memory.lost_since_s
        text = f"{' and '.join(votes) or 'not found again yet'}, for {lost_s:.0f} s"
        may_spin = memory.spun_rad < _ONE_TURN_RAD and lost_s < _LONGEST_SPIN_S
        turn = math.inf if may_spin else 0.0
        ruling = Ruling(cause=Cause.LOST, detail=text, v_fwd_mps=0.0, v_rev_mps=0.0, w_radps=turn)
        late = lost_s >= config.recognise_s
        return [ruling], (Advice.REPORT,) if late else (Advice.RELOCALISE,)

    def relocate(self) -> None:
        """Forget where the body was: it was put somewhere else."""
        self.memory = BeliefMemory()
