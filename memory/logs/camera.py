"""From recorded images to those of the body: crop, resize, and depth onto the colour camera.

Axis letters: h w image of the body, y x recorded image, n points.
"""

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from memory.logs.errors import LogError
from memory.logs.samples import Camera, Picture
from memory.records import BodySpec

_SLACK = 0.02
"""Share of the recorded image by which the body's may reach beyond it."""


def cropped(camera: Camera, width_px: int, height_px: int) -> Camera:
    """Return the camera of images of another size: the middle is cut out and resized.

    Args:
        camera: As recorded.
        width_px: Width of the images to make.
        height_px: Height of the images to make.
    """
    scale = min(camera.width_px / width_px, camera.height_px / height_px)
    x0 = (camera.width_px - scale * width_px) / 2
    y0 = (camera.height_px - scale * height_px) / 2
    return Camera(
        width_px=width_px,
        height_px=height_px,
        fx_px=camera.fx_px / scale,
        fy_px=camera.fy_px / scale,
        cx_px=(camera.cx_px - x0) / scale,
        cy_px=(camera.cy_px - y0) / scale,
        frame=camera.frame,
    )


def scaled(camera: Camera, size_px: tuple[int, int]) -> Camera:
    """Return the camera of the same view in other pixels.

    Raises:
        LogError: If the sides have another ratio.
    """
    if size_px == (camera.width_px, camera.height_px):
        return camera
    sx, sy = size_px[0] / camera.width_px, size_px[1] / camera.height_px
    if abs(sx / sy - 1) > 0.01:
        raise LogError(
            f"images have {size_px[0]} x {size_px[1]} pixels, but their camera info is for "
            f"{camera.width_px} x {camera.height_px}: name the right one with "
            "world.recorded.streams.colour_info or depth_info"
        )
    return Camera(
        width_px=size_px[0],
        height_px=size_px[1],
        fx_px=camera.fx_px * sx,
        fy_px=camera.fy_px * sy,
        cx_px=camera.cx_px * sx,
        cy_px=camera.cy_px * sy,
        frame=camera.frame,
    )


class Lens:
    """Makes a body's images of recorded ones.

    Args:
        spec: The body.
        camera: Of the recorded colour images.
        depth_camera: Of the recorded depth images; None: the same as of colour.
        T_colour_depth: Depth camera points into the colour camera; None: the same place.

    Raises:
        LogError: If the recorded images do not cover the body's.
    """

    def __init__(
        self,
        spec: BodySpec,
        camera: Camera,
        depth_camera: Camera | None = None,
        T_colour_depth: Float64[np.ndarray, "4 4"] | None = None,
    ) -> None:
        self._spec = spec
        kx, ky = camera.fx_px / spec.fx_px, camera.fy_px / spec.fy_px
        x0, y0 = camera.cx_px - spec.cx_px * kx, camera.cy_px - spec.cy_px * ky
        x1, y1 = x0 + spec.width_px * kx, y0 + spec.height_px * ky
        slack_x, slack_y = _SLACK * camera.width_px, _SLACK * camera.height_px
        if (
            min(x0 + slack_x, y0 + slack_y) < 0
            or x1 > camera.width_px + slack_x
            or y1 > camera.height_px + slack_y
        ):
            raise LogError(
                f"the recorded images ({camera.width_px} x {camera.height_px} pixels, focal length "
                f"{camera.fx_px:.0f}) see less than the images of this life's body: pixels "
                f"{x0:.0f} to {x1:.0f} by {y0:.0f} to {y1:.0f} would be needed"
            )
        self._camera = camera
        self._share = (
            max(x0, 0.0) / camera.width_px,
            max(y0, 0.0) / camera.height_px,
            min(x1, float(camera.width_px)) / camera.width_px,
            min(y1, float(camera.height_px)) / camera.height_px,
        )
        across = max(spec.width_px / (x1 - x0), spec.height_px / (y1 - y0))
        self._enough = (
            max(1, int(camera.width_px * across)),
            max(1, int(camera.height_px * across)),
        )
        self._depth_camera = depth_camera or camera
        self._T = T_colour_depth
        self._pixels: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        self._rays: dict[tuple[int, int], Float64[np.ndarray, "n 3"]] = {}

    def develop(
        self, colour: Picture, depth: Picture | None
    ) -> tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"]]:
        """Return colour and depth of the body; depth is NaN where nothing returns.

        Raises:
            ImageError: If an image cannot be decoded.
        """
        rgb = self.colour(colour)
        if depth is None:
            return rgb, np.full(rgb.shape[:2], np.nan, dtype=np.float32)
        return rgb, self.depth(depth)

    def colour(self, picture: Picture) -> UInt8[np.ndarray, "h w 3"]:
        """Return a colour image of the body: each pixel the mean of those it covers."""
        from PIL import Image

        assert picture.colour is not None
        image = picture.colour(self._enough)
        width, height = image.size
        x0, y0, x1, y1 = self._share
        box = (x0 * width, y0 * height, x1 * width, y1 * height)
        size = (self._spec.width_px, self._spec.height_px)
        if size != image.size or box != (0, 0, width, height):
            image = image.resize(size, Image.Resampling.BOX, box=box)
        if image.mode != "RGB":
            image = image.convert("RGB")
        found: UInt8[np.ndarray, "h w 3"] = np.array(image)
        return found

    def depth(self, picture: Picture) -> Float32[np.ndarray, "h w"]:
        """Return a depth image of the body: nearest pixels, because means of edges hang in air."""
        assert picture.depth is not None
        recorded, unit_m = picture.depth()
        if self._T is None:
            found = self._picked(recorded)
            depth_m = found.astype(np.float32) * np.float32(unit_m)
            rows, columns = self._pixels[(recorded.shape[1], recorded.shape[0])]
            depth_m[rows < 0] = np.nan
            depth_m[:, columns < 0] = np.nan
        else:
            depth_m = self._moved(recorded, unit_m)
        valid = (depth_m > 0) & (depth_m <= self._spec.depth_max_m)
        depth_m[~valid] = np.nan
        return depth_m

    def _picked(self, recorded: np.ndarray) -> np.ndarray:
        size = (recorded.shape[1], recorded.shape[0])
        if size not in self._pixels:
            camera, spec = scaled(self._depth_camera, size), self._spec
            u = (np.arange(spec.width_px) + 0.5 - spec.cx_px) / spec.fx_px
            v = (np.arange(spec.height_px) + 0.5 - spec.cy_px) / spec.fy_px
            columns = np.floor(u * camera.fx_px + camera.cx_px + 1e-9).astype(np.int64)
            rows = np.floor(v * camera.fy_px + camera.cy_px + 1e-9).astype(np.int64)
            # A pixel beyond the border by the slack of the colour image takes the border's.
            for index, end in ((columns, size[0]), (rows, size[1])):
                slack = _SLACK * end
                outside = (index < -slack) | (index >= end + slack)
                np.clip(index, 0, end - 1, out=index)
                index[outside] = -1
            self._pixels[size] = rows, columns
        rows, columns = self._pixels[size]
        return np.asarray(recorded[rows[:, None], columns[None, :]])

    def _moved(self, recorded: np.ndarray, unit_m: float) -> Float32[np.ndarray, "h w"]:
        """Return what the depth camera saw as the colour camera would have, the nearest first."""
        spec, T = self._spec, self._T
        assert T is not None
        size = (recorded.shape[1], recorded.shape[0])
        camera = scaled(self._depth_camera, size)
        # About three points to a side of a pixel leave no holes.
        stride = max(1, int(camera.fx_px / spec.fx_px / 3))
        part = recorded[::stride, ::stride]
        if size not in self._rays:
            v, u = np.meshgrid(
                (np.arange(0, size[1], stride) + 0.5 - camera.cy_px) / camera.fy_px,
                (np.arange(0, size[0], stride) + 0.5 - camera.cx_px) / camera.fx_px,
                indexing="ij",
            )
            self._rays[size] = np.stack([u, v, np.ones_like(u)], axis=-1).reshape(-1, 3)
        depth = part.reshape(-1).astype(np.float64) * unit_m
        known = (depth > 0) & (depth < np.inf)
        points = (self._rays[size][known] * depth[known, None]) @ T[:3, :3].T + T[:3, 3]
        z = points[:, 2]
        ahead = z > 0.01
        points, z = points[ahead], z[ahead]
        column = np.floor(points[:, 0] / z * spec.fx_px + spec.cx_px).astype(np.int64)
        row = np.floor(points[:, 1] / z * spec.fy_px + spec.cy_px).astype(np.int64)
        inside = (column >= 0) & (column < spec.width_px) & (row >= 0) & (row < spec.height_px)
        flat = row[inside] * spec.width_px + column[inside]
        nearest = np.full(spec.height_px * spec.width_px, np.inf, dtype=np.float64)
        np.minimum.at(nearest, flat, z[inside])
        found: Float32[np.ndarray, "h w"] = nearest.reshape(spec.height_px, spec.width_px).astype(
            np.float32
        )
        return found
