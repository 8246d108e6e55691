"""PSNR and SSIM: equal to scikit-image and to figures by hand; the device equal to the host."""

import math
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from jsr.metrics import (
    ms_ssim,
    ms_ssim_on_device,
    psnr,
    psnr_on_device,
    ssim,
    ssim_matlab,
    ssim_on_device,
)


def pictures(sigma=12.0, side=96):
    """A photograph [h, w, 3] in 0..255 and the same with noise, float64."""
    hr = skimage.data.astronaut()[:side, 200 : 200 + side].astype(np.float64)
    sr = np.clip(hr + np.random.default_rng(0).normal(0, sigma, hr.shape), 0, 255)
    return np.round(sr), hr


def test_psnr_of_a_constant_error():
    hr = np.zeros((4, 4), np.uint8)
    assert psnr(hr + np.uint8(255), hr) == 0
    assert psnr(hr + np.uint8(16), hr) == pytest.approx(20 * math.log10(255 / 16), abs=1e-12)
    assert psnr(hr + 0.1, hr, data_range=1.0) == pytest.approx(20, abs=1e-12)


def test_psnr_of_unsigned_pictures_does_not_wrap():
    low, high = np.full((4, 4), 1, np.uint8), np.full((4, 4), 3, np.uint8)
    assert psnr(low, high) == psnr(high, low) == pytest.approx(20 * math.log10(255 / 2))


def test_psnr_averages_over_the_channels_errors():
    sr, hr = pictures()
    expected = peak_signal_noise_ratio(hr, sr, data_range=255)
    assert psnr(sr, hr) == pytest.approx(expected, abs=1e-10)


def test_equal_pictures():
    _, hr = pictures()
    assert psnr(hr, hr) == math.inf
    assert ssim(hr, hr) == pytest.approx(1, abs=1e-12)
    batch = jnp.asarray(hr[None] / 255, jnp.float32)
    assert psnr_on_device(batch, batch)[0] == math.inf
    assert ssim_on_device(batch, batch)[0] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("channel_axis", [None, -1])
@pytest.mark.parametrize("data_range", [1.0, 255.0])
def test_ssim_is_scikit_images(channel_axis, data_range):
    sr, hr = (image[:, :80] * data_range / 255 for image in pictures())
    if channel_axis is None:
        sr, hr = sr[..., 1], hr[..., 1]
    expected = structural_similarity(
        hr,
        sr,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=data_range,
        channel_axis=channel_axis,
    )
    assert 0.1 < expected < 0.9
    assert ssim(sr, hr, data_range) == pytest.approx(expected, abs=1e-6)


def test_ssim_of_flat_pictures_is_the_luminance_term():
    a, b, c1 = 100.0, 120.0, (0.01 * 255) ** 2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    assert ssim(np.full((11, 15), a), np.full((11, 15), b)) == pytest.approx(expected, abs=1e-9)


def test_ssim_reads_the_valid_region_only():
    # 11x11 pixels have one window: its centre pixel weighs the square of the window's peak.
    x = np.arange(-5, 6)
    window = np.exp(-(x**2) / 4.5)
    window = np.outer(window, window) / window.sum() ** 2
    sr = np.random.default_rng(2).uniform(0, 255, (11, 11))
    hr = np.random.default_rng(3).uniform(0, 255, (11, 11))
    mean_x, mean_y = (window * sr).sum(), (window * hr).sum()
    var_x = (window * (sr - mean_x) ** 2).sum()
    var_y = (window * (hr - mean_y) ** 2).sum()
    covariance = (window * (sr - mean_x) * (hr - mean_y)).sum()
    c1, c2 = 2.55**2, 7.65**2
    expected = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    expected /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    assert ssim(sr, hr) == pytest.approx(expected, abs=1e-12)


def test_ssim_averages_over_channels():
    sr, hr = pictures()
    channels = [ssim(sr[..., i], hr[..., i]) for i in range(3)]
    assert np.ptp(channels) > 1e-3
    assert ssim(sr, hr) == pytest.approx(np.mean(channels), abs=1e-12)


@pytest.mark.parametrize("sigma", [0.6, 2.0, 12.0, 60.0])
@pytest.mark.parametrize("limit", [1, 5, 255])
def test_the_device_is_within_its_bounds(sigma, limit):
    # Noise on flat pictures is the hard case: SSIM's variances are small differences there.
    noisy, photo = pictures(sigma)
    noise = (noisy - photo).clip(-limit, limit)
    hr = np.stack([photo, *(np.full_like(photo, level) for level in (0, 5, 128, 250, 255))])
    x, y = (i.astype(np.float32) / np.float32(255) for i in ((hr + noise).clip(0, 255), hr))
    psnrs, ssims = psnr_on_device(x, y), ssim_on_device(x, y)
    assert psnrs.dtype == ssims.dtype == jnp.float32 and psnrs.shape == ssims.shape == (6,)
    for i in range(6):
        assert psnrs[i] == pytest.approx(psnr(x[i], y[i], 1.0), abs=1e-4)
        assert ssims[i] == pytest.approx(ssim(x[i], y[i], 1.0), abs=5e-5)


def test_the_device_is_within_its_bound_on_a_single_window():
    rng = np.random.default_rng(4)
    hr = (
        np.array([0, 5, 128, 250, 255] * 40, float)[:, None, None, None].repeat(11, 1).repeat(11, 2)
    )
    sr = np.round(hr + rng.normal(0, 1, hr.shape)).clip(0, 255)
    x, y = (i.astype(np.float32) / np.float32(255) for i in (sr, hr))
    host = [ssim(a, b, 1.0) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(ssim_on_device(x, y), host, rtol=0, atol=2e-4)


@pytest.mark.parametrize("function", [psnr, ssim, psnr_on_device, ssim_on_device])
def test_other_shapes_are_refused(function):
    with pytest.raises(ValueError, match=r"SR is \[1, 16, 16, 3\], but HR is \[1, 16, 16, 1\]"):
        function(np.zeros((1, 16, 16, 3)), np.zeros((1, 16, 16, 1)))


def test_pictures_without_a_window_are_refused():
    for shape in ((10, 40), (40, 10, 3)):
        with pytest.raises(ValueError, match="sides of 11 pixels"):
            ssim(np.zeros(shape), np.zeros(shape))
    with pytest.raises(ValueError, match="sides of 11 pixels"):
        ssim_on_device(np.zeros((2, 40, 10, 3)), np.zeros((2, 40, 10, 3)))
    with pytest.raises(ValueError, match=r"\[h, w\] or \[h, w, c\]"):
        ssim(np.zeros((16, 16, 16, 3)), np.zeros((16, 16, 16, 3)))
    with pytest.raises(ValueError, match="nothing to compare"):
        psnr(np.zeros((0, 4)), np.zeros((0, 4)))


def test_matlabs_ssim_counts_the_borders_too():
    sr, hr = (image[..., 1] for image in pictures(sigma=25))
    blur = partial(gaussian_filter, sigma=1.5, truncate=3.5, mode="nearest")
    x, y = (image.astype(np.float64) for image in (sr, hr))
    mean_x, mean_y, c1, c2 = blur(x), blur(y), (0.01 * 255) ** 2, (0.03 * 255) ** 2
    both = blur(x * y) - mean_x * mean_y
    one = blur(x * x) - mean_x**2 + blur(y * y) - mean_y**2
    expected = (
        (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1) * (2 * both + c2) / (one + c2)
    )
    assert ssim_matlab(sr, hr) == pytest.approx(expected.mean(), abs=1e-9)
    assert ssim_matlab(sr, hr) != pytest.approx(ssim(sr, hr), abs=1e-5)
    with pytest.raises(ValueError, match="sides of 11 pixels"):
        ssim_matlab(sr[:10], hr[:10])


def shifted_ms_ssim(x, y):
    """MS-SSIM by scikit-image's maps: luminance is what its SSIM has beyond contrast."""
    weights, product = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333), 1.0
    for scale, weight in enumerate(weights):
        settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        full = structural_similarity(x, y, data_range=255, full=True, **settings)[1]
        blur = [gaussian_filter(image, 1.5, truncate=3.5) for image in (x, y)]
        c1 = (0.01 * 255) ** 2
        luminance = (2 * blur[0] * blur[1] + c1) / (blur[0] ** 2 + blur[1] ** 2 + c1)
        inside = (slice(5, -5),) * 2
        product *= ((full if scale == 4 else full / luminance)[inside].mean()) ** weight
        x, y = (z.reshape(z.shape[0] // 2, 2, -1, 2).mean((1, 3)) for z in (x, y))
    return product


def test_ms_ssim_is_that_of_scikit_images_maps():
    sr, hr = (image[..., 1] for image in pictures(sigma=25, side=192))
    assert ms_ssim(sr, hr) == pytest.approx(shifted_ms_ssim(sr, hr), abs=1e-9)
    assert ms_ssim(hr, hr) == pytest.approx(1, abs=1e-12)
    both = (np.stack([a, b], -1) for a, b in ((sr, hr), (hr, hr)))
    assert ms_ssim(*both) == pytest.approx((ms_ssim(sr, hr) + 1) / 2)


def test_ms_ssim_pairs_the_last_line_of_an_odd_side_with_itself():
    sr, hr = pictures(sigma=25, side=191)
    padded = (np.pad(image, ((0, 1), (0, 1), (0, 0)), mode="edge") for image in (sr, hr))
    x, y = padded
    # The finest scale sees the added line, the coarser ones do not.
    assert ms_ssim(sr, hr) == pytest.approx(ms_ssim(x, y), abs=1e-4)


def test_opposite_structure_counts_as_none():
    hr = pictures(side=192)[1][..., 0]
    assert ms_ssim(255 - hr, hr) == 0


def test_ms_ssim_on_the_device_is_within_its_bound():
    sr, hr = pictures(sigma=25, side=181)
    batch = (jnp.asarray(np.stack([image, hr]) / 255, jnp.float32) for image in (sr, hr))
    expected = [ms_ssim(sr, hr), 1.0]
    np.testing.assert_allclose(ms_ssim_on_device(*batch), expected, atol=1e-4)


@pytest.mark.parametrize("measure", [ms_ssim, ms_ssim_on_device])
def test_ms_ssim_needs_five_scales(measure):
    small = np.zeros((200, 175, 3))
    small = small if measure is ms_ssim else small[None]
    with pytest.raises(ValueError, match="MS-SSIM needs sides of 176 pixels"):
        measure(small, small)


@pytest.mark.parametrize("shape", [(74, 75), (75, 42), (11, 11), (139, 43)])
def test_strips_and_blocks_change_nothing(shape):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 255, (2, *shape))
    expected = structural_similarity(
        x, y, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    inside = structural_similarity(
        x,
        y,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )[1][5:-5, 5:-5].mean()
    assert ssim(x, y) == pytest.approx(inside, abs=1e-12)
    assert expected == pytest.approx(inside)
