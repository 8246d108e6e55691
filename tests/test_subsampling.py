import numpy as np
import pytest

from jsr.protocols import get_protocol
from jsr.subsampling import blur_down


@pytest.mark.parametrize("scale", [2, 4])
def test_the_definition_pixel_by_pixel(scale):
    """A 13x13 Gaussian of 0.4 * scale about pixels 0, s, 2s ...; mirrored at the edges."""
    hr = np.random.default_rng(0).integers(0, 256, (24, 28, 3), np.uint8)
    near = np.arange(-6, 7)
    line = np.exp(-(near**2) / (2 * (0.4 * scale) ** 2))
    kernel = np.outer(line, line) / line.sum() ** 2
    padded = np.pad(hr.astype(float), ((6, 6), (6, 6), (0, 0)), mode="reflect")
    lr = blur_down(hr, scale)
    assert lr.shape == (24 // scale, 28 // scale, 3)
    for row, column in ((0, 0), (1, 2), (24 // scale - 1, 28 // scale - 1)):
        y, x = row * scale, column * scale
        window = padded[y : y + 13, x : x + 13]
        np.testing.assert_allclose(lr[row, column], np.tensordot(kernel, window), rtol=1e-9)


def test_protocols_round_it_where_files_would_be():
    hr = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    lr = get_protocol("vid4").shrink(hr, 4, "bd")
    assert lr.dtype == np.uint8
    np.testing.assert_array_equal(lr, np.floor(blur_down(hr, 4) + 0.5))
    one = get_protocol("classic")
    np.testing.assert_array_equal(
        one.shrink(one.pictures(hr), 4, "bd"), blur_down(one.pictures(hr), 4)
    )
