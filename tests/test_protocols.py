"""Protocols: which pixels and colours count, and the figures that papers print."""

import dataclasses
import math
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jsr.errors import UserError
from jsr.protocols import PROTOCOLS, get_protocol, score
from jsr.resize import crop_to_multiple, downscale, imresize

SHARED = Path(__file__).parent.parent / os.environ.get("JSR_SHARED", "../shared")
HR = SHARED / "bench/Set5/HR"
GOLDEN = SHARED / "golden/Set5_SR"
Y, RGB = get_protocol("y"), get_protocol("rgb")


def picture(*shape, seed=0, low=40, high=200):
    return np.random.default_rng(seed).integers(low, high, shape, np.uint8)


def test_y_weighs_the_colours():
    hr = picture(32, 32, 3)
    for channel, weight in enumerate((65.481, 128.553, 24.966)):
        sr = hr.copy()
        sr[..., channel] += 10
        expected = 20 * math.log10(255 / (10 * weight / 255))
        assert score(sr, hr, 2, Y)["psnr"] == pytest.approx(expected, abs=1e-9)


def test_rgb_counts_the_channels_alike():
    hr = picture(32, 32, 3)
    for channel in range(3):
        sr = hr.copy()
        sr[..., channel] += 10
        expected = 20 * math.log10(255 / 10) + 10 * math.log10(3)
        assert score(sr, hr, 2, RGB)["psnr"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_scale_pixels_are_shaved_and_no_more(protocol, scale):
    hr = picture(36, 36, 3)
    assert protocol.shave(scale) == scale
    sr = hr.copy()
    sr[:scale], sr[-scale:], sr[:, :scale], sr[:, -scale:] = 0, 0, 0, 0
    scores = score(sr, hr, scale, protocol)
    assert scores["psnr"] == math.inf
    assert scores["ssim"] == pytest.approx(1, abs=1e-12)
    for y, x in ((scale, 18), (-scale - 1, 18), (18, scale), (18, -scale - 1)):
        touched = hr.copy()
        touched[y, x] = 0
        assert score(touched, hr, scale, protocol)["psnr"] < math.inf


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_gray_counts_as_three_equal_channels(protocol):
    sr, hr = picture(32, 32, 1, seed=1), picture(32, 32, 1, seed=2)
    expected = score(sr.repeat(3, axis=-1), hr.repeat(3, axis=-1), 2, protocol)
    assert score(sr, hr, 2, protocol) == expected
    assert score(sr[..., 0], hr[..., 0], 2, protocol) == expected


@pytest.mark.parametrize(
    ("sr", "hr", "scale", "message"),
    [
        (picture(32, 32, 3), picture(32, 36, 3), 2, r"SR is \[32, 32, 3\], but HR is \[32, 36, 3"),
        (picture(32, 32, 1), picture(32, 32, 3), 2, r"SR is \[32, 32, 1\], but HR is \[32, 32, 3"),
        (picture(32, 32, 4), picture(32, 32, 4), 2, r"not \[32, 32, 4\]"),
        (picture(1, 32, 32, 3), picture(1, 32, 32, 3), 1, r"not \[1, 32, 32, 3\]"),
        (picture(32, 32, 3) / 255, picture(32, 32, 3), 2, "SR is float64"),
        (picture(32, 33, 3), picture(32, 33, 3), 2, r"HR \[32, 33\] is not cropped to a multiple"),
        (picture(16, 32, 3), picture(16, 32, 3), 4, "11 pixels"),
        (picture(8, 8, 3), picture(8, 8, 3), 4, "nothing to compare"),
    ],
)
def test_what_cannot_be_scored_is_refused(sr, hr, scale, message):
    with pytest.raises(ValueError, match=message):
        score(sr, hr, scale, Y)


def test_protocols_are_frozen_and_known_by_name():
    assert [get_protocol(name).name for name in PROTOCOLS] == list(PROTOCOLS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Y.border = 0
    with pytest.raises(UserError, match="'luma' is unknown; known: y, rgb"):
        get_protocol("luma")


def read(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def set5(scale, enlarge):
    """Mean PSNR and SSIM of protocol y, as text, of (stem, hr) -> sr over Set5."""
    scores = []
    paths = sorted(HR.iterdir())
    for path in paths:
        hr = crop_to_multiple(read(path), scale)
        scores.append(score(enlarge(path.stem, hr), hr, scale, Y))
    assert len(scores) == 5
    means = {key: np.mean([s[key] for s in scores]) for key in ("psnr", "ssim")}
    return f"{means['psnr']:.3f}/{means['ssim']:.4f}"


@pytest.mark.long
@pytest.mark.skipif(not GOLDEN.is_dir(), reason="no golden/Set5_SR under JSR_SHARED")
@pytest.mark.parametrize(
    ("network", "scale", "printed"),
    [
        ("RCAN", 2, "38.274/0.9614"),
        ("RCAN", 3, "34.742/0.9299"),
        ("RCAN", 4, "32.634/0.9002"),
        ("RCAN", 8, "27.308/0.7878"),
        ("RDN", 2, "38.242/0.9614"),
        ("RDN", 3, "34.706/0.9296"),
        ("RDN", 4, "32.469/0.8990"),
    ],
)
def test_published_pictures_score_their_published_figures(network, scale, printed):
    def published(stem, hr):
        return read(GOLDEN / network / f"X{scale}" / f"{stem}_{network}_x{scale}.png")

    assert set5(scale, published) == printed


@pytest.mark.long
@pytest.mark.skipif(not HR.is_dir(), reason="no bench/Set5 under JSR_SHARED")
@pytest.mark.parametrize(
    ("scale", "printed"),
    [
        (2, "33.67/0.9303"),
        (3, "30.40/0.8689"),
        (4, "28.43/0.8111"),
    ],
)
def test_bicubic_scores_what_was_measured_by_the_deep_rows_protocol(scale, printed):
    def bicubic(stem, hr):
        return imresize(downscale(hr, scale), scale=scale)

    psnr, ssim = set5(scale, bicubic).split("/")
    assert f"{float(psnr):.2f}/{ssim}" == printed
