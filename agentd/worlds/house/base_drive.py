"""The robot's base: a disc on wheels, driven by velocity, that stops when it bumps."""

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float64

from agentd.worlds.house.mjcf import TIMESTEP_S, Scene
from agentd.worlds.house.wear import CONTROL_S, Wear, Wheels
from memory.frames import wrap_rad

_CONTROL_EVERY = round(CONTROL_S / TIMESTEP_S)
"""Physics steps between two updates of the velocity command and two looks at the bumper."""
_BUMPER_COS = 0.5
"""The bumper covers 60 deg to both sides of the heading; shallower contacts slide along."""
_STALL_SHARE = 0.25
"""Pushing something and covering less than this share of the way counts as stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """How a command was carried out.

    Attributes:
        v_mps: Mean of the speed that the wheels were told, none after the bumper cut them off.
        w_radps: Turn rate that the wheels were told to turn at.
        duration_s: Time that passed.
        bumped: Whether something stopped the base.
    """

    v_mps: float
    w_radps: float
    duration_s: float
    bumped: bool


class PlanarBase:
    """Slides along x and y and turns; the body moves as one upright capsule.

    Attributes:
        wheels: What lies between a command and the motion.
    """

    def __init__(self, scene: Scene, data: mujoco.MjData, wear: Wear) -> None:
        model = scene.model
        self.wheels = Wheels(wear)
        self._house = scene.house
        self._model, self._data = model, data
        joints = [model.joint(n) for n in ("rx", "ry", "rt")]
        self._qpos = [int(j.qposadr[0]) for j in joints]
        self._qvel = [int(j.dofadr[0]) for j in joints]
        self._geom = model.geom("base").id
        self._fixed_body = model.body_dofnum == 0
        self._latch_of_body = {
            model.body(f"door{k}").id: model.equality(f"latch{k}").id
            for k, door in enumerate(scene.house.doors)
            if door.has_leaf
        }

    def pose(self) -> Float64[np.ndarray, "3"]:
        """Return the true x_m, y_m, yaw_rad."""
        x, y, yaw = (float(self._data.qpos[a]) for a in self._qpos)
        return np.array([x, y, wrap_rad(yaw)])

    def place(self, pose: Float64[np.ndarray, "3"]) -> None:
        """Put the base at a pose, standing still."""
        for k in range(3):
            self._data.qpos[self._qpos[k]] = pose[k]
            self._data.qvel[self._qvel[k]] = 0.0
        self._data.ctrl[:] = 0.0
        self.wheels.clear()

    def drive(self, v_mps: float, w_radps: float, duration_s: float) -> Drive:
        """Turn the wheels for a while; the bumper stops them for the rest of the command.

        Args:
            v_mps: Forward speed of the wheels.
            w_radps: Turn rate of the wheels, to the left.
            duration_s: Rounded to physics steps, at least one.
        """
        num_steps = max(1, round(duration_s / TIMESTEP_S))
        start, speed, num_driven, pushed = self.pose(), 0.0, 0, False
        bumped, rolling, wanted_m = False, 0.0, 0.0
        for i in range(num_steps):
            if i % _CONTROL_EVERY == 0:
                speed, turn = self.wheels.turn(v_mps, w_radps)
                room = self._room()
                rolling = abs(self.wheels.roll(speed, turn, room)[0])
                speed = 0.0 if bumped else speed
                self._command(*self.wheels.roll(speed, turn, room))
            mujoco.mj_step(self._model, self._data)
            num_driven += not bumped
            wanted_m += rolling * TIMESTEP_S
            if speed and self._data.ncon and (i % _CONTROL_EVERY or i == num_steps - 1):
                ahead, fixed = self._contact_ahead(math.copysign(1.0, speed))
                pushed |= ahead
                if fixed:
                    bumped, speed = True, 0.0
                    self.wheels.stop()
        moved = float(np.hypot(*(self.pose() - start)[:2]))
        bumped |= pushed and moved < _STALL_SHARE * wanted_m
        return Drive(
            v_mps=v_mps * num_driven / num_steps,
            w_radps=w_radps,
            duration_s=num_steps * TIMESTEP_S,
            bumped=bumped,
        )

    def _room(self) -> int:
        """Return the room whose floor matters, -1 where all floors are alike."""
        if not self.wheels.wear.carpet.any():
            return -1
        x, y, _ = self.pose()
        return self._house.room_at(float(x), float(y))

    def _command(self, v_mps: float, w_radps: float) -> None:
        yaw = self._data.qpos[self._qpos[2]]
        self._data.ctrl[0] = v_mps * math.cos(yaw)
        self._data.ctrl[1] = v_mps * math.sin(yaw)
        self._data.ctrl[2] = w_radps

    def _contact_ahead(self, direction: float) -> tuple[bool, bool]:
        """Return whether anything, and whether anything fixed, touches the leading side."""
        geoms = self._data.contact.geom
        mine = geoms == self._geom
        rows = mine.any(axis=1)
        if not rows.any():
            return False, False
        geoms, mine = geoms[rows], mine[rows]
        outward = np.where(mine[:, 0], direction, -direction)
        normal = self._data.contact.frame[rows][:, :2] * outward[:, None]
        yaw = self._data.qpos[self._qpos[2]]
        ahead = normal @ np.array([math.cos(yaw), math.sin(yaw)]) > _BUMPER_COS
        bodies = self._model.geom_bodyid[np.where(mine[:, 0], geoms[:, 1], geoms[:, 0])]
        fixed = any(self._is_fixed(int(b)) for b in bodies[ahead])
        return bool(ahead.any()), fixed

    def _is_fixed(self, body: int) -> bool:
        latch = self._latch_of_body.get(body)
        return bool(self._fixed_body[body]) or (
            latch is not None and bool(self._data.eq_active[latch])
        )
