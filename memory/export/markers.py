"""The belief as markers that a 3-D view draws: a box and a name per object."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from memory.export.belief import Believed
from memory.export.ros import CHANNELS, MAP, MARKERS, RosMessages, Types
from memory.records import SlotState

_RGB = {SlotState.CONFIRMED: (0.2, 0.8, 0.3), SlotState.SUSPECT: (1.0, 0.6, 0.1)}
_UNKNOWN_M = 0.3
"""Side of a box whose size is not known."""
_LEAST_M = 0.02
_TEXT_M = 0.15


class Markers:
    """Makes marker arrays that each hold the whole belief, so that any one of them can be shown.

    Args:
        types: Classes of messages.
        messages: Makes headers and poses.
    """

    def __init__(self, types: Types, messages: RosMessages) -> None:
        self._messages = messages
        self._array, self._marker = (
            types.type(CHANNELS[MARKERS]),
            types.type("visualization_msgs/msg/Marker"),
        )
        self._color = types.type("std_msgs/msg/ColorRGBA")
        self._duration = types.type("builtin_interfaces/msg/Duration")
        self._mesh = types.type("visualization_msgs/msg/MeshFile")
        self._image = types.type("sensor_msgs/msg/CompressedImage")

    def of(self, stamp_ns: int, belief: Sequence[Believed]) -> Any:
        """Return the markers of a belief, after one that removes those shown before."""
        markers = [self._one(stamp_ns, "", 0, self._marker.CUBE, action=self._marker.DELETEALL)]
        for item in belief:
            markers += self._box_and_name(stamp_ns, item)
        return self._array(markers=markers)

    def _box_and_name(self, stamp_ns: int, item: Believed) -> list[Any]:
        slot, (r, g, b) = item.slot, _RGB[item.slot.state]
        x, y, z = (float(value) for value in slot.xyz_m)
        wide, deep, high = item.extent_m or (_UNKNOWN_M, _UNKNOWN_M, _UNKNOWN_M)
        box = self._one(
            stamp_ns,
            "objects",
            slot.slot_id,
            self._marker.CUBE,
            xyz_m=(x, y, z),
            size_m=(max(wide, _LEAST_M), max(deep, _LEAST_M), max(high, _LEAST_M)),
            rgba=(r, g, b, 0.5),
        )
        name = self._one(
            stamp_ns,
            "names",
            slot.slot_id,
            self._marker.TEXT_VIEW_FACING,
            xyz_m=(x, y, z + high / 2 + _TEXT_M),
            size_m=(0.0, 0.0, _TEXT_M),
            rgba=(r, g, b, 1.0),
            text=f"{slot.label} #{slot.slot_id}",
        )
        return [box, name]

    def _one(
        self,
        stamp_ns: int,
        namespace: str,
        number: int,
        kind: int,
        *,
        action: int = 0,
        xyz_m: tuple[float, float, float] = (0.0, 0.0, 0.0),
        size_m: tuple[float, float, float] = (1.0, 1.0, 1.0),
        rgba: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0),
        text: str = "",
    ) -> Any:
        T = np.eye(4)
        T[:3, 3] = xyz_m
        nothing = np.zeros(0, dtype=np.uint8)
        return self._marker(
            header=self._messages.header(stamp_ns, MAP),
            ns=namespace,
            id=number,
            type=kind,
            action=action,
            pose=self._messages.pose(T),
            scale=self._messages.vector(x=size_m[0], y=size_m[1], z=size_m[2]),
            color=self._color(r=rgba[0], g=rgba[1], b=rgba[2], a=rgba[3]),
            lifetime=self._duration(sec=0, nanosec=0),
            frame_locked=False,
            points=[],
            colors=[],
            texture_resource="",
            texture=self._image(header=self._messages.header(0, ""), format="", data=nothing),
            uv_coordinates=[],
            text=text,
            mesh_resource="",
            mesh_file=self._mesh(filename="", data=nothing),
            mesh_use_embedded_materials=False,
        )
