"""The live house: where things stand now, and how they are moved without compiling again."""

import math

import mujoco
import numpy as np

from agentd.worlds.house.base_drive import PlanarBase
from agentd.worlds.house.maps import HouseMaps
from agentd.worlds.house.mjcf import PARKED_X_M, Scene
from agentd.worlds.house.plan import OPEN_RAD, House, Placed
from agentd.worlds.house.wear import Wear

_BALL_LIFT_M = 0.002
_LATCHED_BELOW = 0.02
"""A leaf that is opened less than this share is shut and latched."""


class Stage:
    """A scene with its physics state; all that changes while it runs lies in `data`.

    Attributes:
        scene: The compiled house.
        data: Physics state.
        wear: What is worn out or dirty.
        base: The robot.
        maps: Plane maps of the present state.
        revision: Grows whenever furniture may have been moved.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.data = mujoco.MjData(scene.model)
        self.wear = Wear(carpet=np.zeros(len(scene.house.rooms)))
        self.base = PlanarBase(scene, self.data, self.wear)
        self.maps = HouseMaps(scene, self.data)
        self.revision = 0
        self._free = {
            k: scene.model.joint(f"obj{k}")
            for k, placed in enumerate(scene.house.objects)
            if placed.piece.category == "ball"
        }
        self._body = [scene.model.body(f"obj{k}") for k in range(len(scene.house.objects))]
        mujoco.mj_kinematics(scene.model, self.data)
        for k, door in enumerate(scene.house.doors):
            if door.has_leaf:
                self.set_door(k, 1.0)

    def refresh(self) -> None:
        """Recompute where all geoms are from the joint and mocap positions."""
        mujoco.mj_kinematics(self.scene.model, self.data)

    def object_pose(self, index: int) -> tuple[float, float, float]:
        """Return x_m, y_m, yaw_rad of an object."""
        body = self._body[index]
        x, y, _ = self.data.xpos[body.id]
        w, _, _, z = self.data.xquat[body.id]
        return float(x), float(y), 2 * math.atan2(float(z), float(w))

    def is_present(self, index: int) -> bool:
        """Return whether an object stands in the house."""
        return self.object_pose(index)[0] > PARKED_X_M / 2

    def move_object(self, index: int, x: float, y: float, yaw_rad: float) -> None:
        """Put an object at a pose."""
        rotation = [math.cos(yaw_rad / 2), 0.0, 0.0, math.sin(yaw_rad / 2)]
        if index in self._free:
            joint = self._free[index]
            at, dof = int(joint.qposadr[0]), int(joint.dofadr[0])
            self.data.qpos[at : at + 7] = [x, y, _BALL_LIFT_M, *rotation]
            self.data.qvel[dof : dof + 6] = 0.0
        else:
            mocap = int(self._body[index].mocapid[0])
            self.data.mocap_pos[mocap] = (x, y, 0.0)
            self.data.mocap_quat[mocap] = rotation
            self.revision += 1
        self.refresh()

    def remove_object(self, index: int) -> None:
        """Take an object out of the house."""
        self.move_object(index, PARKED_X_M - 2 * index, PARKED_X_M, 0.0)

    def set_door(self, index: int, opening: float) -> None:
        """Open a leaf to a share of its swing, 0 to 1; shut leaves are latched."""
        scene = self.scene
        joint = scene.model.joint(f"door{index}")
        sign = scene.house.swing_sign(scene.house.doors[index])
        self.data.qpos[int(joint.qposadr[0])] = sign * OPEN_RAD * opening
        self.data.qvel[int(joint.dofadr[0])] = 0.0
        latch = scene.model.equality(f"latch{index}").id
        self.data.eq_active[latch] = int(opening < _LATCHED_BELOW)
        self.refresh()

    def door_opening(self, index: int) -> float:
        """Return the share of its swing that a leaf is open."""
        return abs(self.maps.door_angle_rad(index)) / OPEN_RAD

    def placed(self, index: int) -> Placed:
        """Return an object where it stands now."""
        x, y, yaw = self.object_pose(index)
        return Placed(
            self.scene.house.objects[index].piece, x, y, yaw, self.scene.house.room_at(x, y)
        )

    def standing(self) -> list[tuple[int, Placed]]:
        """Return number and place of all objects in the house, without the decoration."""
        objects = enumerate(self.scene.house.objects)
        solid = [k for k, o in objects if not o.piece.flat and self.is_present(k)]
        return [(k, self.placed(k)) for k in solid]

    def house_now(self) -> House:
        """Return the plan with its objects where they stand now."""
        plan = self.scene.house
        objects = tuple(o for _, o in self.standing() if o.room >= 0)
        return House(plan.seed, plan.size_m, plan.rooms, plan.doors, objects)

    def physics_state(self) -> np.ndarray:
        """Return everything that the next physics step depends on."""
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(mujoco.mj_stateSize(self.scene.model, int(kind)))
        mujoco.mj_getState(self.scene.model, self.data, state, int(kind))
        return state

    def set_physics_state(self, state: np.ndarray) -> None:
        """Go back to a state of `physics_state`."""
        kind = int(mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_setState(self.scene.model, self.data, state, kind)
        self.revision += 1
        self.refresh()
