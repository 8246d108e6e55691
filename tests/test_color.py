"""Colour: the published coefficients, gray's fixed points, and the way back."""

import numpy as np
import pytest

from jsr.color import from_linear, rgb_to_y, rgb_to_ycbcr, to_linear, ycbcr_to_rgb


@pytest.mark.parametrize(
    ("rgb", "ycbcr"),
    [
        # BT.601, studio range: the colour bars as the standard's tables have them.
        ((0, 0, 0), (16, 128, 128)),
        ((255, 255, 255), (235, 128, 128)),
        ((255, 0, 0), (81.481, 90.203, 240)),
        ((0, 255, 0), (144.553, 53.797, 34.214)),
        ((0, 0, 255), (40.966, 240, 109.786)),
    ],
)
def test_colour_bars(rgb, ycbcr):
    np.testing.assert_allclose(rgb_to_ycbcr(np.array(rgb, np.uint8)), ycbcr, atol=1e-9)
    np.testing.assert_allclose(rgb_to_y(np.array(rgb, np.uint8)), ycbcr[0], atol=1e-9)


def test_y_is_not_rounded_and_keeps_the_shape():
    rgb = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    y = rgb_to_y(rgb)
    assert y.dtype == np.float64 and y.shape == (2, 5, 7)
    assert (y != np.round(y)).any()
    np.testing.assert_allclose(rgb_to_ycbcr(rgb)[..., 0], y, atol=1e-12)
    np.testing.assert_array_equal(rgb_to_y(rgb.astype(np.float32)), y)


def test_gray_has_no_chroma():
    gray = np.arange(256.0)[:, None].repeat(3, axis=1)
    ycbcr = rgb_to_ycbcr(gray)
    np.testing.assert_allclose(ycbcr[:, 1:], 128, atol=1e-9)
    np.testing.assert_allclose(ycbcr[:, 0], 16 + 219 / 255 * np.arange(256), atol=1e-9)


def test_there_and_back():
    rgb = np.random.default_rng(1).uniform(0, 255, (20, 30, 3))
    np.testing.assert_allclose(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb, atol=1e-9)


@pytest.mark.parametrize("function", [rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb])
@pytest.mark.parametrize("shape", [(4, 4, 1), (4, 4, 4), (4, 4), ()])
def test_other_channels_are_refused(function, shape):
    with pytest.raises(ValueError, match="expected"):
        function(np.zeros(shape))


def test_linear_light_is_that_of_srgb_and_comes_back():
    srgb = np.linspace(0, 1, 4096)
    light = to_linear(srgb)
    # IEC 61966-2-1: half of the light is 188 of 255, and the foot is straight.
    assert to_linear(np.float64(188 / 255)) == pytest.approx(0.5, abs=0.003)
    np.testing.assert_allclose(light[srgb < 0.04], srgb[srgb < 0.04] / 12.92)
    assert (np.diff(light) > 0).all()
    np.testing.assert_allclose(from_linear(light), srgb, atol=1e-7)
