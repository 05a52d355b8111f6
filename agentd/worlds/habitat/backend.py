"""The simulator as this program sees it, wherever it runs.

Everything here is in Habitat's frame: metres, y up, rotations [x, y, z, w]. Calls do not depend on
each other: each brings the pose along that it needs.

Axis letters: n points, m ends, h w image.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, UInt8

from agentd.worlds.habitat.errors import HabitatError, SimulatorLostError

Values = dict[str, Any]
Arrays = dict[str, np.ndarray]


class Caller(Protocol):
    """Reaches a simulator: plain values and arrays in, plain values and arrays out."""

    def call(
        self, name: str, args: Values | None = None, arrays: Mapping[str, np.ndarray] | None = None
    ) -> tuple[Values, Arrays]:
        """Return the answer of the simulator.

        Raises:
            HabitatError: If the simulator refuses.
            SimulatorLostError: If it does not answer any more.
        """
        ...

    def close(self) -> None:
        """End the simulator; quiet when called twice."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObject:
    """A thing that the scene's annotation names; its box may be turned."""

    semantic_id: int
    label: str
    room: str
    centre_m: Float64[np.ndarray, "3"]
    size_m: Float64[np.ndarray, "3"]
    rotation: Float64[np.ndarray, "4"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFacts:
    """What a scene is and holds.

    Attributes:
        simulator: Name and version.
        navmesh: Where it came from: scene, file, computed, or "" for none.
        islands: Parts of the navmesh that no path connects.
        area_m2: Navigable floor.
        bounds_m: Lowest and highest corner of the navmesh.
        objects: Annotated things; empty without annotation.
    """

    simulator: str
    navmesh: str
    islands: int
    area_m2: float
    bounds_m: Float64[np.ndarray, "2 3"]
    objects: tuple[SceneObject, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """What was sensed; a depth of 0 is no surface, a semantic id of 0 nothing known."""

    rgb: UInt8[np.ndarray, "h w 3"]
    depth_m: Float32[np.ndarray, "h w"]
    semantic: Int32[np.ndarray, "h w"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """What a primitive of the simulator led to."""

    images: Images
    collided: bool
    position_m: Float64[np.ndarray, "3"]
    rotation: Float64[np.ndarray, "4"]


class Simulator:
    """Calls of a simulator, with their types.

    Args:
        caller: Reaches it.
        width_px: Width of the images that are expected.
        height_px: Their height.
    """

    def __init__(self, caller: Caller, width_px: int, height_px: int) -> None:
        self._caller = caller
        self._shape = (height_px, width_px)

    def describe(self) -> SceneFacts:
        """Return what the scene is and holds."""
        values, arrays = self._caller.call("describe")
        rows = zip(
            arrays["semantic_ids"],
            values["labels"],
            values["rooms"],
            arrays["centres_m"],
            arrays["sizes_m"],
            arrays["rotations"],
            strict=True,
        )
        return SceneFacts(
            simulator=f"{values['name']} {values['version']}",
            navmesh=str(values["navmesh"]),
            islands=int(values["islands"]),
            area_m2=float(values["area_m2"]),
            bounds_m=arrays["bounds_m"],
            objects=tuple(
                SceneObject(
                    semantic_id=int(number),
                    label=str(label),
                    room=str(room),
                    centre_m=centre,
                    size_m=size,
                    rotation=rotation,
                )
                for number, label, room, centre, size, rotation in rows
            ),
        )

    def observe(
        self, position_m: Float64[np.ndarray, "3"], rotation: Float64[np.ndarray, "4"]
    ) -> Images:
        """Put the agent somewhere and sense."""
        pose = {"position_m": position_m, "rotation": rotation}
        _, arrays = self._caller.call("observe", None, pose)
        return self._images(arrays)

    def act(
        self, action: str, position_m: Float64[np.ndarray, "3"], rotation: Float64[np.ndarray, "4"]
    ) -> Acted:
        """Put the agent somewhere, do one of its primitives, and sense."""
        pose = {"position_m": position_m, "rotation": rotation}
        values, arrays = self._caller.call("act", {"action": action}, pose)
        return Acted(
            images=self._images(arrays),
            collided=bool(values["collided"]),
            position_m=arrays["position_m"],
            rotation=arrays["rotation"],
        )

    def walk(
        self,
        start_m: Float64[np.ndarray, "3"],
        steps_m: Float64[np.ndarray, "n 3"],
        *,
        sliding: bool,
    ) -> Float64[np.ndarray, "n1 3"]:
        """Return where feet get that try some displacements one after the other, start first."""
        arrays = {"start_m": start_m, "steps_m": steps_m}
        return self._caller.call("walk", {"sliding": sliding}, arrays)[1]["path_m"]

    def snap(self, points_m: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
        """Return the nearest navigable points, NaN where none is near."""
        if not len(points_m):
            return np.zeros((0, 3))
        return self._caller.call("snap", None, {"points_m": points_m})[1]["points_m"]

    def navigable(
        self, points_m: Float64[np.ndarray, "n 3"], max_dy_m: float
    ) -> Bool[np.ndarray, "n"]:
        """Return which points are navigable within a difference of height."""
        arrays = {"points_m": points_m}
        return self._caller.call("navigable", {"max_dy_m": max_dy_m}, arrays)[1]["navigable"]

    def sample(
        self, seed: int, count: int
    ) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n"]]:
        """Return random navigable points, and the radius of the island of each."""
        _, arrays = self._caller.call("sample", {"seed": seed, "count": count})
        return arrays["points_m"], arrays["islands_m"]

    def geodesics(
        self, starts_m: Float64[np.ndarray, "n 3"], ends_m: Float64[np.ndarray, "m 3"]
    ) -> tuple[Float64[np.ndarray, "n"], Int32[np.ndarray, "n"]]:
        """Return the way from each start to its nearest end, and which; infinite and -1 if none."""
        arrays = {"starts_m": starts_m, "ends_m": ends_m}
        _, found = self._caller.call("geodesics", None, arrays)
        return found["lengths_m"], found["nearest"]

    def close(self) -> None:
        """End the simulator; quiet when called twice."""
        self._caller.close()

    def _images(self, arrays: Arrays) -> Images:
        rgb, depth_m, semantic = arrays["rgb"], arrays["depth_m"], arrays.get("semantic")
        shapes = [image.shape for image in (rgb, depth_m, semantic) if image is not None]
        if shapes[0] != (*self._shape, 3) or any(shape != self._shape for shape in shapes[1:]):
            raise HabitatError(f"the simulator sent images of {shapes}; expected {self._shape}")
        return Images(rgb=rgb, depth_m=depth_m, semantic=semantic)


class LocalCaller:
    """A simulator in this process, in a thread of its own: its renderer belongs to that thread.

    Args:
        module: Has `open_backend`.
        config: Its settings.
        start_timeout_s: Time to load the scene.
        timeout_s: Time for any other call.
    """

    def __init__(
        self, module: ModuleType, config: Values, *, start_timeout_s: float, timeout_s: float
    ) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="habitat")
        self._timeout_s = timeout_s
        self._backend: Any = None
        try:
            self._backend = self._run(module.open_backend, start_timeout_s, config)
        except BaseException:
            self.close()
            raise

    def call(
        self, name: str, args: Values | None = None, arrays: Mapping[str, np.ndarray] | None = None
    ) -> tuple[Values, Arrays]:
        """See Caller."""
        if self._backend is None:
            raise SimulatorLostError("the simulator was closed")
        answer: tuple[Values, Arrays] = self._run(
            getattr(self._backend, name), self._timeout_s, args or {}, dict(arrays or {})
        )
        return answer

    def close(self) -> None:
        """See Caller."""
        backend, self._backend = self._backend, None
        if backend is not None:
            self._run(backend.close, self._timeout_s)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _run(self, work: Any, timeout_s: float, *args: Any) -> Any:
        future = self._thread.submit(work, *args)
        try:
            return future.result(timeout_s)
        except FutureTimeoutError as error:
            if future.done():  # the simulator itself raised it
                raise HabitatError(f"habitat-sim: {error}") from error
            raise SimulatorLostError(
                f"the simulator did not answer within {timeout_s:g} s"
            ) from error
        except Exception as error:
            raise HabitatError(f"habitat-sim: {type(error).__name__}: {error}") from error
