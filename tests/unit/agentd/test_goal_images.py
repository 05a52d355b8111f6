"""Images of any size become what the body's camera sees; what is none is refused with a reason."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from agentd import goal_images
from agentd.control import ControlLimits
from agentd.goal_images import SENT_PX, BadImageError, fit_image, png_of, read_image


def halves(width: int, height: int) -> Image.Image:
    """Return an image that is red on the left and blue on the right."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, : width // 2, 0] = 200
    pixels[:, width // 2 :, 2] = 200
    return Image.fromarray(pixels)


def test_a_photo_is_cut_and_resized_to_the_camera(tmp_path) -> None:
    path = tmp_path / "photo.jpg"
    halves(1600, 900).save(path, quality=95)
    sent = read_image(path)
    assert max(Image.open(io.BytesIO(sent)).size) == SENT_PX
    rgb = fit_image(sent, 64, 48)
    assert (rgb.shape, rgb.dtype) == ((48, 64, 3), np.uint8)
    assert rgb[:, :28, 0].mean() > 180 > 60 > rgb[:, 36:, 0].mean()


def test_an_image_of_the_cameras_own_size_stays_as_it_is() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    np.testing.assert_array_equal(fit_image(png_of(rgb), 64, 48), rgb)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no image in a format"),
        (b"not an image", "no image in a format"),
        (png_of(np.zeros((40, 40, 3), np.uint8))[:60], "damaged"),
        (png_of(np.zeros((2, 40, 3), np.uint8)), "40 x 2 pixels"),
    ],
)
def test_what_cannot_be_decoded_says_why(data: bytes, reason: str, tmp_path) -> None:
    with pytest.raises(BadImageError, match=reason):
        fit_image(data, 64, 48)
    path = tmp_path / "x.png"
    path.write_bytes(data)
    with pytest.raises(BadImageError, match=reason):
        read_image(path)


def test_a_missing_file_and_a_bomb_are_refused(tmp_path, monkeypatch) -> None:
    with pytest.raises(BadImageError, match="No such file"):
        read_image(tmp_path / "nothing.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BadImageError, match="too many pixels"):
        fit_image(png_of(np.zeros((40, 40, 3), np.uint8)), 8, 8)


def test_pure_noise_fits_into_one_request(tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    path = tmp_path / "noise.png"
    Image.fromarray(noise).save(path)
    sent = base64.b64encode(read_image(path))
    assert len(sent) + 300 < ControlLimits().max_line_bytes


def test_pixels_are_counted_before_they_are_decoded(tmp_path, monkeypatch) -> None:
    bomb = png_of(np.zeros((2001, 2000, 3), np.uint8))
    assert len(bomb) < 100_000
    monkeypatch.setattr(Image.Image, "convert", None)  # nothing may come as far as this
    with pytest.raises(BadImageError, match=r"too many pixels \(2000 x 2001\)"):
        fit_image(bomb, 64, 48)
    monkeypatch.setattr(goal_images, "READ_PIXELS", 99)
    path = tmp_path / "x.png"
    path.write_bytes(png_of(np.zeros((10, 10, 3), np.uint8)))
    with pytest.raises(BadImageError, match="too many pixels"):
        read_image(path)


def test_only_png_and_jpeg_are_decoded() -> None:
    buffer = io.BytesIO()
    halves(40, 40).save(buffer, "TIFF")
    with pytest.raises(BadImageError, match="no image in a format"):
        fit_image(buffer.getvalue(), 64, 48)
