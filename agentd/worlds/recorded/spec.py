"""What a log, or the settings where it is silent, says about the body that recorded it."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64

from configs.bodies.recorded import RecordedConfig
from memory.frames import camera_mount, inverse
from memory.logs.camera import Lens, cropped, scaled
from memory.logs.errors import LogError
from memory.logs.samples import Camera, LogReader
from memory.logs.survey import Survey, survey
from memory.records import BodySpec

_SAME_M, _SAME_RAD = 0.03, 0.05
"""A camera that sits farther from where a life's does is another body."""
_HEADROOM = 1.02
"""Over the largest speed of the log: rounding clips nothing."""
_LEAST_V, _LEAST_W = 0.1, 0.2
"""A log in which hardly anything moves tells no limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """How a log is read as a body.

    Attributes:
        spec: The body.
        lens: Makes its images.
        survey: What the motion was like; None where all was known before.
        notes: What was assumed.
    """

    spec: BodySpec
    lens: Lens
    survey: Survey | None
    notes: tuple[str, ...]

    def settings(self) -> dict[str, Any]:
        """Return the settings that a life is born with, by their names in `world.recorded`."""
        spec = self.spec
        return {
            "fx_px": spec.fx_px,
            "fy_px": spec.fy_px,
            "cx_px": spec.cx_px,
            "cy_px": spec.cy_px,
            "mount": spec.T_body_camera[:3].ravel().tolist(),
            "v_max_mps": spec.v_max_mps,
            "w_max_radps": spec.w_max_radps,
        }


def known_spec(config: RecordedConfig) -> BodySpec | None:
    """Return the body if the settings say all about it, as those of a life do."""
    if config.mount is None or config.v_max_mps is None or config.w_max_radps is None:
        return None
    if None in (config.fx_px, config.fy_px, config.cx_px, config.cy_px):
        return None
    assert config.fx_px
    assert config.fy_px
    assert config.cx_px is not None
    assert config.cy_px is not None
    return BodySpec(
        name=config.name,
        width_px=config.width_px,
        height_px=config.height_px,
        fx_px=config.fx_px,
        fy_px=config.fy_px,
        cx_px=config.cx_px,
        cy_px=config.cy_px,
        T_body_camera=_mount_of(config.mount),
        radius_m=config.radius_m,
        height_m=config.height_m,
        v_max_mps=config.v_max_mps,
        w_max_radps=config.w_max_radps,
        tick_s=config.tick_s,
        depth_max_m=config.depth_max_m,
    )


def describe(config: RecordedConfig, reader: LogReader, *, whole: bool = False) -> Recorded:
    """Return the body of a log.

    Args:
        config: Settings; what they say of a life's body has to fit the log.
        reader: The log.
        whole: Whether the whole log is looked through for damage.

    Raises:
        LogError: If log and settings together do not say enough, or contradict each other.
    """
    notes: list[str] = []
    summary = reader.summary
    camera = _camera(config, reader, notes)
    mount = _mount(config, reader, notes)
    has_limits = config.v_max_mps is not None and config.w_max_radps is not None
    seen = None if has_limits and not whole else survey(reader, whole=whole)
    v_max, w_max = config.v_max_mps, config.w_max_radps
    if seen is not None:
        v_max = v_max or _limit(seen.v_mps, _LEAST_V, "forward speed", "m/s", notes)
        w_max = w_max or _limit(seen.w_radps, _LEAST_W, "turn rate", "rad/s", notes)
    body = known_spec(config)
    if body is None:
        inner = cropped(camera, config.width_px, config.height_px)
        if config.fx_px is not None:
            inner = replace(
                inner,
                fx_px=config.fx_px,
                fy_px=config.fy_px or 0.0,
                cx_px=config.cx_px or 0.0,
                cy_px=config.cy_px or 0.0,
            )
        filled = config.model_copy(
            update={
                "fx_px": inner.fx_px,
                "fy_px": inner.fy_px,
                "cx_px": inner.cx_px,
                "cy_px": inner.cy_px,
                "mount": tuple(mount[:3].ravel().tolist()),
                "v_max_mps": v_max,
                "w_max_radps": w_max,
            }
        )
        body = known_spec(filled)
    assert body is not None
    lens = Lens(body, camera, summary.depth_camera, summary.T_colour_depth)
    return Recorded(spec=body, lens=lens, survey=seen, notes=(*summary.notes, *notes))


def _camera(config: RecordedConfig, reader: LogReader, notes: list[str]) -> Camera:
    summary = reader.summary
    if summary.camera is not None:
        return scaled(summary.camera, summary.size_px)
    if config.hfov_deg is None:
        raise LogError(
            f"{summary.missing.get('camera', 'the log tells no intrinsics')}: name the topic with "
            "world.recorded.streams.colour_info, or set world.recorded.hfov_deg"
        )
    width, height = summary.size_px
    focal_px = width / 2 / math.tan(math.radians(config.hfov_deg) / 2)
    notes.append(f"the camera is taken to see {config.hfov_deg:g} degrees, as set")
    return Camera(
        width_px=width,
        height_px=height,
        fx_px=focal_px,
        fy_px=focal_px,
        cx_px=width / 2,
        cy_px=height / 2,
    )


def _mount(
    config: RecordedConfig, reader: LogReader, notes: list[str]
) -> Float64[np.ndarray, "4 4"]:
    summary = reader.summary
    told, known = summary.T_body_camera, config.mount
    if known is not None:
        mine = _mount_of(known)
        if told is not None:
            off = inverse(mine) @ told
            turn = math.acos(max(-1.0, min(1.0, (float(np.trace(off[:3, :3])) - 1) / 2)))
            away_m = float(np.linalg.norm(off[:3, 3]))
            if away_m > _SAME_M or turn > _SAME_RAD:
                raise LogError(
                    f"the log's camera sits {away_m * 100:.0f} cm and {math.degrees(turn):.0f} "
                    "degrees from where that of this life does: another body needs another life"
                )
        return mine
    if told is not None:
        return told
    if config.camera_height_m is None:
        raise LogError(
            f"{summary.missing.get('mount', 'the log does not tell where the camera is')}: name "
            "its frame with world.recorded.streams.camera_frame, or set world.recorded."
            "camera_height_m (and camera_forward_m, camera_pitch_rad)"
        )
    notes.append("where the camera sits is taken from world.recorded.camera_*")
    return camera_mount(config.camera_forward_m, config.camera_height_m, config.camera_pitch_rad)


def _limit(seen: float, least: float, what: str, unit: str, notes: list[str]) -> float:
    limit = max(seen * _HEADROOM, least)
    notes.append(f"largest {what}: {limit:.2f} {unit}, by the log's {seen:.2f}")
    return limit


def _mount_of(numbers: tuple[float, ...]) -> Float64[np.ndarray, "4 4"]:
    T = np.eye(4)
    T[:3] = np.array(numbers).reshape(3, 4)
    return T
