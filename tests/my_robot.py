"""The robot of the README: a driver on one side, a World on the other."""

from dataclasses import replace

import numpy as np
from box_robot import BoxRobot  # your driver

from agentd.worlds.base import StaleWorldError, StepResult, WorldClosedError
from memory.frames import camera_mount, egomotion_between, se3_from_pose
from memory.records import Action, BodySpec, Observation


class MyRobot:
    spec = BodySpec(
        name="mine", width_px=64, height_px=64, fx_px=32.0, fy_px=32.0, cx_px=32.0, cy_px=32.0,
        T_body_camera=camera_mount(forward_m=0.1, height_m=0.5, pitch_rad=0.1), radius_m=0.2,
        height_m=0.6, v_max_mps=0.5, w_max_radps=1.5, tick_s=0.2, depth_max_m=12.0,
    )  # fmt: skip

    def __init__(self, side_m: float = 6.0) -> None:
        self.robot = BoxRobot(self.spec, side_m)

    def reset(self, seed: int | None = None) -> Observation:
        return self._sense(self.robot.pose, bumped=False)  # a robot stays put

    def step(self, action: Action) -> StepResult:
        v_mps = float(np.clip(action.v_mps, -self.spec.v_max_mps, self.spec.v_max_mps))
        w_radps = float(np.clip(action.w_radps, -self.spec.w_max_radps, self.spec.w_max_radps))
        before, bumped = self.robot.pose, self.robot.drive(v_mps, w_radps, action.duration_s)
        applied = replace(action, v_mps=v_mps, w_radps=w_radps)
        return StepResult(observation=self._sense(before, bumped), applied=applied)

    def _sense(self, before: np.ndarray, bumped: bool) -> Observation:
        if not self.robot.is_open:
            raise WorldClosedError("the robot was closed")
        try:
            stamp_ns, rgb, depth_m = self.robot.camera(limit_s=1.0)
        except TimeoutError as error:
            raise StaleWorldError(str(error)) from error
        pose = self.robot.pose
        return Observation(
            stamp_ns=stamp_ns, rgb=rgb, depth_m=depth_m, instances=None, labels=("",),
            T_world_camera=se3_from_pose(pose) @ self.spec.T_body_camera,
            egomotion=egomotion_between(before, pose), bumped=bumped,
        )  # fmt: skip

    def close(self) -> None:
        self.robot.close()
