"""The square around a detection."""

import numpy as np

from memory.objects.crops import cut_crop


def test_a_square_inside_the_frame_is_cut_and_not_resampled_at_its_own_size() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    box = (16 / 64, 20 / 64, 48 / 64, 52 / 64)
    np.testing.assert_array_equal(cut_crop(rgb, box, 32, 1.0), rgb[20:52, 16:48])


def test_beyond_the_frame_its_edge_goes_on() -> None:
    rgb = np.zeros((48, 64, 3), dtype=np.uint8)
    rgb[:, 0] = (9, 99, 199)
    crop = cut_crop(rgb, (0.0, 0.25, 1 / 64, 0.75), 24, 2.0)
    assert crop.shape == (24, 24, 3)
    assert (crop[:, :10] == (9, 99, 199)).all()
    assert (crop[:, 14:] == 0).all()


def test_a_wide_box_is_cut_square() -> None:
    rgb = np.zeros((64, 64, 3), dtype=np.uint8)
    rgb[24:40] = 200
    crop = cut_crop(rgb, (0.0, 24 / 64, 1.0, 40 / 64), 64, 1.0)
    assert (crop[24:40] == 200).all()
    assert (crop[:22] == 0).all()
    assert (crop[42:] == 0).all()
