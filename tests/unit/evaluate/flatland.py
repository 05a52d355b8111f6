"""A room without walls, a robot that is a point, and an agent simple enough to reason about."""

import math
from collections.abc import Sequence

import numpy as np

from agentd.evaluate.runner import Stage
from agentd.worlds.base import StepResult
from agentd.worlds.oracle import TrueMap, TrueObject
from memory.frames import body_pose, camera_mount, compose, se3_from_pose
from memory.records import (
    Action,
    BodySpec,
    Detection,
    Goal,
    ObjectGoal,
    Observation,
    PointGoal,
    Slot,
    SlotState,
    View,
)
from policies.protocols import Decision, LatentModel, Mode

SIDE_M = 8.0
CELL_M = 0.1
REGION_M = 1.0
VIEW_M = 2.5

SPEC = BodySpec(
    name="flatland",
    width_px=8,
    height_px=8,
    fx_px=4.0,
    fy_px=4.0,
    cx_px=4.0,
    cy_px=4.0,
    T_body_camera=camera_mount(0.0, 0.5),
    radius_m=0.0,
    height_m=1.0,
    v_max_mps=1.0,
    w_max_radps=2.0,
    tick_s=0.2,
    depth_max_m=10.0,
)


def thing(object_id: int, label: str, x_m: float, y_m: float) -> TrueObject:
    return TrueObject(
        object_id=object_id,
        label=label,
        xyz_m=np.array([x_m, y_m, 0.5]),
        extent_m=np.full(3, 0.2),
        room="flat",
    )


class FlatWorld:
    """World and Oracle in one: a square without obstacles."""

    def __init__(self, things: Sequence[TrueObject]) -> None:
        self.things = list(things)
        self._pose = np.array([SIDE_M / 2, SIDE_M / 2, 0.0])
        self._stamp_ns = 0
        self.spec = SPEC

    def reset(self, seed: int | None = None) -> Observation:
        return self._sense(False)

    def step(self, action: Action) -> StepResult:
        move = np.array([action.v_mps * action.duration_s, 0.0, action.w_radps * action.duration_s])
        wanted = compose(self._pose, move)
        bumped = bool(np.any((wanted[:2] < 0) | (wanted[:2] > SIDE_M)))
        self._pose = compose(self._pose, move * (0, 0, 1)) if bumped else wanted
        return StepResult(observation=self._sense(bumped), applied=action)

    def close(self) -> None:
        pass

    def objects(self) -> list[TrueObject]:
        return list(self.things)

    def true_map(self) -> TrueMap:
        num_cells = round(SIDE_M / CELL_M)
        return TrueMap(
            navigable=np.ones((num_cells, num_cells), dtype=bool),
            origin_m=(0.0, 0.0),
            cell_m=CELL_M,
        )

    def pose(self) -> np.ndarray:
        return self._pose.copy()

    def place(self, pose: np.ndarray) -> None:
        self._pose = np.array(pose, dtype=np.float64)

    def geodesic_m(self, goal: Goal, start: np.ndarray | None = None) -> float:
        x_m, y_m = (self._pose if start is None else start)[:2]
        if isinstance(goal, PointGoal):
            return max(0.0, math.hypot(goal.xy_m[0] - x_m, goal.xy_m[1] - y_m) - 0.25)
        assert isinstance(goal, ObjectGoal)
        distances_m = [
            math.hypot(t.xyz_m[0] - x_m, t.xyz_m[1] - y_m)
            for t in self.things
            if t.label == goal.label
        ]
        return max(0.0, min(distances_m, default=math.inf) - REGION_M)

    def success(self, goal: Goal) -> bool:
        return self.geodesic_m(goal) <= 0.1

    def _sense(self, bumped: bool) -> Observation:
        self._stamp_ns += 1
        return Observation(
            stamp_ns=self._stamp_ns,
            rgb=np.zeros((8, 8, 3), dtype=np.uint8),
            depth_m=np.ones((8, 8), dtype=np.float32),
            instances=None,
            labels=("",),
            T_world_camera=se3_from_pose(self._pose) @ SPEC.T_body_camera,
            egomotion=np.zeros(3, dtype=np.float32),
            bumped=bumped,
        )


class AllRoundDetector:
    """Sees everything within VIEW_M, in every direction."""

    def __init__(self, world: FlatWorld) -> None:
        self._world = world

    def detect(self, observation: Observation) -> list[Detection]:
        x_m, y_m, _ = self._world.pose()
        return [
            Detection(
                instance=number,
                label=t.label,
                score=1.0,
                box=(0.0, 0.0, 1.0, 1.0),
                xyz_m=t.xyz_m,
                extent_m=t.extent_m,
                xyz_body_m=t.xyz_m,
                num_px=10,
                range_m=1.0,
                touches_border=False,
            )
            for number, t in enumerate(self._world.things, start=1)
            if math.hypot(t.xyz_m[0] - x_m, t.xyz_m[1] - y_m) <= VIEW_M
        ]


class ListMemory:
    """Remembers where each category was last seen, and how often it was emptied and read."""

    def __init__(self) -> None:
        self.seen: dict[str, Detection] = {}
        self.cleared = 0
        self.sizes_at_update: list[int] = []

    def update(
        self, observation: Observation, detections: Sequence[Detection], step: int
    ) -> list[int]:
        self.sizes_at_update.append(len(self.seen))
        self.seen.update({d.label: d for d in detections})
        return [0 for _ in detections]

    def slots(self, label: str | None = None, *, archived: bool = False) -> list[Slot]:
        return [slot(d.label, d.xyz_m) for d in self.seen.values() if label in (None, d.label)]

    def views(self, slot_id: int) -> list[View]:
        return []

    def flush(self) -> int:
        return 0

    def clear(self) -> None:
        self.cleared += 1
        self.seen.clear()


def slot(label: str, xyz_m: np.ndarray, slot_id: int = 1) -> Slot:
    return Slot(
        slot_id=slot_id,
        label=label,
        votes={label: 1.0},
        xyz_m=np.asarray(xyz_m, dtype=np.float64),
        cov_m2=np.eye(3),
        extent_m=np.full(3, 0.2),
        existence=1.0,
        state=SlotState.CONFIRMED,
        num_hits=3,
        first_seen_ns=0,
        last_seen_ns=0,
        first_seen_step=0,
        last_seen_step=0,
    )


class GridMap:
    """A map that knows what it is told."""

    def __init__(self) -> None:
        self.origin_m = (0.0, 0.0)
        self.cell_m = CELL_M
        self._grid = np.full((80, 80), -1, dtype=np.int8)

    def grid(self) -> np.ndarray:
        return self._grid

    def see(self, x_m: float, y_m: float) -> None:
        i, j = int(x_m / CELL_M), int(y_m / CELL_M)
        self._grid[max(i - 5, 0) : i + 6, max(j - 5, 0) : j + 6] = 0


class Homing:
    """Drives straight to the goal if its place is known, else to the corners, one by one."""

    CORNERS = ((2.0, 2.0), (6.0, 2.0), (6.0, 6.0), (2.0, 6.0))

    def __init__(
        self, slots: object, *, stop_m: float = REGION_M, gives_up_at: int = 10**9
    ) -> None:
        self._slots = slots
        self._stop_m = stop_m
        self._gives_up_at = gives_up_at
        self._corner = 0
        self._steps = 0
        self.map = GridMap()
        self.resets: list[bool] = []

    def act(
        self, observation: Observation, detections: Sequence[Detection], goal: Goal | None
    ) -> Decision:
        pose = body_pose(observation.T_world_camera, SPEC)
        self.map.see(float(pose[0]), float(pose[1]))
        self._steps += 1
        label = getattr(goal, "label", None)
        places = [d.xyz_m for d in detections if d.label == label]
        places += [s.xyz_m for s in self._slots.slots(label)] if goal else []
        if goal and self._steps > self._gives_up_at:
            return Decision(action=_still(), mode=Mode.IDLE, reason="", failed="looked everywhere")
        if not places:
            return Decision(action=self._explore(pose), mode=Mode.EXPLORE, reason="looks around")
        x_m, y_m = float(places[0][0]), float(places[0][1])
        if math.hypot(x_m - pose[0], y_m - pose[1]) <= self._stop_m:
            return Decision(action=_still(), mode=Mode.STOP, reason="there", done=True)
        return Decision(action=_towards(pose, x_m, y_m), mode=Mode.GOTO, reason="goes there")

    def note_surprise(self, surprise: float) -> None:
        pass

    def note_applied(self, action: Action) -> None:
        """Nothing to learn."""

    def use_model(self, model: LatentModel | None) -> None:
        pass

    def reset(self, *, keep_map: bool = True) -> None:
        self.resets.append(keep_map)
        self._corner = self._steps = 0
        if not keep_map:
            self.map = GridMap()

    def _explore(self, pose: np.ndarray) -> Action:
        x_m, y_m = self.CORNERS[self._corner % 4]
        if math.hypot(x_m - pose[0], y_m - pose[1]) < 0.3:
            self._corner += 1
        return _towards(pose, x_m, y_m)


class FreeSafety:
    """Lets everything pass."""

    interventions = 0

    def clip(self, action: Action, observation: Observation) -> Action:
        return action


def make_stage(things: Sequence[TrueObject], memory: ListMemory | None, policy: Homing) -> Stage:
    world = FlatWorld(things)
    return Stage(
        world=world,
        oracle=world,
        detector=AllRoundDetector(world),
        policy=policy,
        safety=FreeSafety(),
        memory=memory,
    )


def _still() -> Action:
    return Action(v_mps=0.0, w_radps=0.0, duration_s=0.2)


def _towards(pose: np.ndarray, x_m: float, y_m: float) -> Action:
    """Turn on the spot until the target is ahead, then drive."""
    bearing = math.atan2(y_m - float(pose[1]), x_m - float(pose[0])) - float(pose[2])
    bearing = (bearing + math.pi) % (2 * math.pi) - math.pi
    if abs(bearing) > 0.05:
        return Action(v_mps=0.0, w_radps=bearing / 0.2, duration_s=0.2)
    return Action(v_mps=1.0, w_radps=0.0, duration_s=0.2)
