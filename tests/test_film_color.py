"""Planes of film as RGB and back: the numbers of the standards, no shift of colour or place."""

import numpy as np
import pytest

from jsr.film_color import BT601, BT709, MATRICES, Planes, guess_matrix, to_planes, to_rgb

EVERY = [
    Planes(bits, across, down, matrix, full)
    for bits, matrix, full in [(8, 1, False), (8, 6, True), (10, 9, False), (12, 7, True)]
    for across, down in [(1, 1), (2, 1), (2, 2), (4, 1)]
]


def soft(height, width, low, high, shift=0.0):
    y, x = np.mgrid[:height, :width] / max(height, width)
    wave = 0.5 + 0.25 * np.sin(7 * x + 2 * y + shift) + 0.25 * np.cos(5 * y - 3 * x)
    return low + (high - low) * wave


def mean_shift(a, b):
    return np.abs((a.astype(float) - b).mean((0, 1))).max()


@pytest.mark.parametrize(
    "matrix, planes, expected",
    [
        # BT.709 and BT.601 at their bars' corners, 8 bits of limited range.
        (BT709, (235, 128, 128), (255, 255, 255)),
        (BT709, (16, 128, 128), (0, 0, 0)),
        (BT709, (63, 102, 240), (255, 0, 0)),
        (BT709, (173, 42, 26), (0, 255, 0)),
        (BT601, (81, 90, 240), (254, 0, 0)),
        (BT601, (41, 240, 110), (0, 0, 255)),
    ],
)
def test_the_numbers_of_the_standards(matrix, planes, expected):
    lines = [np.full((2, 2), value, np.uint8) for value in planes]
    rgb = to_rgb(lines, Planes(8, 1, 1, matrix))
    assert np.abs(rgb.astype(int) - expected).max() <= 1
    back = to_planes(rgb, Planes(8, 1, 1, matrix))
    assert max(abs(int(p[0, 0]) - value) for p, value in zip(back, planes, strict=True)) <= 1


def test_full_range_takes_all_levels():
    levels = np.arange(256, dtype=np.uint8)[None]
    zero = np.full_like(levels, 128)
    rgb = to_rgb([levels, zero, zero], Planes(8, 1, 1, BT709, full=True))
    np.testing.assert_array_equal(rgb[..., 0], levels)


@pytest.mark.parametrize("how", EVERY)
def test_there_and_back_nothing_shifts(how):
    unit = 2 ** (how.bits - 8)
    height, width = 45, 64
    small = (-(-height // how.down), -(-width // how.across))
    planes = [
        soft(height, width, 60 * unit, 180 * unit).astype(how.dtype),
        soft(*small, 100 * unit, 150 * unit, 1).astype(how.dtype),
        soft(*small, 110 * unit, 140 * unit, 2).astype(how.dtype),
    ]
    back = to_planes(to_rgb(planes, how), how)
    for plane, again in zip(planes, back, strict=True):
        difference = again.astype(float) - plane
        assert abs(difference.mean()) < 0.1 * unit
        assert np.abs(difference)[2:-2, 2:-2].max() <= (1.5 if how.across < 4 else 3) * unit


@pytest.mark.parametrize("centred", [False, True])
def test_chroma_lies_where_it_is_said_to(centred):
    """A ramp of colour stays the same ramp: shifted by a pixel it would be off by its slope."""
    width, slope = 64, 2.0
    places = np.arange(width // 2) * 2 + (0.5 if centred else 0)
    chroma = np.repeat((64 + slope * places)[None], 8, 0)
    planes = [np.full((16, width), 128, np.uint8), *[np.rint(chroma).astype(np.uint8)] * 2]
    how = Planes(8, 2, 2, BT709, full=True, centred=centred)
    rgb = to_rgb(planes, how).astype(float)
    red_of_luma = (rgb[8, :, 0] - 128) / (2 * (1 - MATRICES[BT709][0])) + 128
    expected = 64 + slope * np.arange(width)
    inside = slice(2, 60)
    assert np.abs(red_of_luma - expected)[inside].max() < 0.8
    again = to_planes(rgb.astype(np.uint8), how)[2][4].astype(float)
    assert np.abs(again - chroma[0])[2:-4].max() <= 1


def test_gray_has_one_plane_and_rgb_three():
    gray = soft(9, 7, 16, 235).astype(np.uint8)
    rgb = to_rgb([gray], Planes(8, 1, 1))
    assert rgb.shape == (9, 7, 3) and (rgb[..., 0] == rgb[..., 2]).all()
    planes = [np.full((4, 5), value, np.uint16) for value in (0, 512, 1023)]
    rgb = to_rgb(planes, Planes(10, 1, 1, rgb=True))
    assert rgb.dtype == np.uint16 and rgb[0, 0].tolist() == [0, 32800, 65535]
    back = to_planes(rgb, Planes(10, 1, 1, rgb=True))
    assert [plane[0, 0] for plane in back] == [0, 512, 1023]


def test_a_strip_is_as_the_whole():
    """Rows are worked on in strips, which must leave no seam."""
    rgb = np.random.default_rng(0).integers(0, 256, (150, 20, 3), np.uint8)
    whole = to_planes(rgb, Planes())
    np.testing.assert_array_equal(to_planes(rgb[64:], Planes())[1], whole[1][32:])
    np.testing.assert_array_equal(to_planes(rgb[64:], Planes())[0], whole[0][64:])
    again = to_rgb(whole, Planes())
    below = to_rgb([whole[0][60:], whole[1][30:], whole[2][30:]], Planes())
    np.testing.assert_array_equal(below[2:], again[62:])


def test_players_guess_the_matrix_by_the_size():
    assert guess_matrix(480, 720) == guess_matrix(576, 1024) == BT601
    assert guess_matrix(720, 1280) == guess_matrix(1080, 1920) == BT709
