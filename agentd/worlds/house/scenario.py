"""Scripted changes of the house: what moves, breaks or goes dark, and when."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool

from agentd.worlds.house.camera import Light
from agentd.worlds.house.furniture import (
    MAKER_OF_CATEGORY,
    OBJECT_CATEGORIES,
    PORTABLE,
    make_piece,
)
from agentd.worlds.house.parts import Piece, pick
from agentd.worlds.house.placement import FloorPlan, RoomPlacer
from agentd.worlds.house.plan import ROBOT_RADIUS_M, House, Placed, rects_meet
from agentd.worlds.house.stage import Stage
from agentd.worlds.house.wear import LONGEST_DELAY_S, SIDES, set_wear
from configs.worlds import ScenarioConfig, ScenarioEvent

_ROBOT_GAP_M = ROBOT_RADIUS_M + 0.15
_SPOT_TRIES = 4
_DEFAULT_VALUE = {
    "set_door": 0.0,
    "set_light": 0.15,
    "set_daylight": 0.0,
    "wheel_slip": 0.3,
    "wheel_drift": 0.2,
    "camera_noise": 0.03,
    "motor_gain": 0.5,
    "actuation_delay": 0.4,
    "payload": 0.4,
    "carpet": 0.4,
    "camera_tilt": 0.1,
}
_VALUE_RANGE = {
    "set_door": (0.0, 1.0),
    "set_light": (0.0, 1.5),
    "set_daylight": (0.0, 1.5),
    "wheel_slip": (0.0, 0.95),
    "wheel_drift": (-3.0, 3.0),
    "camera_noise": (0.0, 1.0),
    "motor_gain": (0.1, 1.5),
    "actuation_delay": (0.0, LONGEST_DELAY_S),
    "payload": (0.0, 3.0),
    "carpet": (0.0, 0.95),
    "camera_tilt": (-0.4, 0.4),
}


class Scenario:
    """Applies the events of a script when they are due.

    An event whose place is taken by the robot (a door that would shut on it) waits. What an event
    draws depends on the scenario's seed and its place in the script, never on the past.
    """

    def __init__(self, config: ScenarioConfig, stage: Stage, light: Light) -> None:
        self._config = config
        self._stage = stage
        self._light = light
        self.wear = stage.wear
        self.done: Bool[np.ndarray, "e"] = np.zeros(len(config.events), dtype=bool)
        plan = stage.scene.house
        first_spare = len(plan.objects) - stage.scene.num_spares
        adding = [k for k, e in enumerate(config.events) if e.action == "add_object"]
        self._spare_of_event = {k: first_spare + n for n, k in enumerate(adding)}

    def apply_due(self, step: int) -> tuple[str, ...]:
        """Apply what is due at a step and return one line per change."""
        lines = []
        for k, event in enumerate(self._config.events):
            if not self.done[k] and event.at_step <= step:
                rng = np.random.default_rng([self._config.seed, k])
                line = self._apply(k, event, rng)
                if line is not None:
                    self.done[k] = True
                    lines.append(f"scenario: {line}")
        return tuple(lines)

    def happen(self, event: ScenarioEvent, rng: np.random.Generator) -> str | None:
        """Make an event happen now, outside of the script; return what did.

        None if it cannot at the moment, because the robot is in the way.

        Raises:
            ValueError: If the event names what is not in the house, or would bring something new.
        """
        if event.action == "add_object":
            raise ValueError("add_object must be in the script: what it brings is built beforehand")
        check_scenario(ScenarioConfig(events=(event,)), self._stage.scene.house)
        return self._apply(0, event, rng)

    def _apply(self, number: int, event: ScenarioEvent, rng: np.random.Generator) -> str | None:
        if event.action == "add_object":
            return self._add(self._spare_of_event[number], rng)
        actions: dict[str, Callable[[ScenarioEvent, np.random.Generator], str | None]] = {
            "move_object": self._move,
            "remove_object": self._remove,
            "set_door": self._set_door,
            "set_light": self._set_light,
            "set_daylight": self._set_daylight,
            "carpet": self._lay_carpet,
        }
        return actions.get(event.action, self._set_wear)(event, rng)

    def _name(self, index: int) -> str:
        return f"{self._stage.scene.house.objects[index].piece.category} {index}"

    def _room_name(self, placed: Placed) -> str:
        return self._stage.scene.house.rooms[placed.room].name

    def _draw_object(self, target: str, rng: np.random.Generator) -> int | None:
        standing = {k: o for k, o in self._stage.standing() if o.room >= 0}
        if target.isdecimal():
            return int(target) if int(target) in standing else None
        wanted = PORTABLE if target == "" else {target}
        candidates = [k for k, o in standing.items() if o.piece.category in wanted]
        return pick(rng, candidates) if candidates else None

    def _move(self, event: ScenarioEvent, rng: np.random.Generator) -> str:
        index = self._draw_object(event.target, rng)
        if index is None:
            return f"no {event.target or 'portable object'} left to move"
        before = self._stage.placed(index)
        spot = find_spot(self._stage, before.piece, rng, leave=index)
        if spot is None:
            return f"no free place to move {self._name(index)} to"
        self._stage.move_object(index, spot.x, spot.y, spot.yaw_rad)
        rooms = f"from {self._room_name(before)} to {self._room_name(spot)}"
        return f"moved {self._name(index)} {rooms}"

    def _remove(self, event: ScenarioEvent, rng: np.random.Generator) -> str:
        index = self._draw_object(event.target, rng)
        if index is None:
            return f"no {event.target or 'portable object'} left to remove"
        line = f"removed {self._name(index)} from {self._room_name(self._stage.placed(index))}"
        self._stage.remove_object(index)
        return line

    def _add(self, index: int, rng: np.random.Generator) -> str:
        piece = self._stage.scene.house.objects[index].piece
        spot = find_spot(self._stage, piece, rng)
        if spot is None:
            return f"no free place for another {piece.category}"
        self._stage.move_object(index, spot.x, spot.y, spot.yaw_rad)
        return f"brought {self._name(index)} into {self._room_name(spot)}"

    def _set_door(self, event: ScenarioEvent, rng: np.random.Generator) -> str | None:
        plan = self._stage.scene.house
        leaves = [k for k, door in enumerate(plan.doors) if door.has_leaf]
        index = int(event.target) if event.target else pick(rng, leaves)
        door = plan.doors[index]
        hx, hy = door.hinge_xy
        x, y, _ = self._stage.base.pose().tolist()
        if np.hypot(x - hx, y - hy) < door.leaf_m + _ROBOT_GAP_M:
            return None
        opening = _value(event)
        self._stage.set_door(index, opening)
        rooms = " - ".join(plan.rooms[r].name for r in door.rooms)
        state = "shut" if opening < 0.02 else f"opened to {opening:.0%}"
        return f"door {index} ({rooms}) {state}"

    def _set_light(self, event: ScenarioEvent, rng: np.random.Generator) -> str:
        index = self._room(event.target, rng)
        self._light.lamp[index] = _value(event)
        return f"light of {self._stage.scene.house.rooms[index].name} at {_value(event):g}"

    def _room(self, target: str, rng: np.random.Generator) -> int:
        """Return the room of a name or number; "" draws one."""
        names = [r.name for r in self._stage.scene.house.rooms]
        if target in names:
            return names.index(target)
        return int(target) if target else int(rng.integers(len(names)))

    def _set_daylight(self, event: ScenarioEvent, rng: np.random.Generator) -> str:
        self._light.daylight = _value(event)
        return f"daylight at {_value(event):g}"

    def _lay_carpet(self, event: ScenarioEvent, rng: np.random.Generator) -> str:
        index = self._room(event.target, rng)
        self.wear.carpet[index] = _value(event)
        room = self._stage.scene.house.rooms[index].name
        return f"carpet in the {room}: wheels lose {_value(event):.0%}"

    def _set_wear(self, event: ScenarioEvent, rng: np.random.Generator) -> str:
        return set_wear(self.wear, event.action, event.target, _value(event))


def _value(event: ScenarioEvent) -> float:
    return _DEFAULT_VALUE[event.action] if event.value is None else event.value


def spare_pieces(config: ScenarioConfig) -> list[Piece]:
    """Return the pieces that the script's `add_object` events will bring, in their order."""
    pieces = []
    for k, event in enumerate(config.events):
        if event.action == "add_object":
            rng = np.random.default_rng([config.seed, k, 1])
            category = event.target or pick(rng, sorted(PORTABLE))
            pieces.append(make_piece(MAKER_OF_CATEGORY[category], rng))
    return pieces


def check_scenario(config: ScenarioConfig, house: House) -> None:
    """Refuse a script that names what is not in the house.

    Raises:
        ValueError: With the event, the value and what would be accepted.
    """
    for k, event in enumerate(config.events):
        where = f"world.house.scenario.events[{k}] ({event.action})"
        if event.action in _VALUE_RANGE and event.value is not None:
            low, high = _VALUE_RANGE[event.action]
            if not low <= event.value <= high:
                raise ValueError(f"{where}: value is {event.value:g}; accepted are {low} to {high}")
        accepted = _accepted_targets(event, house)
        if event.target and event.target not in accepted:
            known = ", ".join(accepted) or "none (leave it empty)"
            raise ValueError(
                f'{where}: there is no target "{event.target}" in house {house.seed}; '
                f"accepted are {known}"
            )
        if event.action == "set_door" and not accepted:
            raise ValueError(f"{where}: house {house.seed} has no door with a leaf, only arches")


def _accepted_targets(event: ScenarioEvent, house: House) -> list[str]:
    if event.action == "add_object":
        return list(OBJECT_CATEGORIES)
    if event.action in ("move_object", "remove_object"):
        solid = [(k, o) for k, o in enumerate(house.objects) if not o.piece.flat]
        return sorted({o.piece.category for _, o in solid}) + [str(k) for k, _ in solid]
    if event.action == "set_door":
        return [str(k) for k, door in enumerate(house.doors) if door.has_leaf]
    if event.action == "motor_gain":
        return list(SIDES)
    if event.action in ("set_light", "carpet"):
        return [r.name for r in house.rooms] + [str(k) for k in range(len(house.rooms))]
    return []


def find_spot(
    stage: Stage, piece: Piece, rng: np.random.Generator, leave: int | None = None
) -> Placed | None:
    """Return a free place for a piece that cuts nothing off and does not hit the robot.

    Args:
        stage: The live house.
        piece: What is placed; portable things stand anywhere, others against a wall.
        rng: Draws room and place.
        leave: Object that is picked up first; its own room is tried last.
    """
    floor = FloorPlan(stage.scene.house)
    others = [(k, o) for k, o in stage.standing() if k != leave]
    own_room = -1 if leave is None else stage.placed(leave).room
    order = [int(i) for i in rng.permutation(len(stage.scene.house.rooms))]
    x, y, _ = stage.base.pose().tolist()
    robot = (x - _ROBOT_GAP_M, y - _ROBOT_GAP_M, x + _ROBOT_GAP_M, y + _ROBOT_GAP_M)
    for index in sorted(order, key=lambda i: i == own_room):
        placer = RoomPlacer(floor, index, rng)
        for _, other in others:
            if other.room == index:
                placer.adopt(other)
        for _ in range(_SPOT_TRIES):
            if piece.category in PORTABLE:
                spot = placer.find_anywhere(piece)
            else:
                spot = placer.find_against_wall(piece)
            if spot is not None and not rects_meet(spot.rect(), robot):
                return spot
    return None
