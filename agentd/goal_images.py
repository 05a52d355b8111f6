"""Images as goals: from whatever a person hands over to the pixels of the body's camera.

Axis letters: h w image.
"""

import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_BYTES = 32 << 20
"""Largest image file that is read."""
SENT_PX = 480
"""Longer side of an image on its way to the life: as a PNG in base64 even pure noise of this size
fits into one request of the control socket."""
FORMATS = ("PNG", "JPEG")
"""Other decoders of Pillow are not let near what comes from outside."""
READ_PIXELS = 80_000_000
"""Most pixels of a file that is read."""
TAKEN_PIXELS = 4_000_000
"""Most pixels that a life decodes: a small file may hold many, and the life shares its memory."""
MIN_PX = 8


class BadImageError(ValueError):
    """An image that cannot be used, with the reason."""


def read_image(path: Path) -> bytes:
    """Return an image file as a PNG that is small enough to be sent.

    Raises:
        BadImageError: If the file is missing, too large or no image that can be decoded.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise BadImageError(f"it has {size >> 20} MiB, at most {MAX_BYTES >> 20} are read")
        image = _decode(path.read_bytes(), READ_PIXELS)
    except OSError as error:
        raise BadImageError(error.strerror or str(error)) from error
    image.thumbnail((SENT_PX, SENT_PX))
    return _png(image)


def fit_image(data: bytes, width_px: int, height_px: int) -> UInt8[np.ndarray, "h w 3"]:
    """Return an image in the size of a camera: its middle is cut to shape, then resized.

    Raises:
        BadImageError: If the data is no image that can be decoded, or has too many pixels.
    """
    image = _decode(data, TAKEN_PIXELS)
    image = ImageOps.fit(image, (width_px, height_px), Image.Resampling.LANCZOS)
    return np.asarray(image, dtype=np.uint8).copy()


def png_of(rgb: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Return pixels as a PNG."""
    return _png(Image.fromarray(rgb))


def _decode(data: bytes, most_pixels: int) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > most_pixels:  # told by the header, before decoding
                raise BadImageError(
                    f"it has too many pixels ({image.width} x {image.height}), "
                    f"at most {most_pixels} are read"
                )
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except BadImageError:
        raise
    except UnidentifiedImageError as error:
        raise BadImageError("it is no image in a format that can be read (PNG, JPEG)") from error
    except Image.DecompressionBombError as error:
        raise BadImageError("it has too many pixels") from error
    except Exception as error:  # a damaged file makes the decoders raise nearly anything
        raise BadImageError(f"it is damaged: {error}") from error
    if min(upright.size) < MIN_PX:
        raise BadImageError(f"it has {upright.width} x {upright.height} pixels, too few to compare")
    return upright


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
